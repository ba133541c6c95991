"""What a delivery or a request costs as there is more of everything: streams, sessions, bytes, clients that poll."""

from __future__ import annotations

from functools import partial

from bench.load import Found
from bench.runs import Figures, aside, asking, fan_out, whole
from bench.servers import RTServer, Server

DELIVERIES = 50_000
STREAMS = (100, 1000, 5000, 15_000)
SESSIONS = (1, 10, 100, 1000, 5000)
PARTICIPANTS = 3
# As many events as one publish each leaves room for beside the deliveries.
SESSION_EVENTS = 1000
SIZES = (100, 1000, 4000, 16_000)
SIZE_RATE = 20
POLLERS = (1000, 5000, 10_000)
POLL_DELIVERIES = 5000
QUESTIONS = 2000


def growth(kind: type[Server]) -> Figures:
    """CPU per delivery at 50,000 deliveries a second, the same to few streams often and to many seldom."""
    runs = {streams: whole(fan_out(kind, DELIVERIES / streams, streams, seconds=6, warm_up=3)) for streams in STREAMS}
    # A hundred streams are told of 500 publishes a second, which cost what they cost: deliveries are compared.
    worst = max(found["cpu_us"] for streams, found in runs.items() if streams >= 1000)
    return (
        at(runs, "streams", "cpu_us", "p50_ms", "p99_ms")
        | {"growth": worst / runs[1000]["cpu_us"]}
        | aside(*runs.values())
    )


def at(runs: dict[int, Found], what: str, *names: str) -> Figures:
    """Return the figures of runs of several sizes, each under its name and its size."""
    return {f"{name}@{size:,} {what}": found[name] for size, found in runs.items() for name in names}


def growth_of_sessions(kind: type[Server]) -> Figures:
    """CPU per event, published one by one to one session or another, each with three participants that follow it."""
    runs = {}
    for sessions in SESSIONS:
        found = fan_out(
            kind,
            SESSION_EVENTS,
            PARTICIPANTS * sessions,
            seconds=6,
            prepare=partial(many_sessions, count=sessions),
            warm_up=3,
        )
        runs[sessions] = whole(found)
        found["cpu_us_event"] = found["server_cpu"] / found["acknowledged"] * 1e6
    return at(runs, "sessions", "cpu_us_event", "p50_ms", "p99_ms") | aside(*runs.values())


def many_sessions(server: Server, count: int) -> dict[str, object]:
    assert isinstance(server, RTServer)
    return server.people(PARTICIPANTS, *(f"growing-{number}" for number in range(count))) | {
        "sessions": count,
        "stream_target": "/api/sessions/growing-{session}/events",
        "publish_target": "/api/sessions/growing-{session}/events",
    }


def growth_of_sizes(kind: type[Server]) -> Figures:
    """CPU per delivery of events of 100 bytes to 16 KB, twenty a second to 1,000 streams."""
    runs = {size: whole(fan_out(kind, SIZE_RATE, 1000, seconds=5, warm_up=3, content=size)) for size in SIZES}
    return at(runs, "bytes", "cpu_us", "p50_ms", "p99_ms") | aside(*runs.values())


def growth_of_polls(kind: type[Server]) -> Figures:
    """CPU per delivery of long polls and per 304 of short ones, the same to few clients often and to many seldom."""
    longs = {
        clients: whole(
            fan_out(
                kind,
                POLL_DELIVERIES / clients,
                clients,
                seconds=8,
                load="polls",
                prepare=lambda server: server.polls(),
                warm_up=4,
            )
        )
        for clients in POLLERS
    }
    shorts = {
        clients: asking(kind, lambda server: server.question(), rate=QUESTIONS, seconds=6, connection_count=clients)
        for clients in POLLERS
    }
    for found in longs.values():
        found["cpu_us_answer"] = found["server_cpu"] / found["requests"] * 1e6
    for found in shorts.values():
        found |= {
            "cpu_us_answer": found["cpu_us"],
            "p50_ms": found["request_p50_ms"],
            "p99_ms": found["request_p99_ms"],
        }
    return (
        at(longs, "long polls", "cpu_us_answer", "p50_ms", "p99_ms")
        | at(shorts, "short polls", "cpu_us_answer", "p50_ms", "p99_ms")
        | aside(*longs.values(), *shorts.values())
    )
