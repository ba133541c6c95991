"""What the core claims: a session's events, durable, over event streams and long polls."""

from __future__ import annotations

import asyncio
import re
import sys
import time
from pathlib import Path

from tests import crowd, endings, tracing
from tests.accept.clone import ROOT, clone, demonstrate, fresh_debian, session_of
from tests.accept.lines import Line, Outcome
from tests.command import run
from tests.crash import CrashRun
from tests.readme import EXPECTED
from tests.sabotage.defects import DEFECTS

TEST_MINUTES = 5
SABOTAGE_SECONDS = 1800
TEST_SECONDS = 600


def readme_session(directory: Path) -> Outcome:
    place = fresh_debian(directory)
    where = place if isinstance(place, str) else "in a fresh Debian bookworm"
    if isinstance(place, str):
        place = clone(directory / "clone")
    demo = demonstrate(place)
    if "rtserver ready" not in demo:
        return Outcome(False, f"{where}: make run said {demo[-2000:]}")
    wrong, count = session_of(place), sum(map(len, EXPECTED))
    figure = f"make run is ready, and the session shows {count - len(wrong)} of {count} things that it should"
    return Outcome(not wrong, "; ".join([f"{where}, from a clean clone: {figure}", *wrong]))


def run_tests(*arguments: str) -> tuple[bool, str]:
    """Run tests by name; return whether all passed, and pytest's last line."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", "2", *arguments]
    ran = run(command, TEST_SECONDS, ROOT)
    return ran.status == 0, ran.last_line if ran.status == 0 else ran.shown[-3000:]


def delivery(directory: Path) -> Outcome:
    return Outcome(*run_tests("tests/test_delivery.py"))


def kills(directory: Path) -> Outcome:
    report = asyncio.run(CrashRun(directory / "crash").run(rounds=20, acknowledged=1000, in_flight=20))
    is_met = not report.violations and report.lost == report.gone == report.holes == 0 and report.kills == 20
    is_met &= report.min_in_flight >= 20 and report.min_acknowledged >= 1000
    if tracing.STRACE is None:
        return Outcome(False, f"{report}; strace is not installed")
    trace = asyncio.run(tracing.trace_publishes(directory / "traced", directory / "trace", 50, "full"))
    synced = tracing.synced_before_acknowledged(trace)
    figure = f"{report}; by strace {sum(synced)} of {len(synced)} publishes had the log synced before their 201"
    return Outcome(is_met and len(synced) == 50 and all(synced), figure)


def ending(directory: Path) -> Outcome:
    ended = asyncio.run(endings.measure(directory))
    is_met = all(each.words == endings.EXPECTED[each.cause, each.tier] and 0 <= each.seconds < 1 for each in ended)
    longest = max(ended, key=lambda each: each.seconds)
    figure = ", ".join(f"{each.cause} {each.tier} {1000 * each.seconds:.0f} ms {sorted(each.words)}" for each in ended)
    return Outcome(
        is_met,
        f"the longest delay was {1000 * longest.seconds:.0f} ms ({longest.cause} {longest.tier}); "
        f"the last of {endings.READERS} readers each: {figure}",
    )


def many_streams(directory: Path) -> Outcome:
    if crowd.SS is None:
        return Outcome(False, "ss is not installed (Debian package iproute2)")
    figures = asyncio.run(crowd.measure(directory, readers=700, stuck=300, events=150, size=20_000))
    is_met = figures.missed == figures.disordered == 0 and figures.beside.median_ms < 1.5 * figures.alone.median_ms
    is_met &= figures.process_growth / figures.stuck < 100 << 10 and figures.kernel_max < 512 << 10
    return Outcome(is_met, str(figures))


def upkeep(directory: Path) -> Outcome:
    noticed, defects = planted(*sorted({defect.promise for defect in DEFECTS if defect.promise.startswith("P")}))
    passed, suite = whole_suite(directory, TEST_MINUTES)
    return Outcome(noticed and passed, f"{defects}; {suite}")


def planted(*promises: str) -> Outcome:
    """Plant the defects of these; say how many are noticed, and which are not."""
    ran = run([sys.executable, "-m", "tests.sabotage", *promises], SABOTAGE_SECONDS, ROOT)
    unnoticed = re.findall(r"(?m)^GREEN .*", ran.shown)
    return Outcome(ran.status == 0, "; ".join([f"{', '.join(promises)}: {ran.last_line}", *unnoticed]))


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
