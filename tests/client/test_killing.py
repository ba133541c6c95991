"""P1 and P2 for a client whose server is killed under it, on each tier."""

import asyncio
import json

import pytest

from rtserver.client import connect
from tests.client.clock import HandClock
from tests.client.killing import Killing
from tests.conftest import until
from tests.http import request
from tests.process import ServerProcess


@pytest.mark.gen_test(timeout=120)
@pytest.mark.parametrize("tier", ["sse", "long-poll", "short-poll"])
async def test_a_client_loses_and_repeats_nothing_when_its_server_is_killed(tmp_path, tier):
    """P1, P2: no loss, no double, no unsaid gap, and what was sent is there once and in order."""
    report = await Killing(tmp_path, tier).run(kills=3, each=40)

    assert report.violations == []
    assert (report.kills, report.sent, report.resets) == (3, 160, 0)
    assert report.seen == 161


async def test_what_is_sent_while_the_server_is_away_arrives_once_and_in_order(tmp_path):
    clock = HandClock()
    with ServerProcess(tmp_path) as server:
        body = json.dumps({"sessionId": "s", "participants": [{"participantId": "alice"}]}).encode()
        await request(server.port, "POST", "/api/sessions", server.headers("service"), body)
        token, port, url = server.headers("alice")["Authorization"][7:], server.port, server.url
    seen = []
    async with connect(url, "s", token=token, clock=clock, environment={}, on_event=seen.append) as client:
        sending = [asyncio.create_task(client.send(f"m{n}")) for n in range(5)]
        await until(lambda: client.status.state == "reconnecting" and client.send_problem)
        assert not any(each.done() for each in sending)
        with ServerProcess(tmp_path, "--port", str(port)) as server:
            client.refresh()
            sent = await asyncio.gather(*sending)
            await until(lambda: len(seen) == 5)

    assert [event.data["content"] for event in sent] == [f"m{n}" for n in range(5)]
    assert [event.sequence for event in sent] == [2, 3, 4, 5, 6]
    assert [event.id for event in seen] == [event.id for event in sent]
