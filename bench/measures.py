"""What is measured, one function for each row of the report; every figure is of one round of one server."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from typing import NamedTuple

from bench.load import Load
from bench.servers import Nchan, PlainTornado, RTServer, Server, SlowDisk, SseStarlette

Figures = dict[str, float]
SINGLE = {"fresh_keys": 1, "fresh_ids": 1}
# A trial at a rate; the rule of saturation is that everything arrives, in order, with this latency.
TRIAL_SECONDS = 2.0
MAX_P99_MS = 50
MAX_BUSY = 0.8
STREAMS = 1000
HERD_BEHIND = 500


class Measure(NamedTuple):
    """One question.  ``compares`` are the servers it is asked of, ours first."""

    name: str
    title: str
    run: Callable[[type[Server]], Figures]
    compares: tuple[type[Server], ...]


def fan_out(kind: type[Server], rate: float, streams: int = STREAMS, seconds: float = 3, **more: object) -> Figures:
    """Publish at ``rate`` to many streams; return what the load saw, and the server's CPU per delivery."""
    with kind() as server, Load(server, rate=rate, seconds=seconds, stream_count=streams, **more) as load:
        before = server.cpu_seconds()
        found = load.run()
        cpu = server.cpu_seconds() - before
    found["cpu_us"] = cpu / max(1, found["deliveries"]) * 1e6
    found["rate"] = rate
    return found


def keeps_the_rule(found: Figures) -> bool:
    is_whole = found["deliveries"] == found["expected"] and not found["out_of_order"] and not found["lost_connections"]
    return is_whole and 0 <= found["p99_ms"] <= MAX_P99_MS


def saturation(kind: type[Server]) -> Figures:
    """Find the highest rate that keeps the rule: in steps of half as much again, then by halving.

    A rate that takes more than four fifths of the load's core ends the search as well: beyond it the load would be
    measured.  ``server_busy`` says whether the server was at its end.
    """
    good, bad, best = 0.0, 0.0, Figures()
    rate = 30.0
    while not bad and rate < 20_000:
        found = fan_out(kind, rate, seconds=TRIAL_SECONDS)
        if keeps_the_rule(found) and found["busy"] <= MAX_BUSY:
            good, best = rate, found
            rate *= 1.5
        else:
            bad = rate
    while bad and bad / max(good, 1) > 1.08:
        rate = (good + bad) / 2
        found = fan_out(kind, rate, seconds=TRIAL_SECONDS)
        if keeps_the_rule(found) and found["busy"] <= MAX_BUSY:
            good, best = rate, found
        else:
            bad = rate
    return {
        "deliveries_per_s": good * STREAMS,
        "p99_ms": best.get("p99_ms", 0),
        "cpu_us": best.get("cpu_us", 0),
        "server_busy": best.get("cpu_us", 0) * good * STREAMS / 1e6,
        "load_busy": best.get("busy", 0),
    }


def at_100_a_second(kind: type[Server]) -> Figures:
    # Not while the first heartbeats and the probes of all streams go out, which come together only here.
    found = fan_out(kind, 100, warm_up=3, seconds=5)
    return {name: found[name] for name in ("cpu_us", "p50_ms", "p99_ms")} | {"load_busy": found["busy"]}


def idle_memory(kind: type[Server]) -> Figures:
    with kind() as server:
        before = server.resident_bytes()
        with Load(server, rate=0, seconds=0, stream_count=10_000, settle=0) as load:
            load.run()
            # Heartbeats and the probe have come by then, and whatever they leave behind.
            time.sleep(3)
            return {"bytes": (server.resident_bytes() - before) / 10_000}


def single_publish(kind: type[Server]) -> Figures:
    with kind() as server, Load(server, "publish", publisher_count=50, seconds=4, **SINGLE) as load:
        found = load.run()
    assert not found["refused"], found
    return {
        "per_s": found["acknowledged"] / found["seconds"],
        "p50_ms": found["publish_p50_ms"],
        "p99_ms": found["publish_p99_ms"],
        "load_busy": found["busy"],
    }


