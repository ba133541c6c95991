"""A server under siege: how an ordinary client fares beside thousands that send slowly or nothing, and in a rush.

The real program, measured from outside.  Used by the tests with few and by ``make accept`` with thousands.
"""

from __future__ import annotations

import asyncio
import json
import resource
import select
import socket
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from tests.http import Connection, request
from tests.process import ServerProcess
from tests.stopwatch import longest_hold

PAUSE_SECONDS = 0.01
# An ordinary client may be slowed so much: the larger of the two.
MAX_FACTOR, MAX_SECONDS = 3.0, 0.05
HOLDS = "holds"
RUSH = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"


class Took(NamedTuple):
    """How long the requests of an ordinary client took, in seconds."""

    median: float
    p99: float
    worst: float

    @classmethod
    def of(cls, seconds: list[float]) -> Took:
        return cls(statistics.median(seconds), statistics.quantiles(seconds, n=100)[-1], max(seconds))

    def __str__(self) -> str:
        return f"{self.median * 1000:.1f} ms (p99 {self.p99 * 1000:.1f} ms, worst {self.worst * 1000:.1f} ms)"


@dataclass
class Besieged:
    slow: int
    silent: int
    alone: Took
    beside: Took
    told: int  # slow ones that were told so
    closed: int  # others that were put out
    grown_bytes: int
    longest_hold: float  # the longest turn of the server's loop, in seconds

    @property
    def is_met(self) -> bool:
        return self.beside.p99 <= max(MAX_FACTOR * self.alone.p99, MAX_SECONDS)

    def __str__(self) -> str:
        return (
            f"beside {self.slow} that send a head byte by byte and {self.silent} that send nothing a request took "
            f"{self.beside}, alone {self.alone}; the loop was held for {self.longest_hold * 1000:.0f} ms at most; "
            f"{self.told} were told that they are too slow and {self.closed} closed, all came back; "
            f"{self.grown_bytes / (self.slow + self.silent) / 1024:.1f} KB of memory each"
        )


async def ordinary(server: ServerProcess, seconds: float) -> Took:
    """Ask again and again, in turn on a connection that is kept and on a new one."""
    headers = server.headers("service")
    took, target = [], "/api/sessions?limit=1"
    until = time.monotonic() + seconds
    async with Connection(server.port) as kept:
        while time.monotonic() < until:
            began_at = time.monotonic()
            answer = await kept.request("GET", target, headers)
            between = time.monotonic()
            again = await request(server.port, "GET", target, headers)
            took += [between - began_at, time.monotonic() - between]
            assert answer.status == again.status == 200
            await asyncio.sleep(PAUSE_SECONDS)
    return Took.of(took)


async def besiege(data_dir: Path, slow: int, silent: int, seconds: float, alone_seconds: float = 5) -> Besieged:
    """Measure an ordinary client alone and then beside others; ``seconds`` beyond 16 show how these are put out."""
    with watched(data_dir) as server:
        await ordinary(server, 0.5)
        alone = await ordinary(server, alone_seconds)
        before = server.resident_bytes()
        command = [sys.executable, "-m", "tests.besiegers", str(server.port), str(slow), str(silent)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as besiegers:
            assert besiegers.stdout is not None and besiegers.stdout.readline() == "ready\n"
            grown_bytes = server.resident_bytes() - before
            began_at = time.monotonic()
            beside = await ordinary(server, seconds)
            held = longest_hold(data_dir / HOLDS, began_at, time.monotonic())
            shown, _ = await asyncio.to_thread(besiegers.communicate, "")
        server.stop()
    return Besieged(slow, silent, alone, beside, grown_bytes=grown_bytes, longest_hold=held, **json.loads(shown))


@dataclass
class Rush:
    count: int
    served: int
    seconds: float  # from the first connect to the last answer
    longest_hold: float  # the longest turn of the server's loop, in seconds

    def __str__(self) -> str:
        return (
            f"{self.served} of {self.count} that connect at once were answered within {self.seconds:.2f} s; "
            f"meanwhile the loop was held for {self.longest_hold * 1000:.0f} ms at most"
        )


def rush(data_dir: Path, count: int) -> Rush:
    """Let so many connect at once and ask."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with watched(data_dir) as server:
        began_at = time.monotonic()
        served, seconds = _connect_at_once(server.port, count)
        ended_at = time.monotonic()
        server.stop()
    return Rush(count, served, seconds, longest_hold(data_dir / HOLDS, began_at, ended_at))


def watched(data_dir: Path) -> ServerProcess:
    """Return a server that notes how long its loop is held."""
    data_dir.mkdir(parents=True, exist_ok=True)
    command = ["env", f"STOPWATCH={data_dir / HOLDS}", sys.executable, "-m", "tests.stopwatch"]
    return ServerProcess(data_dir, "--log-level", "error", command=command)


def _connect_at_once(port: int, count: int) -> tuple[int, float]:
    clients = [socket.socket() for _ in range(count)]
    poll, served, last_at = select.epoll(), 0, 0.0
    began_at = time.monotonic()
    for client in clients:
        client.setblocking(False)
        client.connect_ex(("127.0.0.1", port))
        poll.register(client.fileno(), select.EPOLLOUT | select.EPOLLONESHOT)
    by_descriptor = {client.fileno(): client for client in clients}
    while served < count and time.monotonic() < began_at + 30:
        for descriptor, mask in poll.poll(1, 1000):
            if mask & select.EPOLLOUT:
                by_descriptor[descriptor].send(RUSH)
                poll.modify(descriptor, select.EPOLLIN | select.EPOLLONESHOT)
            elif b" 200 " in by_descriptor[descriptor].recv(4096):
                served += 1
                last_at = time.monotonic()
    for client in clients:
        client.close()
    return served, last_at - began_at
