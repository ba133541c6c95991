"""``python -m tests.networks [WORD ...]``: the matrix, or the rows with these words in their names.

By the real clock, so it takes its time; each row says how it went as soon as it is over.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

from tests.networks.judge import judge
from tests.networks.record import Record
from tests.networks.row import CLIENTS
from tests.networks.rows import ROWS
from tests.networks.runner import run_all
from tests.networks.table import table


def shown(record: Record) -> str:
    """Return what one client went through, for whoever looks for the cause of something."""
    lines = [f"{record.name}: first event after {record.first_data_at or -1:.2f} s, held {record.most_held},"]
    lines += [f"  {record.requests_per_second:.2f} requests a second, at most {record.busiest} in ten"]
    times = [
        (began_at, f"network: {phase.network}")
        for phase, began_at in zip(record.row.phases, record.phase_began, strict=False)
    ]
    times += [(moment.at, f"{moment.state}, {moment.tier} {moment.reason}") for moment in record.moments]
    return "\n".join(lines + [f"  {at:7.1f} s  {what}" for at, what in sorted(times)])


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.networks", description=__doc__)
    parser.add_argument("words", nargs="*", help="rows with one of these in their name; all without")
    parser.add_argument("--client", choices=CLIENTS, help="only this one")
    parser.add_argument("--heartbeat", type=int, default=30, help="seconds between the server's heartbeats")
    parser.add_argument("--quiet", action="store_true", help="only what is wrong")
    parser.add_argument("--table", type=Path, help="write the table there")
    options = parser.parse_args()
    pairs = [
        (row, client)
        for row in ROWS
        for client in row.clients
        if options.client in (None, client) and (not options.words or any(word in row.name for word in options.words))
    ]
    with tempfile.TemporaryDirectory(prefix="rtserver-networks-") as directory:
        records = asyncio.run(run_all(pairs, Path(directory), heartbeat_seconds=options.heartbeat))
    violations = [found for record in records for found in judge(record)]
    for record in records:
        if not options.quiet or judge(record):
            print(shown(record))
    if options.table:
        options.table.write_text(table(records))
    print("\n".join(violations) or f"{len(records)} rows, nothing wrong")
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
