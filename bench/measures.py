"""What is measured, one function for each row of the report; every figure is of one round of one server."""

from __future__ import annotations

import json
import subprocess
import sys

from bench.connections import idle_memory, kept_memory, rush, tls_memory
from bench.growth import growth, growth_of_polls, growth_of_sessions, growth_of_sizes
from bench.load import Found, Load, undisturbed
from bench.polls import long_polls, questions, questions_at_most
from bench.runs import Figures, Measure, aside, fan_out, is_whole, publishing, whole
from bench.servers import TLS, Nchan, NginxStatic, PlainTornado, RTServer, Server, SlowDisk, SseStarlette

# What every measure says of itself: how busy the load's core was, and what share of a core something else took.
ASIDE = ("load_busy", "others")
SLOWER_MS = 10  # by which bench/slowsync.c slows the disk
SINGLE = {"fresh_keys": 1, "fresh_ids": 1}
# A trial at a rate; the rule of saturation is that everything arrives, in order, with this latency.
TRIAL_SECONDS = 2.0
MAX_P99_MS = 50
MAX_BUSY = 0.8
STREAMS = 1000
HERD_BEHIND = 500


def keeps_the_rule(found: Found) -> bool:
    return is_whole(found) and 0 <= found["p99_ms"] <= MAX_P99_MS and bool(found["busy"] <= MAX_BUSY)


def saturation(kind: type[Server]) -> Figures:
    """Find the highest rate that keeps the rule: in steps of half as much again, then by halving.

    A rate fails when it failed twice: one hiccup of the machine is not the server's end.  A rate that takes more than
    four fifths of the load's core ends the search as well: beyond it the load would be measured.  ``server_busy`` says
    whether the server was at its end.
    """
    good, bad = 0.0, 0.0
    best: Found = {}
    rate = kind.first_rate
    while not bad or bad / max(good, 1) > 1.08:
        for _ in range(2):
            found = fan_out(kind, rate, STREAMS, seconds=TRIAL_SECONDS)
            if keeps_the_rule(found):
                good, best = rate, found
                break
        else:
            bad = rate
        rate = (good + bad) / 2 if bad else rate * 1.5
    if not best:
        raise RuntimeError(f"no rate keeps the rule: {found}")
    return {
        "deliveries_per_s": good * STREAMS,
        "p50_ms": best["p50_ms"],
        "p99_ms": best["p99_ms"],
        "cpu_us": best["cpu_us"],
        "server_busy": best["server_cpu"] / best["seconds"],
    } | aside(best)


def at_100_a_second(kind: type[Server]) -> Figures:
    # Not while the first heartbeats and the probes of all streams go out, which come together only here.
    found = whole(fan_out(kind, 100, STREAMS, warm_up=3, seconds=5))
    return {name: found[name] for name in ("cpu_us", "p50_ms", "p99_ms")} | aside(found)


def at_10_a_second(kind: type[Server]) -> Figures:
    """As `at_100_a_second`, at a rate that the slowest of them carries."""
    found = whole(fan_out(kind, 10, STREAMS, warm_up=3, seconds=5))
    return {name: found[name] for name in ("cpu_us", "p50_ms", "p99_ms")} | aside(found)


def single_publish(kind: type[Server]) -> Figures:
    found = publishing(kind, publisher_count=50, **SINGLE)
    if kind is SlowDisk and found["publish_p50_ms"] < SLOWER_MS:
        raise RuntimeError(f"the disk was not slowed down: {found}")
    return {
        "per_s": found["acknowledged"] / found["seconds"],
        "p50_ms": found["publish_p50_ms"],
        "p99_ms": found["publish_p99_ms"],
    } | aside(found)


def batch_publish(kind: type[Server]) -> Figures:
    """Events a second in batches of 50, and what SQLite takes of the same rows on the same core and disk."""
    raw: list[float] = []

    def measure_raw(server: Server) -> dict[str, object]:
        raw.append(raw_rows_per_second(server))
        return {}

    found = publishing(
        kind,
        measure_raw,
        publisher_count=4,
        batch=50,
        body_format='{"events":[%s]}',
    )
    rate = found["acknowledged"] * 50 / found["seconds"]
    return {
        "per_s": rate,
        "raw_per_s": raw[-1],
        "share": rate / raw[-1],
        "p99_ms": found["publish_p99_ms"],
    } | aside(found)


RAW = """
import sqlite3, sys, time
from rtserver import schema
from pathlib import Path
path = Path(sys.argv[1])
schema.prepare(path)
connection = schema.connect(path)
connection.execute("PRAGMA synchronous = FULL")
insert = "INSERT INTO events (session, sequence, timestamp_us, type, data) VALUES "
statement = insert + ", ".join(["(?, ?, ?, ?, ?)"] * 50)
data, count, began_at = sys.argv[2], 0, time.perf_counter()
while time.perf_counter() - began_at < 3:
    numbers = range(count + 1, count + 51)
    rows = [value for n in numbers for value in (1, n, 1700000000000000 + n, "message_added", data)]
    connection.execute("BEGIN IMMEDIATE")
    connection.execute(statement, rows)
    connection.execute("COMMIT")
    count += 50
print(count / (time.perf_counter() - began_at))
"""


