"""One run of a server and a load, and what it must have found to count."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from bench.load import Found, Load, undisturbed
from bench.servers import Server

Figures = dict[str, float]
# Makes what the load needs at a server that has just started; returns parameters of the load.
Prepare = Callable[[Server], dict[str, object]]


class Measure(NamedTuple):
    """One question.  ``compares`` are the servers it is asked of, ours first; ``most`` rounds are enough."""

    name: str
    title: str
    run: Callable[[type[Server]], Figures]
    compares: tuple[type[Server], ...]
    most: int = 1000


def nothing(server: Server) -> dict[str, object]:
    return {}


def trial(kind: type[Server], load: str, prepare: Prepare = nothing, **parameters: object) -> Found:
    """Return what one load finds at a server of its own; again while anything else was busy on the machine."""

    def once() -> Found:
        with kind() as server, Load(server, load, **(prepare(server) | parameters)) as running:
            return running.run()

    return undisturbed(once)


def fan_out(
    kind: type[Server],
    rate: float,
    readers: int,
    seconds: float = 3,
    load: str = "streams",
    prepare: Prepare = nothing,
    **more: object,
) -> Found:
    """Publish at ``rate`` to many streams or polls; return what the load saw, and the server's CPU per delivery."""
    found = trial(kind, load, prepare, rate=rate, seconds=seconds, stream_count=readers, **more)
    found["cpu_us"] = found["server_cpu"] / max(1, found["deliveries"]) * 1e6
    return found


def publishing(kind: type[Server], prepare: Prepare = nothing, **more: object) -> Found:
    """Publish in a closed loop: each connection sends the next when the last was answered."""
    found = trial(kind, "publish", prepare, seconds=4, **more)
    if found["refused"] or found["lost_connections"]:
        raise RuntimeError(f"not every publish was taken: {found}")
    return found


def asking(kind: type[Server], prepare: Prepare, **more: object) -> Found:
    """Ask for one thing again and again; return what the load saw, and the server's CPU per request."""
    found = trial(kind, "requests", prepare, **more)
    if found["unexpected"] or found["lost_connections"] or not found["requests"]:
        raise RuntimeError(f"not every request was answered as it should be: {found}")
    found["cpu_us"] = found["server_cpu"] / found["requests"] * 1e6
    return found


def is_whole(found: Found) -> bool:
    """Whether every stream received every event, in order and once."""
    return bool(
        found["deliveries"] == found["expected"] and not found["out_of_order"] and not found["lost_connections"]
    )


def whole(found: Found) -> Found:
    if not is_whole(found):
        raise RuntimeError(f"not every stream received every event in order: {found}")
    return found


def aside(*runs: Found) -> Figures:
    return {"load_busy": max(run["busy"] for run in runs), "others": max(run["others"] for run in runs)}
