"""The browser client's modules, tested under Node: one test here for each file of tests there."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from tests.command import run

HERE = Path(__file__).parent / "client"
CLIENT = Path(__file__).parent.parent / "rtserver" / "web" / "client"
NODE = shutil.which("node")
NODE_SECONDS = 60

# No DOM, no timers, no network, no storage: what goes in decides what comes out.
PURE = {
    "backoff", "cursor", "features", "heartbeat", "inbox", "machine", "options", "outbox", "pace", "status",
    "verdict", "words",
}  # fmt: skip
IMPURE_NAMES = (
    r"\b(window|document|fetch|setTimeout|setInterval|localStorage|sessionStorage|navigator|Math\.random|Date\.now)\b"
)


@pytest.mark.skipif(NODE is None, reason="node is not installed (Debian package nodejs)")
@pytest.mark.parametrize("file", sorted(HERE.glob("*.test.mjs")), ids=lambda file: file.name.split(".")[0])
def test_the_tests_under_node_pass(file):
    # As a whole: what Node starts for a file would outlive a Node that is ended alone.
    ran = run([NODE, "--test", "--test-reporter=spec", str(file)], NODE_SECONDS, HERE)
    assert ran.status == 0, ran.shown.partition("failing tests:")[2].strip() or ran.shown[-8000:]


@pytest.mark.parametrize("name", sorted(PURE & {path.stem for path in CLIENT.glob("*.js")}))
def test_pure_modules_touch_nothing_of_the_browser(name):
    code = re.sub(r"/\*.*?\*/|//[^\n]*", "", (CLIENT / f"{name}.js").read_text(), flags=re.DOTALL)
    code = re.sub(r'"[^"]*"', '""', code)
    assert not re.search(IMPURE_NAMES, code)
    imported = set(re.findall(r'from "\./([a-z]+)\.js"', (CLIENT / f"{name}.js").read_text()))
    assert imported <= PURE


@pytest.mark.parametrize("path", sorted(CLIENT.glob("*.js")), ids=lambda path: path.stem)
def test_every_module_says_what_it_is(path):
    text = path.read_text()
    assert text.startswith("/**\n * ")
    assert len(text.splitlines()) <= 400


@pytest.mark.parametrize("path", sorted(CLIENT.glob("*.js")), ids=lambda path: path.stem)
def test_nothing_is_made_of_text_from_elsewhere(path):
    """Whatever the server or anybody else sends is text on the page, and never markup or code."""
    text = path.read_text()
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function\(", text)


def _options():
    return set(
        re.findall(r'"(\w+)"', re.search(r"const NAMES = \[(.*?)\]", (CLIENT / "options.js").read_text(), re.S)[1])
    )


def test_every_option_is_explained_and_has_a_type():
    page, types = (HERE.parent.parent / "docs" / "client.rst").read_text(), (CLIENT / "rtclient.d.ts").read_text()
    declared = re.search(r"interface Options \{(.*?)\}\n", types, re.DOTALL)[1]
    assert set(re.findall(r"^``(\w+)``  ", page, re.MULTILINE)) - _states() == _options()
    assert set(re.findall(r"^  (\w+)\??:", declared, re.MULTILINE)) == _options()


def _states():
    return set(json.loads((HERE / "transitions.json").read_text())["people"].values())


def test_every_status_is_explained_and_has_a_type():
    page, types = (HERE.parent.parent / "docs" / "client.rst").read_text(), (CLIENT / "rtclient.d.ts").read_text()
    declared = re.search(r"type State =(.*?);", types, re.DOTALL)[1]
    assert set(re.findall(r'"([a-z-]+)"', declared)) == _states()
    for state in _states():
        assert f"\n``{state}`` " in page


def test_every_part_of_the_handle_is_explained_and_has_a_type():
    handle = (CLIENT / "rtclient.js").read_text().partition("_makeHandle() {")[2]
    parts = set(re.findall(r"^      (?:get )?(\w+)(?:\(\) \{|: )", handle, re.MULTILINE))
    page, types = (HERE.parent.parent / "docs" / "client.rst").read_text(), (CLIENT / "rtclient.d.ts").read_text()
    declared = re.search(r"interface Connection \{(.*?)\}\n", types, re.DOTALL)[1]
    assert parts == set(re.findall(r"^  (?:readonly )?(\w+)", declared, re.MULTILINE))
    for part in parts - {"sessionId"}:
        assert re.search(rf"^``{part}", page, re.MULTILINE), part
