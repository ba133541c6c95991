"""From figures to docs/benchmarks.rst: medians, spread, ratios, and what was promised."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import NamedTuple, TypedDict

from bench.plot import bars
from bench.servers import ROOT

Figures = dict[str, float]
Results = dict[str, dict[str, list[Figures]]]  # by measure and server, a round each
REPORT = ROOT / "docs/benchmarks.rst"
PLOT = ROOT / "docs/benchmarks.svg"
OURS, NCHAN, SLOW = "rtserver", "nchan", "rtserver, every sync 10 ms slower"
PEERS = ("sse-starlette on uvicorn", "Tornado, a plain handler")


class Record(TypedDict):
    """All that one or more runs found: the figures, the rounds that failed, and the machine they were taken on."""

    machine: list[str]
    measures: Results
    failures: dict[str, list[str]]
    sources: dict[str, str]  # what of this project was measured


class Promise(NamedTuple):
    """One line of what must be reached: ``figure`` is the median that counts, None while it was not measured."""

    measure: str
    title: str
    bound: str
    figure: Callable[[Results], float | None]
    is_met: Callable[[float], bool]


def median(results: Results, measure: str, server: str, name: str) -> float | None:
    values = [figures[name] for figures in results.get(measure, {}).get(server, []) if name in figures]
    return statistics.median(values) if values else None


def of(measure: str, name: str, server: str = OURS, scale: float = 1) -> Callable[[Results], float | None]:
    def figure(results: Results) -> float | None:
        found = median(results, measure, server, name)
        return None if found is None else found * scale

    return figure


def ratio(measure: str, name: str, other: str = NCHAN) -> Callable[[Results], float | None]:
    """Return the median of the rounds' ratios to nchan, or to another."""

    def figure(results: Results) -> float | None:
        servers = results.get(measure, {})
        pairs = zip(servers.get(OURS, []), servers.get(other, []), strict=False)
        values = [ours[name] / theirs[name] for ours, theirs in pairs if theirs.get(name)]
        return statistics.median(values) if values else None

    return figure


PROMISES = (
    Promise("saturation", "SSE deliveries/s at saturation, against nchan", ">= 2.5 x",
            ratio("saturation", "deliveries_per_s"), lambda x: x >= 2.5),
    Promise("hundred", "CPU per delivery at 100 events/s, against nchan", "<= 1.0 x",
            ratio("hundred", "cpu_us"), lambda x: x <= 1.0),
    Promise("hundred", "p99 publish-to-receive at 100,000 deliveries/s, against nchan", "<= 1.2 x",
            ratio("hundred", "p99_ms"), lambda x: x <= 1.2),
    Promise("idle", "resident memory per idle stream, KB", "<= 6",
            of("idle", "bytes", scale=1 / 1024), lambda x: x <= 6),
    Promise("publish", "durable publishes/s", ">= 5,000", of("publish", "per_s"), lambda x: x >= 5000),
    Promise("publish", "the same against a plain Tornado handler that stores nothing (6,800/s where 5,000 was wanted)",
            ">= 0.74 x", ratio("publish", "per_s", PEERS[1]), lambda x: x >= 0.74),
    Promise("publish", "their p99, ms", "<= 20", of("publish", "p99_ms"), lambda x: x <= 20),
    Promise("publish", "their p99 with every sync 10 ms slower, ms", "< 60",
            of("publish", "p99_ms", SLOW), lambda x: x < 60),
    Promise("batch", "events/s in batches of 50, against raw SQLite", ">= 0.3 x",
            of("batch", "share"), lambda x: x >= 0.3),
    Promise("modified", "a 304 during a fan-out to 10,000 streams held up by, ms", "<= 20",
            of("modified", "held_ms"), lambda x: x <= 20),
    Promise("herd", "10,000 streams back with 500 events each: 99 % live after, s", "<= 5",
            of("herd", "live_99_s"), lambda x: 0 <= x <= 5),
    Promise("herd", "all live after, s", "<= 15", of("herd", "live_all_s"), lambda x: 0 <= x <= 15),
    Promise("herd", "p99 of publishes meanwhile, ms", "< 200", of("herd", "publish_p99_ms"), lambda x: x < 200),
    Promise("growth", "CPU per delivery from 1,000 to 15,000 streams grows by", "<= 1.3 x",
            of("growth", "growth"), lambda x: x <= 1.3),
)  # fmt: skip


NAMES = {
    "deliveries_per_s": "deliveries/s",
    "per_s": "a second",
    "raw_per_s": "raw SQLite, a second",
    "share": "share of raw",
    "bytes": "bytes a stream",
    "at_0_mb": "MB without streams",
    "at_10000_mb": "MB with 10,000",
    "cpu_us": "CPU us/delivery",
    "cpu_us_1000": "CPU us/delivery, 1,000 streams",
    "cpu_us_5000": "5,000 streams",
    "cpu_us_15000": "15,000 streams",
    "growth": "worst to 1,000 streams",
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

CPU is user and system time of the server's process, all threads (nginx: its worker). A run during which anything else
had more than 15 % of a core is repeated, for all servers alike; the columns *others* and *load's core* show what was
left.
"""

RULES = """\
*Saturation*: the highest rate of publishes, one event to a request and sent by the clock whether or not earlier ones
were answered, at which every stream gets every event in order, with a p99 of at most 50 ms and the load's core at
most 80 % busy; found by steps of half as much again, then by halving, to 8 %. *Raw SQLite*: the same rows into the
same table on the same core and disk, 50 to a statement and a commit, ``synchronous=FULL``, no server around it. *Held
up*: the slowest 304 during the fan-out, less the median without one. *Live* after a return: a stream that has all it
missed, and all that was published until half a second ago. Ratios are medians of the rounds' ratios.
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
    from bench.measures import MEASURES  # which imports the servers; the promises above are also read without them

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
            rows = [
                (server, str(len(rounds)), *(spread(rounds, name) for name in names))
                for server, rounds in servers.items()
            ]
            lines += table(
                ("", "rounds", *(NAMES.get(name) or name.replace("_ms", ", ms").replace("_", " ") for name in names)),
                rows,
            )
        if failures:
            lines += ["", "Rounds that failed and are not counted:", "", *(f"* {failure}" for failure in failures)]
    return lines


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
