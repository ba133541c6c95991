"""From figures to docs/benchmarks.rst: medians, spread, ratios, and what was promised."""

from __future__ import annotations

import statistics
from typing import NamedTuple, TypedDict

from bench.measures import MEASURES
from bench.plot import bars
from bench.promises import NCHAN, OURS, PEERS, PROMISES, Figures, Promise, Results, median
from bench.servers import ROOT

REPORT = ROOT / "docs/benchmarks.rst"
PLOT = ROOT / "docs/benchmarks.svg"


class Record(TypedDict):
    """All that one or more runs found: the figures, the rounds that failed, and the machine they were taken on."""

    machine: list[str]
    measures: Results
    failures: dict[str, list[str]]
    sources: dict[str, str]  # what of this project was measured


NAMES = {
    "deliveries_per_s": "deliveries/s",
    "per_s": "a second",
    "raw_per_s": "raw SQLite, a second",
    "share": "share of raw",
    "bytes": "bytes a stream",
    "at_0_mb": "MB without streams",
    "at_10000_mb": "MB with 10,000",
    "cpu_us": "CPU us/delivery",
    "cpu_us_event": "CPU us/event",
    "cpu_us_request": "CPU us/request",
    "cpu_us_answer": "CPU us/answer",
    "per_answer": "events in an answer",
    "bytes_kept": "bytes a connection",
    "all_s": "all answered, s",
    "growth": "worst of the larger to 1,000 streams",
    "server_busy": "server's core",
    "load_busy": "load's core",
    "others": "others, of a core",
    "held_ms": "held up by, ms",
    "live_99_s": "99 % live, s",
    "live_all_s": "all live, s",
}

HOW = """\
``make bench`` installs what it compares with (nginx with nchan from Debian, the peers from PyPI), compiles the load,
runs every server on one core and the load on another, server after server and round after round, and writes this
page. One part alone, fewer rounds, or the page again from the figures that were kept in ``build/``::

    make bench ROUNDS=3 ONLY='saturation hundred'
    .venv/bin/python -m bench --rounds 1 --only publish --no-report
    .venv/bin/python -m bench --report

The load, ``bench/generator``, is one thread without dependencies. Each event holds its number and the moment its
publish was due; every delivery is timed from that moment (so a publish that had to wait for a free connection counts as
late), and every stream must get every number, in order and once: a run in which one did not is a failed round. Where
one row compares servers, both get the same requests a second; content is 200 bytes. rtserver puts JSON, an id and a
type around it (about twice the bytes), checks a token, and commits each event to disk (durability ``full``) before
anyone sees it; nchan and the peers send the bare text, from memory. rtserver runs with the settings of ``make run``,
but rate limits and the log of requests off; nchan's are explained in ``bench/nginx.conf``.

CPU is what the scheduler gave the server's process, all threads (nginx: its worker). A run during which anything else
had more than 15 % of a core is repeated, for all servers alike; the columns *others* and *load's core* show what was
left.
"""

RULES = """\
*Saturation*: the highest rate of publishes, one event to a request and sent by the clock whether or not earlier ones
were answered, at which every stream gets every event in order, with a p99 of at most 50 ms and the load's core at
most 80 % busy; found by steps of half as much again, then by halving, to 8 %. *Raw SQLite*: the same rows into the
same table on the same core and disk, 50 to a statement and a commit, ``synchronous=FULL``, no server around it. *Held
up*: the slowest 304 during the fan-out, less the median without one. *Live* after a return: a stream that has all it
missed, and all that was published until half a second ago. *An answer to a long poll* is what is compared with nchan:
a server that is late tells several events in one, which is cheaper, and no merit. *A 304 of a short poll* is asked for
by participants with tokens of their own, a thousand of them where there are so many connections; nginx and the plain
handler look nobody up. *Memory* is resident memory, with 10,000 less with none. Ratios are medians of the rounds'
ratios.
"""


