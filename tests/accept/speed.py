"""What is claimed of speed: every row of docs/benchmarks.rst, and that the promises hold at it.

A row is measured now, or was by `make bench`, of this very source on this machine.
"""

from __future__ import annotations

import functools
import os
import subprocess
from pathlib import Path

from bench.__main__ import keep, read_record, rounds, write_record
from bench.machine import source
from bench.measures import MAX_BUSY, MEASURES
from bench.promises import SPEED_PROMISES, Promise, Results
from bench.report import shown, write_report
from bench.servers import ROOT
from tests.accept.core import planted, run_tests
from tests.accept.lines import Line, Outcome

ROUNDS = int(os.environ.get("ROUNDS", "7"))


@functools.cache
def measured(name: str) -> Results:
    """Return the figures by measure, among them those of ``name``, taken once for all lines that ask for it.

    What `make bench` has kept of this very source, in as many rounds, is not measured again; what is measured is kept,
    and goes to docs/benchmarks.rst.
    """
    measure = next(measure for measure in MEASURES if measure.name == name)
    record = read_record()
    kept = record["measures"].get(name, {})
    wanted = min(ROUNDS, measure.most)
    if record["sources"].get(name) != source() or any(len(found) < wanted for found in kept.values()):
        subprocess.run(["make", "build/load", "build/slowsync.so"], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        failures: list[str] = []
        keep(record, measure, rounds(measure, ROUNDS, failures), failures)
        write_record(record)
        write_report(record)
    return record["measures"]


def row(promise: Promise, directory: Path) -> Outcome:
    results = measured(promise.measure)
    figure = promise.figure(results)
    counts = ", ".join(f"{server}: {len(found)} rounds" for server, found in results[promise.measure].items())
    if figure is None:
        return Outcome(False, f"not measured; {counts}")
    return Outcome(promise.is_met(figure), f"{shown(figure)}, wanted {promise.bound} ({counts})")


def load_had_time(names: tuple[str, ...], directory: Path) -> Outcome:
    busy = [figures["load_busy"] for name in names for found in measured(name)[name].values() for figures in found]
    return Outcome(bool(busy) and max(busy) <= MAX_BUSY, f"its core was {max(busy):.0%} busy at most")


def load_line(*names: str) -> Line:
    title = f"The load was not what was measured: its core at most {MAX_BUSY:.0%} busy"
    return Line(title, functools.partial(load_had_time, names))


def promises_hold(directory: Path) -> Outcome:
    names = ("crash", "delivery", "simulation", "slow_readers", "blocks", "sink", "framing", "wire", "counters")
    return Outcome(*run_tests(*(f"tests/test_{name}.py" for name in names)))


def defects(directory: Path) -> Outcome:
    return planted("P2", "P3", "P4")


LINES = (
    *(Line(f"{each.title}: {each.bound}", functools.partial(row, each)) for each in SPEED_PROMISES),
    load_line("saturation", "hundred", "publish", "herd"),
    Line("P1 to P8 hold at these speeds: crash, order and simulation tests", promises_hold),
    Line("Every planted defect of order, gaps and bounds is noticed", defects),
)
