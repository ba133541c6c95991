"""The table of planted defects fits the code: each can be planted, and names a test that exists."""

import re
from pathlib import Path

import pytest

from tests.sabotage.__main__ import judge
from tests.sabotage.defect import Defect
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


SPREAD = "return round(base_seconds * 1000 * rng.uniform(0.5, 1.5))"


@pytest.mark.parametrize(
    ("after", "test", "is_noticed", "words"),
    [
        (f"{SPREAD}  # no defect", "test_interval.py", False, "passed"),
        ("return 1 / 0", "test_interval.py", True, "ZeroDivisionError"),
        ("return round(", "test_interval.py", False, "SyntaxError"),
        ("return 1 / 0", "test_interval.py::test_that_is_not_there", False, "not found"),
    ],
)
def test_a_defect_is_noticed_only_by_a_test_that_ran_and_failed(after, test, is_noticed, words):
    verdict = judge(Defect("P5", "for this test", "interval.py", SPREAD, after, test))
    assert verdict.is_noticed == is_noticed
    assert words in verdict.words
