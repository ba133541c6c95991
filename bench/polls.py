"""What polls cost: long polls beside nchan's, and a 304 beside nginx's and a plain Tornado handler's."""

from __future__ import annotations

from bench.runs import Figures, aside, asking, fan_out, whole
from bench.servers import Server

LONG_POLLS = 1000
LONG_POLL_RATE = 20
# The same for both: how many a server finds waiting at once decides what each costs.
QUESTION_RATE = 10_000
QUESTIONERS = 50


def long_polls(kind: type[Server]) -> Figures:
    """CPU per delivery to long polls that ask again at once, from where they are."""
    found = fan_out(
        kind, LONG_POLL_RATE, LONG_POLLS, seconds=6, load="polls", prepare=lambda server: server.polls(), warm_up=2
    )
    if found["unexpected"]:
        raise RuntimeError(f"not every poll was answered: {found}")
    figures = {name: whole(found)[name] for name in ("cpu_us", "p50_ms", "p99_ms")}
    # A server that is at its end tells several events in one answer, which is cheaper and late.
    per_answer = found["deliveries"] / found["requests"]
    return figures | {"per_answer": per_answer, "cpu_us_answer": found["cpu_us"] * per_answer} | aside(found)


def questions(kind: type[Server]) -> Figures:
    """CPU per 304, by the clock."""
    found = asking(kind, lambda server: server.question(), rate=QUESTION_RATE, seconds=6, connection_count=QUESTIONERS)
    return {
        "cpu_us_request": found["cpu_us"],
        "p50_ms": found["request_p50_ms"],
        "p99_ms": found["request_p99_ms"],
    } | aside(found)


def questions_at_most(kind: type[Server]) -> Figures:
    """304s a second when every connection asks again as soon as it has been answered."""
    found = asking(kind, lambda server: server.question(), rate=0, seconds=4, connection_count=QUESTIONERS)
    return {
        "per_s": found["requests"] / found["seconds"],
        "cpu_us_request": found["cpu_us"],
        "p50_ms": found["request_p50_ms"],
        "p99_ms": found["request_p99_ms"],
    } | aside(found)
