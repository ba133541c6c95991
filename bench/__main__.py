"""``python -m bench``: measure rtserver and what it is compared with, and write docs/benchmarks.rst.

Every figure is kept in build/benchmarks.json, from which ``python -m bench --report`` makes the page again.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time

from bench.machine import describe, source
from bench.measures import MEASURES, Measure
from bench.report import Figures, Record, promised, write_report
from bench.servers import ROOT

RECORD = ROOT / "build/benchmarks.json"


def main() -> None:
    names = [measure.name for measure in MEASURES]
    parser = argparse.ArgumentParser(prog="python -m bench", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=7, help="how often everything is measured (default 7)")
    parser.add_argument("--only", nargs="+", choices=names, default=names, metavar="NAME", help=", ".join(names))
    parser.add_argument("--no-report", action="store_true", help="print the figures; keep and write nothing")
    parser.add_argument("--report", action="store_true", help="measure nothing, write the page from what was kept")
    chosen = parser.parse_args()
    record = read_record()
    if not chosen.report:
        if (os.cpu_count() or 1) < 2:
            sys.exit("bench: two cores are needed, one for the server and one for the load")
        for measure in MEASURES:
            if measure.name in chosen.only:
                failures: list[str] = []
                keep(record, measure, rounds(measure, chosen.rounds, failures), failures)
                if not chosen.no_report:
                    write_record(record)
    for promise, median, verdict in promised(record):
        if promise.measure in chosen.only:
            print(f"{verdict or '----'}  {promise.title}: {median}, wanted {promise.bound}")
    if not chosen.no_report:
        write_report(record)
        print("written: docs/benchmarks.rst")


def rounds(measure: Measure, count: int, failures: list[str] | None = None) -> dict[str, list[Figures]]:
    """Measure every server in turn, round after round, so that what else the machine does hits all alike.

    A round counts whole or not at all, so that the servers' figures stay pairs; what went wrong in the others goes to
    ``failures``.
    """
    found: dict[str, list[Figures]] = {kind.name: [] for kind in measure.compares}
    count = min(count, measure.most)
    for number in range(1, count + 1):
        this: dict[str, Figures] = {}
        for kind in measure.compares:
            began_at = time.monotonic()
            print(f"bench: {measure.name}, round {number} of {count}: {kind.name}", file=sys.stderr, flush=True)
            try:
                this[kind.name] = figures = measure.run(kind)
            except (RuntimeError, AssertionError, OSError) as error:
                message = f"round {number}, {kind.name}: {error!s:.400}"
                print(f"bench: {measure.name}, {message}", file=sys.stderr, flush=True)
                if failures is not None:
                    failures.append(message)
                continue
            shown = ", ".join(f"{name} {value:,.2f}" for name, value in figures.items())
            took = time.monotonic() - began_at
            print(f"{measure.name} {number}/{count} {kind.name}: {shown} ({took:.0f} s)", flush=True)
        if len(this) == len(found):
            for name, figures in this.items():
                found[name].append(figures)
    return found


def keep(record: Record, measure: Measure, found: dict[str, list[Figures]], failures: list[str]) -> None:
    record["measures"][measure.name] = found
    record["failures"][measure.name] = failures
    record["sources"][measure.name] = source()
    record["machine"] = describe()


def read_record() -> Record:
    record: Record = {"machine": [], "measures": {}, "failures": {}, "sources": {}}
    if RECORD.exists():
        kept = json.loads(RECORD.read_text())
        if set(kept) == set(record):
            return kept  # type: ignore[no-any-return]
    return record


def write_record(record: Record) -> None:
    RECORD.parent.mkdir(exist_ok=True)
    RECORD.write_text(json.dumps(record, indent=1))


if __name__ == "__main__":
    main()
