"""``make sabotage``: plant each defect in a copy of the project and run the test that must notice it.

``python -m tests.sabotage P3 4.6`` does so for one promise and one section of the contract.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.sabotage.defect import Defect
from tests.sabotage.defects import DEFECTS

ROOT = Path(__file__).parent.parent.parent
TIMEOUT_SECONDS = 300
# pytest's exit status when tests were run and some failed; any other is a mistake of ours.
TESTS_FAILED = 1


def main(promises: list[str]) -> int:
    chosen = [defect for defect in DEFECTS if not promises or defect.promise in promises]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        results = list(pool.map(is_noticed, chosen))
    for defect, (noticed, words) in zip(chosen, results, strict=True):
        print(f"{'red ' if noticed else 'GREEN'} {defect.promise} {defect.what}: {defect.test}{words}")
    unnoticed = sum(not noticed for noticed, _ in results)
    print(f"{len(chosen)} defects planted, {len(chosen) - unnoticed} noticed")
    return 1 if unnoticed or not chosen else 0


def is_noticed(defect: Defect) -> tuple[bool, str]:
    """Return whether the defect's test turns red, and what to say if not."""
    with tempfile.TemporaryDirectory(prefix="rtserver-sabotage-") as directory:
        copy = Path(directory)
        for name in ("rtserver", "tests"):
            shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        for name in ("conftest.py", "setup.cfg", "rtserver.py"):
            shutil.copy(ROOT / name, copy)
        plant(defect, copy / "rtserver")
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", f"tests/{defect.test}"]
        # First on the path: the processes that tests start must run the copy, too.
        environment = os.environ | {"PYTHONPATH": directory}
        try:
            run = subprocess.run(
                command, cwd=copy, env=environment, capture_output=True, text=True, timeout=TIMEOUT_SECONDS
            )
        except subprocess.TimeoutExpired:
            return False, f" (gave no verdict in {TIMEOUT_SECONDS} s)"
    if run.returncode == TESTS_FAILED:
        return True, ""
    return False, f"\n{run.stdout[-2000:]}{run.stderr[-2000:]}" if run.returncode else " (passed)"


def plant(defect: Defect, package: Path) -> None:
    file = package / defect.file
    text = file.read_text()
    assert text.count(defect.before) == 1, f"{defect.file} has {defect.before!r} {text.count(defect.before)} times"
    file.write_text(text.replace(defect.before, defect.after))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
