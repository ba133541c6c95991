"""Polls that a network cuts, or answers itself."""

import json

import pytest

from rtserver.client.answer import Answer
from rtserver.client.inbox import Inbox
from rtserver.client.machine import Event
from rtserver.client.polls import Polls
from rtserver.client.position import Position
from tests.client.clock import HandClock


class Gateway:
    """Stands in for a server behind a proxy that gives up after a while, and says so with a page."""

    def __init__(self, clock, status, after_seconds):
        self._clock, self._status, self._after_seconds = clock, status, after_seconds

    async def long_poll(self, cursor, held_seconds):
        self._clock.jump(self._after_seconds)
        return Answer(self._status, {"content-type": "text/html"}, b"<h1>Gateway Time-out</h1>")


class Cache:
    """Stands in for a server behind a cache that gives what it has."""

    def __init__(self, page):
        self._page = page

    async def long_poll(self, cursor, held_seconds):
        return Answer(200, {"content-type": "application/json"}, json.dumps(self._page).encode())


class Silence:
    """Stands in for a server that has no news, and for what a network makes of its ``Retry-After``."""

    def __init__(self, retry_after):
        self._headers = {"retry-after": retry_after}

    async def long_poll(self, cursor, held_seconds):
        return Answer(204, self._headers, b"")


@pytest.mark.parametrize(("retry_after", "seconds"), [("3", 3), ("²", 5), ("٣", 5), ("soon", 5), ("", 5)])
async def test_a_poll_that_brings_nothing_is_asked_again_when_the_server_says(retry_after, seconds):
    clock = HandClock()
    polls = Polls(Silence(retry_after), Inbox(Position()), clock)

    assert (await polls.long()).event is Event.OK
    assert polls.pause_seconds == seconds


@pytest.mark.parametrize("status", [502, 504])
async def test_a_proxy_that_waits_no_longer_for_a_poll_is_no_reason_to_poll_no_more(status):
    clock = HandClock()
    polls = Polls(Gateway(clock, status, 12.1), Inbox(Position()), clock)

    assert (await polls.long(25)).event is Event.FAILED
    assert polls._hold.seconds == 8


async def test_a_page_that_a_network_gives_again_and_again_is_not_asked_for_at_once():
    clock, first = HandClock(), "019d2d0c-e700-7001-802b-cdef00000001"
    page = {"events": [], "lastEventId": first, "hasMore": False, "nextPollDelay": 0}
    polls = Polls(Cache(page), Inbox(Position()), clock)

    await polls.long()
    assert polls.pause_seconds == 0
    await polls.long()
    assert polls.pause_seconds == 5


async def test_progress_that_a_poll_brings_does_not_keep_the_next_one_waiting():
    clock, first = HandClock(), "019d2d0c-e700-7001-802b-cdef00000001"
    gateway = Cache({})
    polls = Polls(gateway, Inbox(Position()), clock)

    for share in (10, 20):
        progress = {"type": "ai_progress", "data": {"progress": share}, "timestamp": "2026-01-01T00:00:00.000Z"}
        gateway._page = {"events": [progress], "lastEventId": first, "hasMore": False, "nextPollDelay": 0}
        await polls.long()
        assert polls.pause_seconds == 0
    await polls.long()
    assert polls.pause_seconds == 5, "the same progress again is a page that was kept"


@pytest.mark.parametrize(("status", "after_seconds"), [(504, 0.1), (500, 12.0)])
async def test_what_did_not_wait_is_broken(status, after_seconds):
    clock = HandClock()
    polls = Polls(Gateway(clock, status, after_seconds), Inbox(Position()), clock)

    assert (await polls.long(25)).event is Event.BROKEN