def write_report(record: Record) -> None:
    results = record["measures"]
    panels = [
        (
            "Most deliveries/s to 1,000 streams (p99 at most 50 ms)",
            figures_of(results, "deliveries_per_s", "saturation"),
        ),
        ("CPU per delivery, 10 events/s to 1,000 streams, us", figures_of(results, "cpu_us", "ten")),
    ]
    drawn = [(title, values) for title, values in panels if values]
    if drawn:
        PLOT.write_text(bars(drawn))
    REPORT.write_text("\n".join(report(record, has_plot=bool(drawn))) + "\n")


def figures_of(results: Results, name: str, measure: str) -> list[tuple[str, float]]:
    found = [(server, median(results, measure, server, name)) for server in (OURS, NCHAN)]
    found += [
        (server, median(results, "peers" if measure == "saturation" else measure, server, name)) for server in PEERS
    ]
    return [(server, value) for server, value in found if value is not None]


def report(record: Record, has_plot: bool) -> list[str]:
    lines = ["Benchmarks", "==========", "", *HOW.splitlines(), "", *(f"* {fact}" for fact in record["machine"]), ""]
    if has_plot:
        lines += [".. image:: benchmarks.svg", "   :alt: most deliveries a second, and CPU per delivery", ""]
    lines += ["What was promised", "-----------------", ""]
    rows = [(promise.title, promise.bound, *rest) for promise, *rest in promised(record)]
    lines += [*table(("what", "wanted", "median", ""), rows), "", *RULES.splitlines(), ""]
    lines += ["All figures", "-----------", "", "Medians, with the least and the most of the rounds."]
    for measure in MEASURES:
        servers = record["measures"].get(measure.name, {})
        names = list(dict.fromkeys(name for rounds in servers.values() for figures in rounds for name in figures))
        failures = record["failures"].get(measure.name, [])
        if not names and not failures:
            continue
        lines += ["", measure.title, "~" * len(measure.title), ""]
        if names:
            lines += figures_table(servers, names)
        if failures:
            lines += ["", "Rounds that failed and are not counted:", "", *(f"* {failure}" for failure in failures)]
    return lines


def figures_table(servers: dict[str, list[Figures]], names: list[str]) -> list[str]:
    """Return a table of medians: a row for each server, or for each size at which it was measured (``name@size``)."""
    columns = list(dict.fromkeys(name.partition("@")[0] for name in names))
    sizes = list(dict.fromkeys(name.partition("@")[2] for name in names))
    rows = [
        (
            ", ".join(filter(None, (server, size))),
            str(len(rounds)),
            *(spread(rounds, f"{column}@{size}" if size else column) for column in columns),
        )
        for server, rounds in servers.items()
        for size in sizes
    ]
    titles = (NAMES.get(name) or name.replace("_ms", ", ms").replace("_", " ") for name in columns)
    return table(("", "rounds", *titles), rows)


class Verdict(NamedTuple):
    promise: Promise
    median: str
    verdict: str


def promised(record: Record) -> list[Verdict]:
    """Return every promise with its median and PASS or FAIL; a measure with a failed round fails."""
    verdicts = []
    for promise in PROMISES:
        figure = promise.figure(record["measures"])
        failed = len(record["failures"].get(promise.measure, []))
        if figure is None:
            verdicts.append(Verdict(promise, "not measured", "FAIL" if failed else ""))
        elif failed:
            verdicts.append(Verdict(promise, f"{shown(figure)} ({failed} failed)", "FAIL"))
        else:
            verdicts.append(Verdict(promise, shown(figure), "PASS" if promise.is_met(figure) else "FAIL"))
    return verdicts


def spread(rounds: list[dict[str, float]], name: str) -> str:
    values = sorted(figures[name] for figures in rounds if name in figures)
    return f"{shown(statistics.median(values))} ({shown(values[0])} - {shown(values[-1])})" if values else ""


def shown(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}" if abs(value) < 10 else f"{value:.1f}"


def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> list[str]:
    lines = [".. list-table::", "   :header-rows: 1", ""]
    for row in (head, *rows):
        lines += [f"   {'*' if not column else ' '} - {cell}".rstrip() for column, cell in enumerate(row)]
    return lines
