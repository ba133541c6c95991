"""The table of the matrix for people, as reStructuredText: made by a run, never by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from tests.networks.judge import judge
from tests.networks.record import Record
from tests.networks.row import CLIENTS, SSE, Row

HEAD = """\
.. Made by ``make networks``; what is changed here by hand is gone with the next run.

Where there are two values, the first is Chromium with the browser client, the second the Python client.  *Tier*:
where the client ends while the network is as it is, and *after* how many seconds.  *Back*: after how many seconds it is
on the best tier again when the fault is over.  *First event*: after how many seconds the first message is there, while
messages are published all the time.  *Requests*: a second, on average over the run.  *Held*: connections at the same
time, at most; there are two while a better tier is probed beside the running one.

.. list-table::
   :header-rows: 1
   :widths: 26 14 8 8 8 8 6 26

   * - Network
     - Tier
     - After
     - Back
     - First event
     - Requests
     - Held
     - Why
"""


def table(records: Iterable[Record]) -> str:
    """Return the table of a run; each network has a line, with both clients in it."""
    by_row: dict[str, list[Record]] = {}
    for record in sorted(records, key=lambda record: CLIENTS.index(record.client)):
        by_row.setdefault(record.row.name, []).append(record)
    order = list(dict.fromkeys(record.row.name for record in records))
    return HEAD + "".join(_line(by_row[name]) for name in order)


def _line(records: list[Record]) -> str:
    row = records[0].row
    cells = [
        row.name + (f" (``{' '.join(_fault(row))}``)" if _fault(row) else ""),
        _both(records, lambda record: _words(record.tier_at(record.span(_worst(record.row))[1]))),
        _both(records, lambda record: f"{record.settled_after(_worst(record.row)):.0f}"),
        _both(records, _back),
        _both(records, lambda record: f"{record.first_data_at or 0:.1f}"),
        _both(records, lambda record: f"{record.requests_per_second:.2f}"),
        _both(records, lambda record: str(record.most_held)),
        "; ".join(
            each
            for each in dict.fromkeys(
                [*(record.row.phases[_worst(record.row)].why for record in records), *_wrong(records)]
            )
            if each
        ),
    ]
    return "   * - " + "\n     - ".join(cell.strip() or "\\" for cell in cells) + "\n"


def _wrong(records: list[Record]) -> list[str]:
    """Return that something is not as it should be: a table does not hide it."""
    return [f"**{record.client}: not as expected**" for record in records if judge(record)]


def _worst(row: Row) -> int:
    """Return the number of the phase that the row is about: the one with the fault."""
    return next((number for number, phase in enumerate(row.phases) if phase.network), 0)


def _fault(row: Row) -> tuple[str, ...]:
    return row.phases[_worst(row)].network


def _back(record: Record) -> str:
    last = len(record.row.phases) - 1
    if last == _worst(record.row):
        return "-"
    was_lesser = record.tier_at(record.phase_began[last]) != SSE
    seconds = record.settled_after(last)
    return f"{seconds:.0f}" if was_lesser or seconds else "at once"


def _words(tier: str) -> str:
    return {"sse": "SSE", "long-poll": "long poll", "short-poll": "short poll", "none": "none"}[tier]


def _both(records: list[Record], value: Callable[[Record], str]) -> str:
    values = [value(record) for record in records]
    return values[0] if len(set(values)) == 1 else " / ".join(values)
