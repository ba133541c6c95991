"""What was read and not handed on: bounded, in order, and never lost between the two."""

import asyncio

from rtserver.client import inbox as module
from rtserver.client.inbox import Inbox
from rtserver.client.position import Event, Position, Reset
from rtserver.cursor import encode_id


def event(sequence):
    return Event("message_added", {}, None, encode_id(1_000_000 + sequence, 1, sequence), sequence)


async def test_what_is_stopped_while_it_waits_for_room_has_taken_nothing(monkeypatch):
    monkeypatch.setattr(module, "MAX_ITEMS", 2)
    inbox = Inbox(Position())
    await inbox.take([event(1), event(2)])
    stopped = asyncio.create_task(inbox.take([event(3)]))
    await asyncio.sleep(0)
    stopped.cancel()
    await asyncio.gather(stopped, return_exceptions=True)

    assert inbox.position.cursor == event(2).id
    await inbox.get()
    # Another tier brings it.
    await inbox.take([event(3)])
    assert [(await inbox.get()).sequence for _ in range(2)] == [2, 3]


async def test_who_waits_for_room_goes_on_when_there_is_some(monkeypatch):
    """P4."""
    monkeypatch.setattr(module, "MAX_ITEMS", 1)
    inbox = Inbox(Position())

    async def put():
        for sequence in range(1, 6):
            await inbox.take([event(sequence)])
            assert len(inbox._items) <= 1

    putting = asyncio.create_task(put())
    assert [(await inbox.get()).sequence for _ in range(5)] == [1, 2, 3, 4, 5]
    await putting


async def test_resets_stand_among_the_events_and_the_end_comes_last():
    inbox = Inbox(Position())
    await inbox.take([event(1)])
    await inbox.take_reset(Reset("trimmed", "x", None, event(9).id), event(1).id)
    await inbox.take([event(10)])
    inbox.end()

    assert [type(await inbox.get()) for _ in range(4)] == [Event, Reset, Event, type(None)]


async def test_who_waits_for_the_next_is_told_of_the_end():
    inbox = Inbox(Position())
    waiting = asyncio.create_task(inbox.get())
    await asyncio.sleep(0)
    inbox.end()

    assert await waiting is None


async def test_history_comes_first_whatever_the_cursor_says():
    inbox = Inbox(Position())
    await inbox.begin([event(3), event(4)], event(7).id)
    await inbox.take([event(4), event(7), event(8)])

    assert [item.sequence for item in inbox._items] == [3, 4, 8]
