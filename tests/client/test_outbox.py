"""What is sent: in order, once, kept until it is answered."""

import asyncio
import json

import pytest

from rtserver.client import ClientError, Closed, Misused, Refused, Unreachable
from rtserver.client.answer import Answer
from rtserver.client.outbox import MAX_WAITING
from tests.conftest import until
from tests.contract import events_after
from tests.peers import copy, listening, relay
from tests.proxy import ForwardProxy


def fails(alice, monkeypatch, *found):
    """Let attempts to publish find this, one after the other, and then the server; return what was attempted."""
    publish, attempts, found = alice.client._api.publish, [], list(found)

    async def attempt(body):
        attempts.append(body)
        if not found:
            return await publish(body)
        if isinstance(found[0], Exception):
            raise found.pop(0)
        return found.pop(0)

    monkeypatch.setattr(alice.client._api, "publish", attempt)
    return attempts


async def test_what_is_sent_is_returned_as_the_event_it_became(api, follow):
    async with follow(api) as alice:
        event = await alice.client.send({"content": "hello", "mood": "good"}, message_id="m1")
        again = await alice.client.send({"content": "hello", "mood": "good"}, message_id="m1")
        await alice.until("live")

    stored, *_ = await events_after(api, 2)
    assert (event.id, event.sequence, event.timestamp) == (stored["id"], stored["sequence"], stored["timestamp"])
    assert event.data.items() <= stored["data"].items()
    assert again.id == event.id


async def test_many_at_once_arrive_in_the_order_in_which_they_were_given(api, follow):
    async with follow(api) as alice:
        sent = await asyncio.gather(*(alice.client.send(f"m{n}") for n in range(50)))

    assert [event.sequence for event in sent] == list(range(3, 53))
    assert [item["data"]["content"] for item in await events_after(api, 2)] == [f"m{n}" for n in range(50)]


@pytest.mark.parametrize(("length", "encoding"), [(100, None), (5000, "gzip")])
async def test_large_events_are_sent_gzipped(api, follow, length, encoding):
    async with ForwardProxy() as proxy:
        url = f"http://rt.example:{api.port}"
        async with follow(url, token=api.token("alice"), proxy=proxy.url) as alice:
            await alice.client.send("x" * length)

    assert [asked.headers.get("content-encoding") for asked in proxy.asked if asked.method == "POST"] == [encoding]
    assert (await events_after(api, 2))[0]["data"]["content"] == "x" * length


async def test_what_the_server_refuses_is_told_and_holds_up_nobody(api, follow):
    async with follow(api) as alice:
        first, bad, last = await asyncio.gather(
            alice.client.send("one"),
            alice.client.send({"content": 7}),
            alice.client.send("two"),
            return_exceptions=True,
        )

    assert isinstance(bad, Refused)
    assert (bad.status, bad.slug) == (400, "malformed-request") and "content" in bad.detail
    assert (first.sequence, last.sequence) == (3, 4)


@pytest.mark.parametrize(
    ("data", "message_id"),
    [({"content": "\udcff"}, None), ({"content": object()}, None), ({1j: "x"}, None), ({"content": "x"}, "\udcff")],
)
async def test_what_cannot_be_written_as_json_is_refused_at_once_and_waits_nowhere(follow, data, message_id):
    async with follow("http://127.0.0.1:9", token="x", follows=False) as alice:
        with pytest.raises(Misused, match="cannot be written as JSON"):
            await alice.client.send(data, message_id=message_id)

        assert not alice.client._outbox.waiting


async def test_what_is_changed_after_it_was_given_is_sent_as_it_was_given(api, follow):
    mood = ["good"]
    async with follow(api) as alice:
        sending = asyncio.create_task(alice.client.send({"content": "hello", "mood": mood}))
        await asyncio.sleep(0)
        mood.append("bad")
        await sending

    assert (await events_after(api, 2))[0]["data"]["mood"] == ["good"]


async def test_a_mistake_of_the_client_costs_one_event_and_not_all_behind_it(api, follow, monkeypatch, caplog):
    async with follow(api) as alice:
        fails(alice, monkeypatch, RuntimeError("a mistake"))
        lost, sent = await asyncio.gather(alice.client.send("lost"), alice.client.send("sent"), return_exceptions=True)

    assert isinstance(lost, ClientError) and "RuntimeError" in caplog.text
    assert sent.sequence == 3


