"""``make sabotage``: plant each defect in a copy of the project and run the test that must notice it.

``python -m tests.sabotage P3 4.6 wire`` does so for a promise, a section of the contract and the wire.  Before, the
same tests run with nothing planted: what is red anyway notices nothing.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from tests.command import Ran, run
from tests.sabotage.defect import Defect
from tests.sabotage.defects import DEFECTS

ROOT = Path(__file__).parent.parent.parent
# For one test; a defect may make it hang, and that is no verdict.
TIMEOUT_SECONDS = 180
SOUND_SECONDS = 900
# pytest's exit status when tests were run and some failed; any other is a mistake of ours.
TESTS_FAILED = 1


class Verdict(NamedTuple):
    is_noticed: bool
    seconds: float
    words: str


def main(promises: list[str]) -> int:
    chosen = [defect for defect in DEFECTS if not promises or defect.promise in promises]
    if not chosen:
        print(f"no defect breaks {' or '.join(promises)}")
        return 1
    sound = run_tests(None, sorted({defect.test for defect in chosen}), SOUND_SECONDS, "-n", str(os.cpu_count()))
    if sound.status != 0:
        print(f"{sound.shown[-3000:]}\nthese tests fail with nothing planted: they notice nothing")
        return 1
    unnoticed = 0
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for defect, verdict in zip(chosen, pool.map(judge, chosen), strict=True):
            colour = "red  " if verdict.is_noticed else "GREEN"
            print(f"{colour} {defect.promise} {defect.what}: {defect.test} ({verdict.seconds:.0f} s)")
            print(f"      {verdict.words}", flush=True)
            unnoticed += not verdict.is_noticed
    print(f"{len(chosen)} defects planted, {len(chosen) - unnoticed} noticed")
    return 1 if unnoticed else 0


def judge(defect: Defect) -> Verdict:
    """Return whether the defect's test turns red, and what it says, or what it did instead."""
    began_at = time.monotonic()
    ran = run_tests(defect, [defect.test], TIMEOUT_SECONDS, "-x")
    seconds = time.monotonic() - began_at
    if ran.status is None:
        return Verdict(False, seconds, f"no verdict in {TIMEOUT_SECONDS} s\n{ran.shown[-2000:]}")
    if ran.status != TESTS_FAILED:
        return Verdict(False, seconds, "passed" if ran.status == 0 else ran.shown[-2000:])
    why = re.search(r"^(?:FAILED|ERROR) tests/.*? - (.*)", ran.shown, re.MULTILINE)
    return Verdict(True, seconds, why[1] if why else ran.last_line)


def run_tests(defect: Defect | None, tests: list[str], seconds: float, *options: str) -> Ran:
    """Run tests in a copy of the project, with a defect or without."""
    with tempfile.TemporaryDirectory(prefix="rtserver-sabotage-") as directory:
        copy = Path(directory)
        for name in ("rtserver", "tests"):
            shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        for name in ("conftest.py", "setup.cfg", "rtserver.py", "README.rst"):
            shutil.copy(ROOT / name, copy)
        if defect is not None:
            plant(defect, copy / "rtserver")
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options]
        command += [f"tests/{test}" for test in tests]
        # First on the path: the processes that tests start must run the copy, too.  And a line holds a reason.
        environment = os.environ | {"PYTHONPATH": directory, "COLUMNS": "240"}
        return run(command, seconds, copy, environment)


def plant(defect: Defect, package: Path) -> None:
    file = package / defect.file
    text = file.read_text()
    assert text.count(defect.before) == 1, f"{defect.file} has {defect.before!r} {text.count(defect.before)} times"
    file.write_text(text.replace(defect.before, defect.after))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
