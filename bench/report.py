"""From figures to docs/benchmarks.rst: medians, spread, ratios, and what was promised."""

from __future__ import annotations

import platform
import shutil
import statistics
import subprocess
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

from bench.servers import ROOT

Results = dict[str, dict[str, list[dict[str, float]]]]
RESULTS = ROOT / "build/benchmarks.json"
REPORT = ROOT / "docs/benchmarks.rst"
OURS, NCHAN, SLOW = "rtserver", "nchan", "rtserver, every sync 10 ms slower"


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


def ratio(measure: str, name: str) -> Callable[[Results], float | None]:
    """Return the median of the rounds' ratios to nchan."""

    def figure(results: Results) -> float | None:
        servers = results.get(measure, {})
        pairs = zip(servers.get(OURS, []), servers.get(NCHAN, []), strict=False)
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


def write_report(results: Results) -> None:
    REPORT.write_text("\n".join(report(results)) + "\n")


def report(results: Results) -> list[str]:
    lines = [
        "Benchmarks",
        "==========",
        "",
        "Made by ``make bench``, which installs what it compares with, runs every server on one core and the load on",
        "another, in turn, round after round, and writes this page. One part alone, fewer rounds::",
        "",
        "    make bench ROUNDS=3 ONLY='saturation hundred'",
        "",
        f"Machine: {cpu_model()}, 2 cores used; Linux {platform.release()}; Python {platform.python_version()},",
        f"Tornado {version('tornado')}; {nginx_version()}.",
        "Events of 200 bytes over loopback; durability full; the settings are those of ``make run`` with rate limits",
        "and the log of requests off. The load is ``bench/load.c``: it counts every delivery, in order and each once,",
        "and times it from the moment its publish was due.",
        "",
        "What was promised",
        "-----------------",
        "",
        *table(("what", "at least", "median", ""), [promised(promise, results) for promise in PROMISES]),
        "",
        "*Saturation*: the highest rate, one event to a request and sent by the clock whether or not earlier ones were",
        "answered, at which every stream received every event in order with a p99 of at most 50 ms.",
        "",
        "All figures",
        "-----------",
    ]
    from bench.measures import MEASURES

    for measure in MEASURES:
        servers = results.get(measure.name, {})
        names = list(dict.fromkeys(name for rounds in servers.values() for figures in rounds for name in figures))
        if not names:
            continue
        lines += ["", measure.title, "~" * len(measure.title), ""]
        rows = [(server, *(spread(rounds, name) for name in names)) for server, rounds in servers.items() if rounds]
        lines += table(("", *names), rows)
    lines += ["", "Figures are medians, with the least and the most of all rounds."]
    return lines


def promised(promise: Promise, results: Results) -> tuple[str, ...]:
    figure = promise.figure(results)
    if figure is None:
        return promise.title, promise.bound, "not measured", ""
    return promise.title, promise.bound, shown(figure), "PASS" if promise.is_met(figure) else "FAIL"


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


def cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def nginx_version() -> str:
    if not shutil.which("nginx"):
        return "no nginx"
    nginx = subprocess.run(["nginx", "-v"], capture_output=True, text=True).stderr.strip().rpartition("/")[2]
    asked = ["dpkg-query", "-W", "-f", "${Version}", "libnginx-mod-nchan"]
    nchan = subprocess.run(asked, capture_output=True, text=True).stdout if shutil.which("dpkg-query") else ""
    return f"nginx {nginx} with nchan {nchan or 'of unknown version'}"
