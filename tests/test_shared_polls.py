"""What a thousand polls are told is made once, and being told nothing costs next to nothing."""

from __future__ import annotations

import asyncio
import gzip

import pytest

from rtserver import updates
from rtserver.handlers import answer as answering
from rtserver.polls import Answer
from rtserver.updates import long_poll_body
from tests.builders import event
from tests.conftest import until


def answer(*sequences: int, cursor: str = "c", **facts) -> Answer:
    return Answer(cursor, 0, 5, [EVENTS[sequence] for sequence in sequences], **facts)


EVENTS = {sequence: event(sequence, data=b'{"text":"%b"}' % (b"x" * 300)) for sequence in range(1, 5)}


def test_polls_at_one_cursor_are_told_in_the_same_bytes():
    assert long_poll_body(answer(1, 2), is_compact=False) is long_poll_body(answer(1, 2), is_compact=False)


@pytest.mark.parametrize(
    ("other", "is_compact"),
    [
        (answer(1, 3), False),
        (answer(1, 2, 3), False),
        (answer(2), False),
        (answer(1, 2, cursor="d"), False),
        (answer(1, 2, has_more=True), False),
        (answer(1, 2, is_closed=True), False),
        (answer(1, 2, reset={"reason": "trimmed"}), False),
        (answer(1, 2), True),
    ],
)
def test_polls_that_are_told_different_things_are_told_in_different_bytes(other, is_compact):
    """P2: a filter, a limit, a short form, the end of a session."""
    body = long_poll_body(answer(1, 2), is_compact=False)
    assert long_poll_body(other, is_compact=is_compact) != body
    assert long_poll_body(answer(1, 2), is_compact=False) == body


def test_bodies_that_are_kept_are_few():
    """P4."""
    for sequence in range(100):
        long_poll_body(answer(1, cursor=str(sequence)), is_compact=False)
    assert updates._shared_body.cache_info().currsize <= 16
    assert answering._gzipped.cache_info().maxsize <= 16


async def test_a_hundred_waiting_polls_have_one_body_made_and_gzipped(api, monkeypatch):
    made, zipped = [], []
    page, compress = updates._page, gzip.compress
    monkeypatch.setattr(updates, "_page", lambda *arguments: made.append(1) or page(*arguments))
    monkeypatch.setattr(answering.gzip, "compress", lambda *a, **k: zipped.append(1) or compress(*a, **k))
    waiting = [
        asyncio.ensure_future(api.get("/sessions/s/updates?timeout=20", headers={"Accept-Encoding": "gzip"}))
        for _ in range(100)
    ]
    await until(lambda: api.hub.polls.waiting == 100)
    await api.publish("x" * 1000)
    answers = await asyncio.gather(*waiting)
    assert len({answer.body for answer in answers}) == 1 and b"" not in {answer.body for answer in answers}
    assert (len(made), len(zipped)) == (1, 1)


@pytest.mark.parametrize(
    "query", ["since={lastModified}&lastEventId={lastEventId}", "lastEventId={lastEventId}&timeout=0"]
)
async def test_a_poll_with_nothing_new_touches_neither_the_store_nor_json(api, monkeypatch, query):
    snapshot = (await api.get("/sessions/s")).json
    query = query.format(**snapshot)
    tag = (await api.get(f"/sessions/s/updates?{query}")).headers.get("etag", "")

    def never(*arguments, **options):
        raise AssertionError("this should not be needed")

    monkeypatch.setattr(api.core._query_worker, "call", never)
    monkeypatch.setattr(updates, "_page", never)
    monkeypatch.setattr(answering, "_encode", never)
    again = await api.get(f"/sessions/s/updates?{query}", headers={"If-None-Match": tag})
    assert again.status == (304 if "since" in query else 204)
