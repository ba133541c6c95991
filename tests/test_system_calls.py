"""What a delivery costs in system calls, counted by strace: one write to each stream and pass, and little besides."""

from __future__ import annotations

import asyncio
import json
import re
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.http import Connection, SseStream
from tests.process import ServerProcess
from tests.tracing import STRACE

STREAMS = 40
EVENTS = 25
# A stream's first bytes, and its probe.
PER_STREAM = 3


@pytest.mark.skipif(STRACE is None, reason="strace is not installed")
async def test_a_delivery_is_one_write(tmp_path):
    deliveries = STREAMS * EVENTS
    counts = await traced(tmp_path / "data", tmp_path / "counts")
    writes = counts.get("write", 0)
    assert deliveries <= writes <= deliveries + PER_STREAM * STREAMS + 100, counts
    # The answer to each publish, and what wakes the loop for it; streams are not sent to in another way.
    assert counts.get("sendto", 0) + counts.get("sendmsg", 0) <= 6 * EVENTS + 100, counts
    # A stream's socket is registered when it comes and when it goes, and tuned once.
    assert counts.get("epoll_ctl", 0) <= 6 * STREAMS + 100, counts
    assert counts.get("setsockopt", 0) <= 8 * STREAMS + 50, counts


async def traced(data_dir: Path, file: Path) -> dict[str, int]:
    """Return how often each system call was made by a server that published to streams, one event after the other."""
    assert STRACE is not None
    with ServerProcess(data_dir, prefix=(STRACE, "-D", "-f", "-c", "-o", str(file))) as server:
        service = server.headers("service")
        async with AsyncExitStack() as stack:
            connection = await stack.enter_async_context(Connection(server.port))
            await connection.request("POST", "/api/sessions", service, b'{"sessionId":"s"}')
            streams = [
                await stack.enter_async_context(SseStream(server.port, "/api/sessions/s/events", service))
                for _ in range(STREAMS)
            ]
            for stream in streams:
                await stream.until("connected")
            body = json.dumps({"type": "note", "data": {}}).encode()
            for _ in range(EVENTS):
                assert (await connection.request("POST", "/api/sessions/s/events", service, body)).status == 201
                for stream in streams:
                    await stream.until("note")
        server.stop()
    async with asyncio.timeout(10):
        while "total" not in file.read_text():
            await asyncio.sleep(0.01)
    rows = re.findall(r"(?m)^ *[\d.]+ +[\d.]+ +\d+ +(\d+) +(?:\d+ +)?(\w+)$", file.read_text())
    return {name: int(count) for count, name in rows}
