"""A crowd of event streams on the real program: readers, and some that never read.

Measured from outside: how long an event takes to reach every reader, the process's memory, and the kernel's for its
sockets.  Used by the tests with a small crowd and by ``make accept`` with a thousand.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import re
import shutil
import socket
import statistics
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from tests.http import Connection
from tests.process import ServerProcess
from tests.readers import sequence_of

SS = shutil.which("ss")


class Delay(NamedTuple):
    """How long an event takes to reach every reader."""

    median_ms: float
    p95_ms: float

    @classmethod
    def of(cls, seconds: list[float]) -> Delay:
        return cls(statistics.median(seconds) * 1000, statistics.quantiles(seconds, n=20)[-1] * 1000)

    def __str__(self) -> str:
        return f"{self.median_ms:.1f} ms (p95 {self.p95_ms:.1f} ms)"


@dataclass
class Figures:
    readers: int
    stuck: int
    alone: Delay  # without the stuck ones
    beside: Delay  # and beside them
    process_growth: int  # bytes of resident memory that the stuck ones cost together
    kernel_bytes: int  # bytes the kernel queues for the stuck ones together, at the server's end
    kernel_max: int  # and for the worst of them
    missed: int  # events that one which paused and resumed did not get
    disordered: int  # and those it got twice or in another order
    published_bytes: int  # to each stream while the stuck ones did not read

    def __str__(self) -> str:
        return (
            f"{self.readers} readers: an event reached all in {self.alone} alone and in "
            f"{self.beside} beside {self.stuck} that never read; these cost "
            f"{self.process_growth / max(1, self.stuck) / 1024:.1f} KB each in the process and "
            f"{self.kernel_bytes / max(1, self.stuck) / 1024:.0f} KB in the kernel (worst {self.kernel_max >> 10} KB) "
            f"after {self.published_bytes / 1e6:.1f} MB were published; one that paused and "
            f"resumed missed {self.missed} and got {self.disordered} out of order"
        )


class Member(asyncio.Protocol):
    """One stream that reads: it counts events and nothing more."""

    def __init__(self, crowd: Crowd) -> None:
        self._crowd = crowd
        self._tail = b""
        self.count = 0
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        found = (self._tail + data).count(MARK)
        self._tail = data[-len(MARK) + 1 :]
        if found:
            self.count += found
            self._crowd.received(found)


MARK = b"\nid: "
ID = re.compile(rb"(?m)^id: (\S+)")


class Crowd:
    def __init__(self, server: ServerProcess) -> None:
        self._server = server
        self._members: list[Member] = []
        self._stuck: list[socket.socket] = []
        self._outstanding = 0
        self._all_have_it = asyncio.Event()
        self._published = 0
        self._request = b""

    def received(self, count: int) -> None:
        self._outstanding -= count
        if self._outstanding <= 0:
            self._all_have_it.set()

    async def create(self) -> None:
        body = json.dumps({"sessionId": "s"}).encode()
        async with Connection(self._server.port) as connection:
            answer = await connection.request("POST", "/api/sessions", self._server.headers("service"), body)
            assert answer.status == 201
        headers = "".join(f"{name}: {value}\r\n" for name, value in self._server.headers("service").items())
        self._request = f"GET /api/sessions/s/events HTTP/1.1\r\nHost: x\r\n{headers}\r\n".encode()

    async def join(self, count: int) -> None:
        """Open streams that read."""
        loop = asyncio.get_running_loop()
        # Each says its cursor once, in `connected`.
        self._outstanding, self._all_have_it = count, asyncio.Event()
        for _ in range(count):
            _, member = await loop.create_connection(lambda: Member(self), "127.0.0.1", self._server.port)
            member.transport.write(self._request)
            self._members.append(member)
        await asyncio.wait_for(self._all_have_it.wait(), 60)

    def join_stuck(self, count: int) -> None:
        """Open streams that never read; their own kernel buffer is small, so that it is the server's that fills."""
        for _ in range(count):
            connection = socket.socket()
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
            connection.connect(("127.0.0.1", self._server.port))
            connection.sendall(self._request)
            self._stuck.append(connection)

    async def publish(self, times: int, size: int) -> list[float]:
        """Publish events, each when all readers have the one before; return the seconds each took."""
        loop = asyncio.get_running_loop()
        headers = self._server.headers("service")
        took = []
        async with Connection(self._server.port) as connection:
            for _ in range(times):
                self._outstanding, self._all_have_it = len(self._members), asyncio.Event()
                body = json.dumps({"type": "message_added", "data": {"content": "x" * size}}).encode()
                start = loop.time()
                answer = await connection.request("POST", "/api/sessions/s/events", headers, body)
                assert answer.status == 201, answer
                await asyncio.wait_for(self._all_have_it.wait(), 30)
                took.append(loop.time() - start)
                self._published += 1
        return took

    def kernel_queues(self) -> list[int]:
        """Return what the kernel holds at the server's end for each stuck stream, in bytes."""
        assert SS is not None
        ports = {connection.getsockname()[1] for connection in self._stuck}
        shown = subprocess.run(
            [SS, "-tmnH", "state", "established", f"( sport = :{self._server.port} )"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        queues = []
        for line in re.sub(r"\n\s+", " ", shown).splitlines():
            peer = int(line.split()[3].rsplit(":", 1)[1])
            memory = re.search(r"skmem:\(r\d+,rb\d+,t(\d+),tb\d+,f\d+,w(\d+)", line)
            if peer in ports and memory:
                queues.append(max(int(memory[1]), int(memory[2])))
        return queues

    async def resume_one(self, first: int, last: int) -> tuple[int, int]:
        """Let one that has not read so far read everything; return how many events are missing, and out of order."""
        connection = self._stuck.pop()
        connection.setblocking(False)
        loop = asyncio.get_running_loop()
        shown, found = b"", [0]
        async with asyncio.timeout(60):
            while found[-1] < last:
                data = await loop.sock_recv(connection, 1 << 18)
                if not data:
                    break
                shown += data
                # Only whole blocks; the first id is the cursor that `connected` names.
                *blocks, shown = shown.split(b"\n\n")
                found += [sequence_of(id.decode()) for block in blocks for id in ID.findall(block)]
        connection.close()
        missed = len(set(range(first, last + 1)) - set(found))
        return missed, sum(after != before + 1 for before, after in itertools.pairwise(found[1:]))

    async def run(self, readers: int, stuck: int, events: int, size: int) -> Figures:
        await self.create()
        await self.join(readers)
        await self.publish(20, size)
        alone = await self.publish(events, size)
        before = self._server.resident_bytes()
        self.join_stuck(stuck)
        await asyncio.sleep(0)
        mark = self._published
        # Their greeting must be out before what they are to miss nothing of.
        await self._wait_for_streams(readers + stuck)
        beside = await self.publish(events, size)
        queues = self.kernel_queues()
        growth = self._server.resident_bytes() - before
        missed, disordered = await self.resume_one(mark + 1, self._published)
        return Figures(
            readers=readers,
            stuck=stuck,
            alone=Delay.of(alone),
            beside=Delay.of(beside),
            process_growth=growth,
            kernel_bytes=sum(queues),
            kernel_max=max(queues, default=0),
            missed=missed,
            disordered=disordered,
            published_bytes=events * size,
        )

    async def _wait_for_streams(self, count: int) -> None:
        """Wait until the kernel shows as many connections with something sent; `connected` goes out with the head."""
        waiting = list(self._stuck)
        async with asyncio.timeout(30):
            while waiting:
                waiting = [connection for connection in waiting if not _has_bytes(connection)]
                await asyncio.sleep(0.01)

    def close(self) -> None:
        for member in self._members:
            member.transport.abort()
        for connection in self._stuck:
            connection.close()


def _has_bytes(connection: socket.socket) -> bool:
    try:
        return b"connected" in connection.recv(1 << 14, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return False


async def measure(data_dir: Path, readers: int, stuck: int, events: int, size: int) -> Figures:
    """Run one crowd on a fresh server."""
    with ServerProcess(data_dir, "--slow-reader-timeout", "600", "--log-level", "error") as server:
        crowd = Crowd(server)
        try:
            return await crowd.run(readers, stuck, events, size)
        finally:
            crowd.close()
            server.stop()
