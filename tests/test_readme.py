"""README.rst tells the truth: its session works as pasted, and it names what is there."""

import re
import shutil
import sys
from pathlib import Path

import pytest

from tests.peers import free_port
from tests.readme import README, missing, run_session

ROOT = README.parent
needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed (Debian package curl)")


@needs_curl
def test_the_terminal_session_works_as_pasted(tmp_path):
    (tmp_path / ".venv").symlink_to(sys.prefix)
    assert missing(run_session(tmp_path, free_port())) == []


def test_every_module_that_the_reading_order_names_exists():
    order = re.search(r"To read the code, in this order:(.*?)``app\.py``", README.read_text(), re.DOTALL)[1]
    names = re.findall(r"``([a-z_]+\.py)``", order)
    assert len(names) > 12
    for name in names:
        assert (ROOT / "rtserver" / name).is_file(), name


def test_every_make_target_that_it_names_exists():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for target in re.findall(r"``make ([a-z]+)``", README.read_text()):
        assert target in targets


@pytest.mark.parametrize("page", sorted(Path(ROOT / "docs").rglob("*.rst")), ids=lambda page: page.name)
def test_every_page_that_the_code_names_exists(page):
    assert page.read_text().strip()


def test_no_comment_names_a_page_that_is_not_there():
    for file in (ROOT / "rtserver").rglob("*.py"):
        for page in re.findall(r"docs/[a-z/-]+\.rst", file.read_text()):
            assert (ROOT / page).is_file(), f"{file.name} names {page}"
