"""What must be reached, and how its figure is made of those of the rounds."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import NamedTuple

Figures = dict[str, float]
Results = dict[str, dict[str, list[Figures]]]  # by measure and server, a round each
OURS, NCHAN, SLOW = "rtserver", "nchan", "rtserver, every sync 10 ms slower"
STATIC = "nginx, a static file"
PEERS = ("sse-starlette on uvicorn", "Tornado, a plain handler")


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


SPEED_PROMISES = (
    Promise("saturation", "SSE deliveries/s at saturation, against nchan", ">= 2.5 x",
            ratio("saturation", "deliveries_per_s"), lambda x: x >= 2.5),
    Promise("hundred", "CPU per delivery at 100 events/s, against nchan", "<= 1.0 x",
            ratio("hundred", "cpu_us"), lambda x: x <= 1.0),
    Promise("hundred", "p99 publish-to-receive at 100,000 deliveries/s, against nchan", "<= 1.2 x",
            ratio("hundred", "p99_ms"), lambda x: x <= 1.2),
    Promise("idle", "resident memory per idle stream, KB", "<= 4",
            of("idle", "bytes", scale=1 / 1024), lambda x: x <= 4),
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
WIRE_PROMISES = (
    Promise("kept", "resident memory per idle connection that is kept, KB", "<= 4",
            of("kept", "bytes_kept", scale=1 / 1024), lambda x: x <= 4),
    Promise("tls", "the same with TLS, KB", "<= 48", of("tls", "bytes_kept", scale=1 / 1024), lambda x: x <= 48),
    Promise("publish", "durable publishes/s, the goal", ">= 15,000", of("publish", "per_s"), lambda x: x >= 15_000),
    Promise("polls", "CPU per answer to a long poll, at 20 events/s to 1,000, against nchan", "<= 1.5 x",
            ratio("polls", "cpu_us_answer"), lambda x: x <= 1.5),
    Promise("questions", "CPU per 304 of a short poll, against nginx's of a static file", "<= 6 x",
            ratio("questions", "cpu_us_request", STATIC), lambda x: x <= 6),
    Promise("answers", "304s/s of short polls, against a plain Tornado handler's", ">= 5 x",
            ratio("answers", "per_s", PEERS[1]), lambda x: x >= 5),
    Promise("rush", "4,000 that connect at once are all answered after, s", "<= 1",
            of("rush", "all_s"), lambda x: x <= 1),
    Promise("rush", "the loop held meanwhile, ms", "<= 50", of("rush", "loop_held_ms"), lambda x: x <= 50),
)  # fmt: skip
PROMISES = SPEED_PROMISES + WIRE_PROMISES
