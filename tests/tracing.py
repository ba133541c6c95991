"""What the program asks of the kernel, by strace: whether the log is synced before a publish is acknowledged."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
from pathlib import Path

from tests.http import Connection
from tests.process import ServerProcess

STRACE = shutil.which("strace")
_SYNC = re.compile(r"f(?:data)?sync\(\d+<[^>]*rtserver\.db-wal>")
_SYNC_DONE = re.compile(r"(?:f(?:data)?sync\(\d+<[^>]*rtserver\.db-wal>\)|f(?:data)?sync resumed>\)) += 0")
_ACKNOWLEDGED = re.compile(r'(?:sendto|write|sendmsg)\(.*"HTTP/1\.1 201 ')


def synced_before_acknowledged(trace: str) -> list[bool]:
    """For each 201 of a trace of single publishes, whether a sync of the log had returned since the 201 before."""
    results, has_synced, is_ours = [], False, False
    for line in trace.splitlines():
        if _SYNC.search(line):
            is_ours = True
        if is_ours and _SYNC_DONE.search(line):
            has_synced, is_ours = True, False
        if _ACKNOWLEDGED.search(line):
            results.append(has_synced)
            has_synced = False
    return results


async def trace_publishes(data_dir: Path, trace_file: Path, count: int, durability: str) -> str:
    """Publish one event after the other to a traced server; return the trace from the first publish on."""
    assert STRACE is not None
    calls = "fsync,fdatasync,sendto,sendmsg,write"
    # -D: the server stays our child, so that signals reach it and not strace.
    prefix = (STRACE, "-D", "-f", "-y", "-s", "40", "-e", f"trace={calls}", "-o", str(trace_file))
    with ServerProcess(data_dir, "--durability", durability, prefix=prefix) as server:
        async with Connection(server.port) as connection:
            body = json.dumps({"sessionId": "s", "participants": [{"participantId": "alice"}]}).encode()
            created = await connection.request("POST", "/api/sessions", server.headers("service"), body)
            assert created.status == 201
            for number in range(count):
                body = json.dumps({"type": "message_added", "data": {"content": f"m{number}"}}).encode()
                answer = await connection.request("POST", "/api/sessions/s/events", server.headers("alice"), body)
                assert answer.status == 201
        ended = re.compile(rf"^{server.process.pid} +\+\+\+ exited with 0", re.MULTILINE)
        assert server.stop()[0] == 0
    async with asyncio.timeout(10):
        while not ended.search(trace := trace_file.read_text()):
            await asyncio.sleep(0.01)
    # From after the 201 of the session's creation.
    return trace[_ACKNOWLEDGED.search(trace).end() :]
