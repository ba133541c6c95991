"""``python -m bench``: measure rtserver and what it is compared with, and write docs/benchmarks.rst."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time

from bench.measures import MEASURES, Measure
from bench.report import RESULTS, write_report
from bench.servers import ROOT


def main() -> None:
    names = [measure.name for measure in MEASURES]
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="how often everything is measured (default 7)")
    parser.add_argument("--only", nargs="+", choices=names, default=names, metavar="NAME", help=", ".join(names))
    parser.add_argument("--no-report", action="store_true", help="print the figures, leave the documentation alone")
    chosen = parser.parse_args()
    if (os.cpu_count() or 1) < 2:
        sys.exit("bench: two cores are needed, one for the server and one for the load")
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for measure in MEASURES:
        if measure.name in chosen.only:
            results[measure.name] = rounds(measure, chosen.rounds)
            RESULTS.parent.mkdir(exist_ok=True)
            RESULTS.write_text(json.dumps(results, indent=1))
    if not chosen.no_report:
        write_report(results)
        print(f"written: {(ROOT / 'docs/benchmarks.rst').relative_to(ROOT)}")


def rounds(measure: Measure, count: int) -> dict[str, list[dict[str, float]]]:
    """Measure every server in turn, round after round, so that what else the machine does hits all alike."""
    found: dict[str, list[dict[str, float]]] = {kind.name: [] for kind in measure.compares}
    for number in range(count):
        for kind in measure.compares:
            began_at = time.monotonic()
            try:
                figures = measure.run(kind)
            except (RuntimeError, AssertionError) as error:
                print(f"bench: {measure.name}, {kind.name}: {error!s:.300}", file=sys.stderr)
                continue
            found[kind.name].append(figures)
            shown = ", ".join(f"{name} {value:,.2f}" for name, value in figures.items())
            took = time.monotonic() - began_at
            print(f"{measure.name} {number + 1}/{count} {kind.name}: {shown} ({took:.0f} s)", flush=True)
    return found


if __name__ == "__main__":
    main()