async def test_a_lost_answer_is_asked_for_again_with_the_same_id(api, follow):
    """What was published and not acknowledged is not published twice."""
    lost = []

    async def lose_first(reader, writer):
        upstream_reader, upstream = await asyncio.open_connection("127.0.0.1", api.port)
        head = await reader.readuntil(b"\r\n\r\n")
        upstream.write(head)
        if head.startswith(b"POST") and not lost:
            upstream.write(await reader.readexactly(int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])))
            lost.append(await upstream_reader.readuntil(b"\r\n\r\n"))
            upstream.transport.abort()
            return
        await relay(reader, writer, upstream_reader, upstream, copy)

    async with listening(lose_first) as port, follow(f"http://127.0.0.1:{port}", token=api.token("alice")) as alice:
        sending = asyncio.create_task(alice.client.send("once"))
        await until(lambda: sending.done() or alice.clock.jump(0.2))
        event = await sending

    assert b" 201 " in lost[0]
    assert [item["id"] for item in await events_after(api, 2)] == [event.id]


async def test_a_server_that_asks_for_patience_gets_it(api, follow, monkeypatch):
    async with follow(api) as alice:
        await alice.until("live")
        monkeypatch.setattr(api.hub.writer, "_max_pending_bytes", 0)
        sending = asyncio.create_task(alice.client.send("later"))
        await until(lambda: alice.client.send_problem)
        monkeypatch.undo()
        await asyncio.sleep(0.05)
        assert not sending.done(), "it is not tried again at once"
        await until(lambda: sending.done() or alice.clock.jump(0.2))

    assert (await sending).sequence == 3


@pytest.mark.parametrize("answer", [Answer(502, {}), Answer(403, {}, b"<p>No.</p>"), Unreachable("cut")])
async def test_what_is_heard_meanwhile_does_not_hurry_what_waits_to_be_sent(api, follow, monkeypatch, answer):
    async with follow(api, tiers=["long-poll"]) as alice:
        await alice.until("delayed")
        attempts = fails(alice, monkeypatch, *[answer] * 9)
        sending = asyncio.create_task(alice.client.send("later"))
        await until(lambda: alice.client.send_problem)
        for n in range(5):
            await api.publish(f"m{n}")
            await until(lambda n=n: f"m{n}" in alice.contents)
        assert len(attempts) == 1
    with pytest.raises(Closed):
        await sending


async def test_what_waits_is_sent_at_once_when_the_network_is_back(api, follow, monkeypatch):
    async with follow(api, tiers=["short-poll"]) as alice:
        attempts = fails(alice, monkeypatch, Unreachable("no network"))
        assert alice.client.status.tier is None
        event = await asyncio.wait_for(alice.client.send("hello"), 2)

    assert (event.sequence, len(attempts)) == (3, 2)


async def test_a_network_that_is_back_while_an_attempt_fails_is_not_forgotten(api, follow, monkeypatch):
    async with follow(api, follows=False) as alice:
        publish, failing = alice.client._api.publish, [True]

        async def attempt(body):
            if failing:
                failing.clear()
                alice.client._outbox.nudge()
                raise Unreachable("it took too long")
            return await publish(body)

        monkeypatch.setattr(alice.client._api, "publish", attempt)
        event = await asyncio.wait_for(alice.client.send("hello"), 2)

    assert event.sequence == 3


async def test_what_waits_when_the_client_is_closed_is_answered(follow):
    async with follow("http://127.0.0.1:9", token="x") as alice:
        sending = asyncio.create_task(alice.client.send("never"))
        await until(lambda: alice.client.send_problem)
    with pytest.raises(Closed):
        await sending
    with pytest.raises(Closed):
        await alice.client.send("too late")


async def test_what_waits_is_bounded(follow):
    """P4."""
    async with follow("http://127.0.0.1:9", token="x") as alice:
        waiting = [asyncio.create_task(alice.client.send(f"m{n}")) for n in range(MAX_WAITING)]
        await asyncio.sleep(0)
        with pytest.raises(Misused):
            await alice.client.send("one too many")
    answers = await asyncio.gather(*waiting, return_exceptions=True)
    assert {type(answer) for answer in answers} == {Closed}


async def test_typing_is_shown_to_others(api, follow):
    async with follow(api) as bob, follow(api, who="bob") as alice:
        await bob.until("live")
        alice.client.typing(True)
        await until(lambda: bob.events)

    shown = bob.events[0]
    assert (shown.type, shown.id, shown.sequence) == ("typing_indicator", None, None)
    assert shown.data == {"isTyping": True, "participantId": "bob"}


async def test_mistakes_in_what_the_program_gave_do_not_end_the_client(api, follow, caplog):
    async with follow(api) as alice:
        alice.client._on_event = lambda event: alice.events.append(event) or 1 / 0
        await alice.until("live")
        for n in range(3):
            await api.publish(f"m{n}")
        await alice.saw("m0", "m1", "m2")

    assert caplog.text.count("ZeroDivisionError") == 3
    assert json.dumps(alice.contents) == '["m0", "m1", "m2"]'
