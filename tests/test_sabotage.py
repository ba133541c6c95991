"""The table of planted defects fits the code: each can be planted, and names a test that exists."""

import re
from pathlib import Path

import pytest

from tests.sabotage.defects import DEFECTS

ROOT = Path(__file__).parent.parent
NAMES = [f"{defect.promise} {defect.what}" for defect in DEFECTS]


@pytest.mark.parametrize("defect", DEFECTS, ids=NAMES)
def test_the_text_a_defect_replaces_stands_once(defect):
    assert (ROOT / "rtserver" / defect.file).read_text().count(defect.before) == 1
    assert defect.before != defect.after


@pytest.mark.parametrize("defect", DEFECTS, ids=NAMES)
def test_the_test_a_defect_names_exists(defect):
    file, _, name = defect.test.partition("::")
    text = (ROOT / "tests" / file).read_text()
    assert not name or re.search(rf"def {name.partition('[')[0]}\(", text)


def test_every_promise_has_a_defect():
    assert {defect.promise for defect in DEFECTS} >= {f"P{number}" for number in range(1, 9)}
