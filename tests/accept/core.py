"""What the core claims: a session's events, durable, over event streams and long polls."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import time
from pathlib import Path

from tests import crowd, endings, tracing
from tests.accept.clone import ROOT, clone, demonstrate, fresh_debian, session_of
from tests.accept.lines import Line, Outcome
from tests.crash import CrashRun

TEST_MINUTES = 5


def readme_session(directory: Path) -> Outcome:
    place = fresh_debian(directory)
    where = place if isinstance(place, str) else "in a fresh Debian bookworm"
    if isinstance(place, str):
        place = clone(directory / "clone")
    demo = demonstrate(place)
    if "rtserver ready" not in demo:
        return Outcome(False, f"{where}: make run said {demo[-2000:]}")
    wrong = session_of(place)
    return Outcome(
        not wrong, f"{where}, from a clean clone: make run is ready, {len(wrong)} of its lines wrong {wrong}"
    )


def run_tests(*arguments: str) -> tuple[bool, str]:
    """Run tests by name; return whether all passed, and pytest's last line."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", "2", *arguments]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    last = run.stdout.strip().splitlines()[-1]
    return run.returncode == 0, last if run.returncode == 0 else run.stdout[-3000:]


def delivery(directory: Path) -> Outcome:
    return Outcome(*run_tests("tests/test_delivery.py"))


def kills(directory: Path) -> Outcome:
    run = CrashRun(directory / "crash")
    report = asyncio.run(run.run(rounds=20, acknowledged=1000, in_flight=20))
    is_met = not report.violations and report.kills == 20
    is_met &= report.min_in_flight >= 20 and report.min_acknowledged >= 1000
    if tracing.STRACE is None:
        return Outcome(False, f"{report}; strace is not installed")
    trace = asyncio.run(tracing.trace_publishes(directory / "traced", directory / "trace", 50, "full"))
    synced = tracing.synced_before_acknowledged(trace)
    figure = f"{report}; by strace {sum(synced)} of {len(synced)} publishes had the log synced before their 201"
    return Outcome(is_met and len(synced) == 50 and all(synced), figure)


def ending(directory: Path) -> Outcome:
    ended = asyncio.run(endings.measure(directory))
    is_met = all(each.words == endings.EXPECTED[each.cause, each.tier] and each.seconds < 1 for each in ended)
    figure = ", ".join(f"{each.cause} {each.tier} {1000 * each.seconds:.0f} ms {sorted(each.words)}" for each in ended)
    return Outcome(is_met, f"the last of {endings.READERS} readers each: {figure}")


def many_streams(directory: Path) -> Outcome:
    if crowd.SS is None:
        return Outcome(False, "ss is not installed (Debian package iproute2)")
    figures = asyncio.run(crowd.measure(directory, readers=700, stuck=300, events=150, size=20_000))
    is_met = figures.missed == 0 and figures.beside_ms < 1.5 * figures.alone_ms
    is_met &= figures.process_growth / figures.stuck < 100 << 10 and figures.kernel_max < 512 << 10
    return Outcome(is_met, str(figures))


def upkeep(directory: Path) -> Outcome:
    command = [sys.executable, "-m", "tests.sabotage", "P1", "P2", "P3", "P4", "P5"]
    sabotage = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    is_met, figure = whole_suite(directory, TEST_MINUTES)
    return Outcome(sabotage.returncode == 0 and is_met, f"{sabotage.stdout.strip().splitlines()[-1]}; {figure}")


def whole_suite(directory: Path, max_minutes: float) -> Outcome:
    """Run ``make test`` in a clean clone."""
    place = clone(directory / "clone")
    began_at = time.monotonic()
    tests = place.shell("make test", seconds=1800)
    minutes = (time.monotonic() - began_at) / 60
    passed = re.findall(r"(?:\d+ failed, )?\d+ passed.*", tests.shown)[-1:] or [tests.shown[-3000:]]
    passed += re.findall(r"(?m)^(?:FAILED|ERROR) .*", tests.shown)
    figure = f"make test, with its set-up, ruff and mypy, took {minutes:.1f} minutes: {'; '.join(passed)}"
    return Outcome(tests.status == 0 and minutes < max_minutes, figure)


LINES = (
    Line("The terminal session of the README works as pasted, on a clean clone in an empty directory", readme_session),
    Line("The same behaviour over every tier x (ring, store), with switches of tier under publishing", delivery),
    Line("20 SIGKILLs under load: nothing acknowledged lost, nothing seen that is gone; synced before each 201", kills),
    Line("Removal, expiry and deletion end streams and waiting polls within a second, each with its reason", ending),
    Line(
        "Of 1,000 streams, 300 that never read cost bounded memory and slow nobody; one that paused misses nothing",
        many_streams,
    ),
    Line(f"Every planted defect is noticed; ruff, mypy and all tests in under {TEST_MINUTES} minutes", upkeep),
)
