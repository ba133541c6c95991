"""One exchange's way: to the server, back through behaviours, and what is noted of it; knows no client and no port."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import re
from collections.abc import AsyncIterator, Iterable
from typing import Any

from tests.hostile.behaviour import Ahead, Behaviour, Changed, Exchange, Request, page
from tests.hostile.messages import Cut, Head, Item, Items, RequestHead, read_body, read_head

# What is answered when there is news, if it is not asked to answer at once.
LONG_POLL = re.compile(r"/(updates|hold)$")
ENDINGS = (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError)


class Rules:
    """How the hop behaves, until it is told otherwise: ``changed`` is set then."""

    def __init__(self, behaviours: list[Behaviour]) -> None:
        self.behaviours = behaviours
        self.changed = asyncio.Event()

    def end(self) -> None:
        self.changed.set()
        for behaviour in self.behaviours:
            behaviour.over.set()

    @property
    def idle_seconds(self) -> float | None:
        return min((each.idle_seconds for each in self.behaviours if each.idle_seconds is not None), default=None)

    @property
    def refuses_seconds(self) -> float | None:
        return max((each.refuses_seconds for each in self.behaviours if each.refuses_seconds is not None), default=None)


async def ask(upstream_port: int, request: Request) -> AsyncIterator[Item]:
    """Give what the server answers; a tunnel to it is granted, and what is asked in there is asked of the hop."""
    if request.head.method == "CONNECT":
        yield Head(200, reason="Connection established", has_body=False)
        return
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", upstream_port)
    except OSError:
        for item in page(502, "The server cannot be reached"):
            yield item
        return
    try:
        writer.write(request.head.encoded(request.body))
        try:
            head = await read_head(reader, request.head.method)
        except ENDINGS as error:
            raise Cut("truncated") from error
        # Behaviours change the head that they get; the body comes as this one says.
        yield copy.deepcopy(head)
        async for piece in read_body(reader, head):
            yield piece
    finally:
        writer.transport.abort()


def exchange_of(head: RequestHead, began_at: float) -> Exchange:
    path, _, query = head.target.partition("?")
    parameters = query.split("&")
    is_stream = "text/event-stream" in head.headers.get("accept")
    at_once = "timeout=0" in parameters or any(each.startswith("since=") for each in parameters)
    is_held = is_stream or bool(LONG_POLL.search(path) and not at_once)
    return Exchange(head.method, path, query, is_stream, is_held, began_at)


async def until(ahead: Ahead, changed: asyncio.Event) -> AsyncIterator[Item]:
    with contextlib.suppress(Changed):
        while (item := await ahead.next(unless=changed)) is not None:
            yield item


def keep(kept: list[Items], give: Any, *arguments: Any, **named: Any) -> Any:
    """Return the items that ``give`` gives, and remember them to be closed."""
    place = len(kept)
    items = give(*arguments, **named)
    if items not in kept:
        kept.insert(place, items)
    return items


async def close(kept: Iterable[Any]) -> None:
    for items in kept:
        await items.aclose()
