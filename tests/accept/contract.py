"""What the whole contract claims: three tiers, conditional requests, history, sign-in, limits."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

from tests import generated
from tests.accept.clone import ROOT
from tests.accept.core import planted, readme_session, whole_suite
from tests.accept.lines import Line, Outcome
from tests.switching import Switching

TEST_MINUTES = 8


def switching(directory: Path) -> Outcome:
    report = asyncio.run(Switching(directory).run(switches=1000, restarts=6))
    return Outcome(not report.violations and report.switches >= 1000 and report.seen > 1000, str(report))


def hostile_requests(directory: Path) -> Outcome:
    figures = asyncio.run(generated.run(directory, 10_000))
    is_met = not figures.violations and figures.grown_bytes < 10_000_000 and figures.grown_descriptors <= 2
    tests = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", "2", "tests/test_schemathesis.py"]
    described = subprocess.run(tests, cwd=ROOT, capture_output=True, text=True)
    last = described.stdout.strip().splitlines()[-1]
    return Outcome(is_met and described.returncode == 0, f"{figures} {figures.violations[:3]}; schemathesis: {last}")


def rows(directory: Path) -> Outcome:
    return planted("4.6")


def suite(directory: Path) -> Outcome:
    return whole_suite(directory, TEST_MINUTES)


LINES = (
    Line("A client that changes tier 1,000 times, across restarts, sees every event once and in order", switching),
    Line(
        "10,000 generated requests: no 500, no hang, no growth, every refusal in shape and without effect",
        hostile_requests,
    ),
    Line("Every row of polling and conditional requests has a test that a planted defect turns red", rows),
    Line(
        "The README's session goes through all three tiers, a tier switch, a 304 and a gap, as pasted", readme_session
    ),
    Line(f"make test takes under {TEST_MINUTES} minutes", suite),
)
