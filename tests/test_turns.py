"""The loop's turns are short, and nobody is forgotten over it."""

from __future__ import annotations

import asyncio
import os
import socket
from selectors import EVENT_READ, EVENT_WRITE

import pytest

from rtserver.turns import MAX_EVENTS, ShortTurns, new_event_loop


@pytest.fixture
def selector():
    with ShortTurns() as selector:
        yield selector


@pytest.fixture
def pairs():
    pairs = [socket.socketpair() for _ in range(3 * MAX_EVENTS)]
    yield pairs
    for pair in pairs:
        for end in pair:
            end.close()


def test_of_many_that_are_ready_so_many_are_told_at_once_and_all_in_turn(selector, pairs):
    """P4: also while those that were told first go on sending."""
    for ours, theirs in pairs:
        selector.register(ours, EVENT_READ)
        theirs.send(b"x")

    told = [{key.fd for key, _ in selector.select(0)} for _ in range(3)]

    assert {len(each) for each in told} == {MAX_EVENTS}
    assert set().union(*told) == {ours.fileno() for ours, _ in pairs}


def test_what_is_registered_modified_and_unregistered_is_what_is_told(selector, pairs):
    (ours, theirs), *_ = pairs
    key = selector.register(ours, EVENT_READ, "data")
    assert selector.get_key(ours) == selector.get_map()[ours.fileno()] == key
    with pytest.raises(KeyError):
        selector.register(ours, EVENT_READ)
    assert selector.select(0) == []

    selector.modify(ours, EVENT_READ | EVENT_WRITE, "more")
    theirs.send(b"x")
    [(key, events)] = selector.select(0)
    assert (key.data, events) == ("more", EVENT_READ | EVENT_WRITE)

    selector.unregister(ours)
    assert selector.select(0) == [] and ours.fileno() not in selector.get_map()
    with pytest.raises(KeyError):
        selector.modify(ours, EVENT_READ)


def test_who_was_closed_before_can_be_unregistered(selector):
    reading, writing = os.pipe()
    selector.register(reading, EVENT_READ)
    os.close(reading)
    assert selector.unregister(reading).fd == reading
    os.close(writing)


def test_a_loop_runs_on_it():
    async def ask() -> bytes:
        server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
        async with server:
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            found = await reader.read()
            writer.close()
            await asyncio.sleep(0)
        return found

    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        assert runner.run(ask()) == b""