def batch_publish(kind: type[Server]) -> Figures:
    """Events a second in batches of 50, and what SQLite takes of the same rows on the same core and disk."""
    with kind() as server:
        raw = raw_rows_per_second(server)
        with Load(server, "publish", publisher_count=4, seconds=4, batch=50, body_format='{"events":[%s]}') as load:
            found = load.run()
    assert not found["refused"], found
    rate = found["acknowledged"] * 50 / found["seconds"]
    return {"per_s": rate, "raw_per_s": raw, "share": rate / raw, "p99_ms": found["publish_p99_ms"]}


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
    with kind() as server:
        assert isinstance(server, RTServer)
        server.request("POST", "/api/sessions", b'{"sessionId":"quiet"}')
        snapshot = json.loads(server.request("GET", "/api/sessions/quiet"))
        target = f"/api/sessions/quiet/updates?since={snapshot['lastModified']}&lastEventId={snapshot['lastEventId']}"
        probe = {"probe_every": 0.005, "probe_target": target, "probe_headers": 'If-None-Match: "x", *\r\n'}
        with Load(server, rate=4, seconds=3, stream_count=1, **probe) as load:
            alone = load.run()
        with Load(server, rate=4, seconds=5, stream_count=10_000, **probe) as load:
            during = load.run()
    assert during["deliveries"] == during["expected"] and not during["not_304"], during
    return {
        "alone_ms": alone["probe_p99_ms"],
        "p99_ms": during["probe_p99_ms"],
        "max_ms": during["probe_max_ms"],
        "held_ms": during["probe_max_ms"] - alone["probe_p50_ms"],
    }


def herd(kind: type[Server]) -> Figures:
    """10,000 streams come back at once, each 500 events behind, while ten events a second are published."""
    with kind() as server:
        assert isinstance(server, RTServer)
        path = "/api/sessions/bench/events"
        cursor = json.loads(server.request("GET", "/api/sessions/bench"))["lastEventId"]
        for first in range(0, HERD_BEHIND, 50):
            events = [
                {"type": "message_added", "data": {"content": f"@{0:016x}{first + n:08x}@" + "x" * 174}}
                for n in range(50)
            ]
            server.request("POST", path, json.dumps({"events": events}).encode())
        back = {"is_herd": 1, "stream_headers": f"Last-Event-ID: {cursor}\r\n", "live_from": HERD_BEHIND - 1}
        with Load(server, rate=10, seconds=16, stream_count=10_000, settle=4, **back) as load:
            found = load.run()
    return {
        "live_99_s": found["live_99_s"],
        "live_all_s": found["live_all_s"],
        "publish_p99_ms": found["publish_p99_ms"],
        "out_of_order": found["out_of_order"],
        "load_busy": found["busy"],
    }


def growth(kind: type[Server]) -> Figures:
    """CPU per delivery at 50,000 deliveries a second, the same to few streams often and to many seldom."""
    figures = {
        f"cpu_us_{streams}": fan_out(kind, 50_000 / streams, streams, seconds=6)["cpu_us"]
        for streams in (1000, 5000, 15_000)
    }
    return figures | {"growth": max(figures.values()) / figures["cpu_us_1000"]}


MEASURES = (
    Measure("saturation", "SSE deliveries at saturation, 1,000 streams", saturation, (RTServer, Nchan)),
    Measure("hundred", "100 events a second to 1,000 streams", at_100_a_second, (RTServer, Nchan)),
    Measure("idle", "Resident memory per idle stream, 10,000", idle_memory, (RTServer, Nchan)),
    Measure("publish", "Durable publishes, 50 connections, token, idempotency", single_publish, (RTServer, SlowDisk)),
    Measure("batch", "Durable publishes in batches of 50", batch_publish, (RTServer,)),
    Measure("modified", "304 during a fan-out to 10,000 streams", not_modified, (RTServer,)),
    Measure("herd", "10,000 streams come back, 500 events behind, beside 10 events a second", herd, (RTServer,)),
    Measure("growth", "50,000 deliveries a second to 1,000 to 15,000 streams", growth, (RTServer,)),
    Measure("peers", "Other ways to do it from Python: saturation", saturation, (SseStarlette, PlainTornado)),
)
