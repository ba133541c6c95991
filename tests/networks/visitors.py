"""Who is behind the network: a tab of Chromium with the browser client, or a program with the Python client.

Each tells a record what it sees.  The page and the client's modules are there already when a tab goes through the
network: what is measured is the client, not how a page is loaded.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Protocol

import rtserver
from rtserver.client import Event, Reset, Status, connect
from tests.network import EMPTY_PAGE
from tests.networks.record import Record

MODULES = Path(rtserver.__file__).parent / "web" / "client"
# More than is said while a network lets nothing through.
HISTORY = 100
# Puts a client on a page; what it says is handed on as it comes.
FOLLOW = """
async (options) => {
  const { connect } = await import("/client/rtclient.js");
  let before = "";
  window.client = connect({
    ...options,
    onEvent: ({ id, sequence, data }) => rtNote("event", { id, sequence, content: data.content }),
    onReset: ({ reason, lastEventId }) => rtNote("reset", { reason, lastEventId }),
    onStatus: ({ state, tier, reason }) => {
      const now = `${state} ${tier}`;
      if (now !== before) rtNote("status", { state, tier, reason });
      before = now;
    },
  });
}
"""


class Visitor(Protocol):
    async def try_now(self) -> None:
        """Press "Try now"."""


class Place(Protocol):
    """Where a visitor goes: the address of the server as seen through the network, and a proxy if one is to be used."""

    url: str
    proxy_url: str


def sequence_of(id: str) -> int:
    return int(id.replace("-", "")[-10:], 16)


@contextlib.asynccontextmanager
async def in_chromium(chromium: Any, place: Place, token: str, session_id: str, record: Record) -> AsyncIterator[Any]:
    """A tab on an empty page, with a client that follows a session."""
    context = await chromium.new_context(proxy={"server": place.proxy_url} if place.proxy_url else None)
    try:
        yield await _opened(context, place, token, session_id, record)
    finally:
        await context.close()


async def _opened(context: Any, place: Place, token: str, session_id: str, record: Record) -> _Tab:
    if not record.row.with_token:
        await context.add_cookies([{"name": "rt_token", "value": token, "url": place.url}])
    page = await context.new_page()
    page.on("pageerror", lambda error: record.problems.append(str(error)))
    await page.expose_function("rtNote", lambda kind, said: _note(record, kind, said))
    await page.route("**/page", lambda route: route.fulfill(body=EMPTY_PAGE, content_type="text/html"))
    await page.route("**/client/*.js", _module)
    await page.goto(f"{place.url}/page")
    await page.evaluate('import("/client/rtclient.js").then(() => null)')
    await page.unroute_all()
    options = {"sessionId": session_id, "history": HISTORY}
    record.start()
    await page.evaluate(FOLLOW, options | ({"token": token} if record.row.with_token else {}))
    return _Tab(page)


async def _module(route: Any) -> None:
    await route.fulfill(path=MODULES / route.request.url.rsplit("/", 1)[1], content_type="text/javascript")


def _note(record: Record, kind: str, said: dict[str, Any]) -> None:
    if kind == "event":
        record.saw(said["sequence"], said["id"], said["content"])
    elif kind == "reset":
        record.reader.told_of_gap(said["reason"], sequence_of(said["lastEventId"]))
    else:
        record.status(said["state"], said["tier"], said["reason"] or "")


class _Tab:
    def __init__(self, page: Any) -> None:
        self._page = page

    async def try_now(self) -> None:
        await self._page.evaluate("client.refresh()")


@contextlib.asynccontextmanager
async def in_python(place: Place, token: str, session_id: str, record: Record) -> AsyncIterator[Any]:
    """A program that follows a session."""

    def on_event(event: Event) -> None:
        assert event.id is not None
        assert event.sequence is not None
        record.saw(event.sequence, event.id, str(event.data["content"]))

    def on_reset(reset: Reset) -> None:
        record.reader.told_of_gap(reset.reason, sequence_of(reset.last_event_id))

    def on_status(status: Status) -> None:
        record.status(status.state, status.tier and str(status.tier), status.reason)

    record.start()
    client = connect(
        place.url, session_id, token=token, history=HISTORY, proxy=place.proxy_url, environment={},
        on_event=on_event, on_reset=on_reset, on_status=on_status,
    )  # fmt: skip
    async with client:
        yield _Program(client)


class _Program:
    def __init__(self, client: Any) -> None:
        self._client = client

    async def try_now(self) -> None:
        self._client.refresh()
