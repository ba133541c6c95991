"""What is claimed of networks: the clients behind every one of them, and the network check that names what is wrong."""

from __future__ import annotations

import asyncio
import functools
import tempfile
import time
from pathlib import Path

from tests.accept.clone import ROOT
from tests.accept.core import run_tests
from tests.accept.lines import Line, Outcome
from tests.networks.judge import judge, watchdog_seconds
from tests.networks.record import Record
from tests.networks.row import ONE_PROBE_SECONDS, SSE
from tests.networks.rows import ROWS
from tests.networks.runner import run_all
from tests.networks.table import table

QUICK_SECONDS = 180
TABLE = ROOT / "docs" / "networks-table.rst"


@functools.cache
def matrix() -> list[Record]:
    """Run every row with every client, once for all that is claimed of them; docs/networks-table.rst is of this run."""
    pairs = [(row, client) for row in ROWS for client in row.clients]
    with tempfile.TemporaryDirectory(prefix="rtserver-networks-") as directory:
        records = asyncio.run(run_all(pairs, Path(directory)))
    TABLE.write_text(table(records))
    return records


def delivery(directory: Path) -> Outcome:
    records = matrix()
    found = [each for record in records for each in judge(record)]
    seen = sum(len(record.reader.seen) for record in records)
    lesser = [phase for row in ROWS for phase in row.phases if phase.tier != SSE]
    figure = f"{len(records)} rows, {seen} events seen, {len(lesser)} lesser tiers explained"
    return Outcome(not found and all(phase.why for phase in lesser), "\n      ".join([figure, *found]))


def check_page(directory: Path) -> Outcome:
    return Outcome(*run_tests("tests/test_network_check.py"))


def sudden_faults(directory: Path) -> Outcome:
    """Silence that begins in the middle is noticed in the watchdog's time, and one probe after its end all is well."""
    figures, is_met = [], True
    for record in matrix():
        for number, phase in enumerate(record.row.phases[:-1]):
            if phase.is_mute:
                noticed, back = record.noticed_after(number), record.settled_after(number + 1)
                limit = watchdog_seconds(record.client, record.heartbeat_seconds)
                is_met &= noticed is not None and noticed <= limit + 1 and back <= ONE_PROBE_SECONDS
                figures.append(f"{record.name}: noticed after {noticed} s of {limit:g}, back after {back:.0f} s")
    sudden = [record for record in matrix() if len(record.row.phases) == 3]
    is_met &= bool(figures) and not any(judge(record) for record in sudden)
    return Outcome(is_met, "\n      ".join(figures))


def quick(directory: Path) -> Outcome:
    began_at = time.monotonic()
    is_met, figure = run_tests("tests/test_network_matrix.py")
    seconds = time.monotonic() - began_at
    return Outcome(is_met and seconds < QUICK_SECONDS, f"{seconds:.0f} s: {figure}")


LINES = (
    Line("Behind every network: no event lost, doubled or out of order, and every lesser tier explained", delivery),
    Line("The network check names each trouble that counts, and finds none on a clean path", check_page),
    Line("A fault that begins in the middle: noticed in the watchdog's time, over within one probe", sudden_faults),
    Line(f"The most important networks in less than {QUICK_SECONDS} s, in make test", quick),
)