def raw_rows_per_second(server: Server) -> float:
    """Insert rows as the server stores them, 50 to a statement and a commit."""
    data = json.dumps(
        {
            "messageId": "0" * 36,
            "participantId": "bench",
            "content": "x" * 200,
            "timestamp": "2026-01-01T00:00:00.000000Z",
        }
    )
    command = ["taskset", "-c", server.core, sys.executable, "-c", RAW, str(server.directory / "raw.db"), data]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def not_modified(kind: type[Server]) -> Figures:
    """How long a 304 of a quiet session takes, alone and during a fan-out to 10,000 streams."""

    def trial() -> Found:
        with kind() as server:
            assert isinstance(server, RTServer)
            server.request("POST", "/api/sessions", b'{"sessionId":"quiet"}')
            snapshot = json.loads(server.request("GET", "/api/sessions/quiet"))
            target = (
                f"/api/sessions/quiet/updates?since={snapshot['lastModified']}&lastEventId={snapshot['lastEventId']}"
            )
            tag = server.open("GET", target).headers["ETag"]
            probe = {"probe_every": 0.005, "request_target": target, "request_headers": f"If-None-Match: {tag}\r\n"}
            # Without a fan-out: four events a second to nobody but one.
            with Load(server, rate=4, seconds=3, stream_count=1, **probe) as load:
                alone = load.run()
            with Load(server, rate=4, seconds=5, stream_count=10_000, warm_up=3, **probe) as load:
                during = load.run()
        if alone["unexpected"] or during["unexpected"]:
            raise RuntimeError(f"not every answer was a 304: {during}")
        return whole(during) | {"alone": alone}

    found = undisturbed(trial)
    alone = found["alone"]
    return {
        "alone_p50_ms": alone["request_p50_ms"],
        "alone_p99_ms": alone["request_p99_ms"],
        "alone_max_ms": alone["request_max_ms"],
        "p50_ms": found["request_p50_ms"],
        "p99_ms": found["request_p99_ms"],
        "max_ms": found["request_max_ms"],
        "held_ms": found["request_max_ms"] - alone["request_p50_ms"],
    } | aside(found)


def herd(kind: type[Server]) -> Figures:
    """10,000 streams come back at once, each 500 events behind, while ten events a second are published.

    A stream is live when it has all it missed and all that was published until half a second ago.
    """

    def trial() -> Found:
        with kind() as server:
            behind = server.fall_behind([f"@{0:016x}{n:08x}@" + "x" * 174 for n in range(HERD_BEHIND)])
            back = dict(each.split("=", 1) for each in behind) | {"is_herd": 1, "live_from": HERD_BEHIND - 1}
            with Load(server, rate=10, seconds=16, stream_count=10_000, settle=4, **back) as load:
                return load.run()

    found = whole(undisturbed(trial))
    if found["live_all_s"] < 0:
        raise RuntimeError(f"not every stream was live in 16 s: {found}")
    return {
        "live_99_s": found["live_99_s"],
        "live_all_s": found["live_all_s"],
        "publish_p50_ms": found["publish_p50_ms"],
        "publish_p99_ms": found["publish_p99_ms"],
    } | aside(found)


MEASURES = (
    Measure("saturation", "SSE deliveries at saturation, 1,000 streams", saturation, (RTServer, Nchan)),
    Measure("hundred", "100 events a second to 1,000 streams", at_100_a_second, (RTServer, Nchan)),
    Measure("idle", "Resident memory per idle stream, 10,000", idle_memory, (RTServer, Nchan)),
    Measure(
        "publish",
        "Durable publishes, 50 connections, token, idempotency; and what a plain handler answers that stores nothing",
        single_publish,
        (RTServer, SlowDisk, PlainTornado),
    ),
    Measure("batch", "Durable publishes in batches of 50", batch_publish, (RTServer,)),
    Measure("modified", "304 during a fan-out to 10,000 streams", not_modified, (RTServer,)),
    Measure("herd", "10,000 streams come back, 500 events behind, beside 10 events a second", herd, (RTServer,)),
    Measure(
        "polls", "20 events a second to 1,000 long polls, each asking again at once", long_polls, (RTServer, Nchan)
    ),
    Measure(
        "questions",
        "304 of a short poll, token and membership checked, 10,000 a second; and nginx's of a static file",
        questions,
        (RTServer, NginxStatic),
    ),
    Measure(
        "answers",
        "304s at most, 50 connections, token and membership checked; and a plain handler's that checks nothing",
        questions_at_most,
        (RTServer, PlainTornado),
    ),
    Measure("kept", "Resident memory per idle connection that is kept, 10,000", kept_memory, (RTServer, NginxStatic)),
    Measure("tls", "Resident memory per idle connection with TLS, 500", tls_memory, (TLS,)),
    Measure("rush", "4,000 that connect at once and ask", rush, (RTServer,)),
    Measure("growth", "50,000 deliveries a second to 100 to 15,000 streams", growth, (RTServer,), 3),
    Measure(
        "sessions",
        "1,000 events a second to 1 to 5,000 sessions, each followed by three participants",
        growth_of_sessions,
        (RTServer,),
        3,
    ),
    Measure("sizes", "Events of 100 bytes to 16 KB, 20 a second to 1,000 streams", growth_of_sizes, (RTServer,), 3),
    Measure(
        "pollers",
        "1,000 to 10,000 clients that poll: 5,000 deliveries a second to long polls, 2,000 304s a second to short ones",
        growth_of_polls,
        (RTServer,),
        3,
    ),
    Measure("peers", "Other ways to do it from Python: saturation", saturation, (SseStarlette, PlainTornado), 2),
    Measure(
        "ten",
        "10 events a second to 1,000 streams: what all of them carry",
        at_10_a_second,
        (RTServer, Nchan, SseStarlette, PlainTornado),
        2,
    ),
)
