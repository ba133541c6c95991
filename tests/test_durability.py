"""P1 at the border to the kernel and on a disk that is full: seen with strace and a real small file system."""

import asyncio
import json
import os
import shutil
import subprocess

import pytest

from tests.conftest import until
from tests.http import Connection, SseStream
from tests.process import ServerProcess
from tests.tracing import STRACE, synced_before_acknowledged, trace_publishes

needs_strace = pytest.mark.skipif(STRACE is None, reason="strace is not installed (Debian package strace)")
can_mount = os.geteuid() == 0 and shutil.which("mount") is not None
needs_root = pytest.mark.skipif(not can_mount, reason="a small file system can only be mounted by root")


@needs_strace
@pytest.mark.gen_test(timeout=60)
async def test_the_log_is_synced_before_each_publish_is_acknowledged(tmp_path):
    """P1."""
    trace = await trace_publishes(tmp_path / "data", tmp_path / "trace", 20, "full")
    assert synced_before_acknowledged(trace) == [True] * 20


@needs_strace
@pytest.mark.gen_test(timeout=60)
async def test_the_trace_would_show_a_missing_sync(tmp_path):
    """With ``durability = normal`` nothing is synced, and the judge of the test above sees that."""
    trace = await trace_publishes(tmp_path / "data", tmp_path / "trace", 20, "normal")
    assert synced_before_acknowledged(trace) == [False] * 20


VICTIMS = [f"victim{number}" for number in range(30)]


@pytest.fixture
def small_disk(tmp_path):
    """A file system of two megabytes."""
    path = tmp_path / "disk"
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(path)], check=True)
    yield path
    subprocess.run(["umount", "--lazy", str(path)], check=True)


@needs_root
@pytest.mark.gen_test(timeout=60)
async def test_a_full_disk_gives_507_while_reading_goes_on_and_publishing_recovers_by_itself(small_disk):
    with ServerProcess(small_disk / "data") as server:
        alice, service = server.headers("alice"), server.headers("service")
        async with Connection(server.port) as connection:

            async def ask(method, path, body=None, headers=alice):
                encoded = None if body is None else json.dumps(body).encode()
                return await connection.request(method, f"/api{path}", headers, encoded)

            people = [{"participantId": name} for name in ("alice", *VICTIMS)]
            await ask("POST", "/sessions", {"sessionId": "s", "participants": people}, service)
            ballast = small_disk / "ballast"
            ballast.write_bytes(b"x" * (512 << 10))
            message = {"type": "message_added", "data": {"content": "x" * 20_000}}
            small = {"type": "message_added", "data": {"content": "x"}}
            accepted = 0
            # To the last page: what a large event could not fill, small ones do.
            for body in (message, small):
                while (answer := await ask("POST", "/sessions/s/events", body)).status == 201:
                    accepted += 1
            assert accepted > 5
            assert (answer.status, answer.json["type"]) == (507, "/problems/storage-full")
            assert (await ask("GET", "/health/realtime")).json["checks"]["storage"] == "full"

            # Reading goes on, from the ring and from the store, and a stream opens.
            snapshot = (await ask("GET", "/sessions/s")).json
            assert snapshot["lastSequence"] == len(people) + accepted
            page = (await ask("GET", "/sessions/s/updates?from=earliest&timeout=0")).json
            assert len(page["events"]) + page["hasMore"] >= 1
            # So do passing states, which need no disk.
            typing = {"type": "typing_indicator", "data": {"isTyping": True}}
            assert (await ask("POST", "/sessions/s/events", typing)).status == 202

            # A participant is removed at once, whatever the disk says (P6), and for good when it takes writes again.
            # The first removals may still fit into the log.
            removed = 0
            for victim in VICTIMS:
                async with SseStream(server.port, "/api/sessions/s/events", server.headers(victim)) as stream:
                    await stream.until("connected")
                    removal = await ask("DELETE", f"/sessions/s/participants/{victim}", headers=service)
                    assert (await stream.until("reconnect")).data == {"reason": "removed"}
                assert (await ask("GET", "/sessions/s", headers=server.headers(victim))).status == 403
                removed += 1
                if removal.status == 507:
                    break
            assert removal.status == 507

            ballast.unlink()
            async with asyncio.timeout(20):
                while (await ask("GET", "/health/realtime")).json["status"] != "ok":
                    await asyncio.sleep(0.1)
            answer = await ask("POST", "/sessions/s/events", message)
            assert answer.status == 201
            types = []
            cursor = f"lastEventId={snapshot['lastEventId']}"
            while (page := await ask("GET", f"/sessions/s/updates?{cursor}&timeout=0")).status == 200:
                types += [(event["sequence"], event["type"]) for event in page.json["events"]]
                cursor = f"lastEventId={page.json['lastEventId']}"
            first = snapshot["lastSequence"] + 1
            expected = ["participant_left"] * removed + ["message_added"]
            assert types == list(enumerate(expected, first))
        assert server.stop()[0] == 0
    with ServerProcess(small_disk / "data") as server:
        async with Connection(server.port) as connection:
            answer = await connection.request("GET", "/api/sessions/s", server.headers(victim))
            assert answer.status == 403


async def test_a_removal_that_could_not_be_written_outlives_the_idle_sweep(start_server):
    """P6: while it is only in memory, the session is not dropped from there."""
    api = await start_server(session_idle=0)
    await api.create()
    session = api.hub.registry.peek("s")
    session.remove("bob")
    session.unsaved_removals.add("bob")
    api.hub.registry.drop_idle(float("inf"))
    assert api.hub.registry.peek("s") is session
    await api.core.maintenance.step()
    assert session.unsaved_removals == set()
    await until(lambda: api.hub.registry.peek("s") is None)
    assert (await api.get("/sessions/s", who="bob")).status == 403
