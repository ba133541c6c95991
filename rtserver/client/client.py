"""The client as programs use it: `connect`, and what it gives (DESIGN section 5)."""

from __future__ import annotations

import asyncio
import inspect
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from rtserver.client.api import Api
from rtserver.client.bootstrap import EARLIEST, NOW, Bootstrap, read_history
from rtserver.client.driver import Driver
from rtserver.client.errors import ClientError, Misused, Refused, SignedOut
from rtserver.client.inbox import Inbox
from rtserver.client.machine import Event as MachineEvent
from rtserver.client.machine import Tier, start_with
from rtserver.client.outbox import Outbox
from rtserver.client.polls import Polls
from rtserver.client.position import Event, Position, Reset, is_cursor
from rtserver.client.reporter import Reporter
from rtserver.client.status import Status
from rtserver.client.stream import Stream
from rtserver.client.timing import Clock, SystemClock, end
from rtserver.client.tokens import Tokens, TokenSource
from rtserver.client.transport import Transport
from rtserver.client.verdict import Verdict

logger = logging.getLogger(__name__)

_CODES = {MachineEvent.SIGN_IN: 401, MachineEvent.FORBIDDEN: 403, MachineEvent.GONE: 404}


class Client:
    """One session, followed: ``async with connect(...) as client``.

    ``cursor`` is the id of the last event that was handed on, to start from another time; None before any.
    """

    def __init__(
        self,
        transport: Transport,
        api: Api,
        *,
        tiers: tuple[Tier, ...],
        start: str,
        history: int,
        follows: bool,
        on_event: Callable[[Event], object] | None,
        on_reset: Callable[[Reset], object] | None,
        on_status: Callable[[Status], object] | None,
        clock: Clock,
    ) -> None:
        self.cursor: str | None = None
        self._transport = transport
        self._api = api
        self._follows = follows
        self._on_event = on_event
        self._on_reset = on_reset
        self._on_status = on_status
        self._inbox = Inbox(Position())
        self._outbox = Outbox(api, clock)
        self._bootstrap = Bootstrap(api, self._inbox, start, history)
        self._driver = Driver(
            start_with(tiers),
            self._bootstrap,
            lambda retries: Stream(api, self._inbox, clock, retries),
            Polls(api, self._inbox, clock),
            api.tokens,
            clock,
            self._status_changed,
            Reporter(api.report, clock),
        )
        self._shown: Status | None = None
        self._tier: str | None = None  # on which events came last
        self._tasks: set[asyncio.Task[Any]] = set()
        self._delivering: asyncio.Task[None] | None = None

    @property
    def status(self) -> Status:
        """Return what state the connection is in, now."""
        return self._driver.status

    @property
    def snapshot(self) -> dict[str, Any]:
        """Return the session as it was when the client began; empty before."""
        return self._bootstrap.snapshot

    @property
    def send_problem(self) -> str:
        """Return why what waits to be sent has not got through yet; empty if nothing is known."""
        return self._outbox.problem

    async def __aenter__(self) -> Client:
        if self._follows:
            self._driver.start()
        self._begin_to_deliver()
        return self

    async def __aexit__(self, *details: object) -> None:
        await self.close()

    async def close(self) -> None:
        """End everything.  Events that wait to be sent are answered with `Closed`."""
        await self._outbox.close()
        await self._driver.close()
        self._inbox.end()
        await end(*(self._tasks - {asyncio.current_task()}))
        await self._transport.close()

    async def events(self) -> AsyncIterator[Event]:
        """Yield events as they come: durable ones once each and in order.  Resets go to ``on_reset``, in their place.

        Ends when the session is closed or the client is; raises `SignedOut` or `Refused` when that is the reason.
        """
        if self._on_event is not None:
            raise Misused("events go to on_event already")
        while (item := await self._inbox.get()) is not None:
            if isinstance(item, Event):
                yield item
            await self._handed_on(item)
        _raise(self._driver.over)

    async def send(
        self, data: Mapping[str, Any] | str, *, type: str = "message_added", message_id: str | None = None
    ) -> Event:
        """Publish, and return the event once it is durable.

        ``data`` is the event's, or the text of a message.  While there is no network it waits, behind what was sent
        before, and is repeated with the same ``message_id`` until the server has answered; it is published once.
        Raises `Misused` if it cannot be written as JSON, `Refused` if the server does not want it, and `Closed` if the
        client is closed first.
        """
        fields = {"content": data} if isinstance(data, str) else dict(data)
        return await asyncio.shield(self._outbox.put(type, fields, message_id))

    def typing(self, is_typing: bool) -> None:
        """Say that somebody is typing, or has stopped; nothing comes of it where it does not get through at once."""
        body = msgspec.json.encode({"type": "typing_indicator", "data": {"isTyping": is_typing}})

        async def say() -> None:
            try:
                await self._api.publish(body)
            except ClientError as error:
                logger.info("typing is not shown: %s", error)

        self._do(say())

    def refresh(self) -> None:
        """Try now: ask what is new, do not wait for the next attempt, and probe a better tier."""
        self._inbox.reopen()
        self._begin_to_deliver()
        self._driver.say(MachineEvent.REFRESH)
        self._driver.say(MachineEvent.PROMOTE_DUE)

    def network_changed(self, *, is_online: bool) -> None:
        """Take in what the system says of the network; a hint, no more."""
        self._driver.say(MachineEvent.ONLINE if is_online else MachineEvent.OFFLINE)

    async def history(self, limit: int = 50, before: str | None = None) -> list[Event]:
        """Return the last messages, or those before an event, oldest first."""
        found = await read_history(self._api, limit, before)
        if isinstance(found, Verdict):
            _raise(found)
            raise ClientError(found.reason)
        return found[0]

    def _begin_to_deliver(self) -> None:
        """Hand on what comes; again, where that has ended with the session or the token."""
        if self._on_event is not None and (self._delivering is None or self._delivering.done()):
            self._delivering = self._do(self._deliver())

    async def _deliver(self) -> None:
        while (item := await self._inbox.get()) is not None:
            if isinstance(item, Event):
                await _call(self._on_event, item)
            await self._handed_on(item)

    async def _handed_on(self, item: Event | Reset) -> None:
        if isinstance(item, Reset):
            self.cursor = item.last_event_id
            await _call(self._on_reset, item)
        elif item.id is not None:
            self.cursor = item.id

    def _status_changed(self, status: Status) -> None:
        if status.is_over:
            self._inbox.end()
        elif status.tier is not None and self._tier is None:
            # Back, not only heard again: a server in trouble would be asked at every event otherwise.
            self._outbox.nudge()
        self._tier = status.tier
        # As of when changes all the time.
        shown = replace(status, as_of=None)
        if self._on_status is not None and shown != self._shown:
            self._shown = shown
            waiting = _begin(self._on_status, status)
            if waiting is not None:
                self._do(waiting)

    def _do(self, doing: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(doing)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def connect(
    base_url: str,
    session_id: str,
    *,
    token: TokenSource = None,
    on_event: Callable[[Event], object] | None = None,
    on_reset: Callable[[Reset], object] | None = None,
    on_status: Callable[[Status], object] | None = None,
    history: int = 0,
    start: str = NOW,
    event_types: Sequence[str] | None = None,
    follows: bool = True,
    tiers: Sequence[str] = tuple(Tier),
    proxy: str | None = None,
    tunnel: bool = False,
    ca: str | Path | None = None,
    clock: Clock | None = None,
    environment: Mapping[str, str] = os.environ,
) -> Client:
    """Return a client for ``async with``; it connects there.

    ``token`` is a token, or a function (async or not) that returns one and is asked again before it expires and when
    it is refused.  ``on_event``, ``on_reset`` and ``on_status`` may be async; without ``on_event`` read ``events()``.
    ``start`` is ``now``, ``earliest`` or the id of the last event that was seen; with ``history`` the last messages
    come first.  Without ``follows`` it only sends.  ``proxy`` is ``http://user:password@host:port``, empty for none,
    None for what the environment says; with ``tunnel`` it is asked for a tunnel (CONNECT) for ``http``, too.  ``ca``
    is a PEM file to trust instead of the system's certificates.  Raises `Misused`.
    """
    if start not in (NOW, EARLIEST) and not is_cursor(start):
        raise Misused(f"start is {start[:64]!r}; it must be 'now', 'earliest' or the id of an event")
    if history and start != NOW:
        raise Misused("with history the client starts now; leave start out")
    if unknown := set(tiers) - set(Tier):
        raise Misused(f"{sorted(unknown)[0]!r} is no tier; there are {', '.join(Tier)}")
    clock = clock or SystemClock()
    transport = Transport(base_url, proxy=proxy, tunnels_all=tunnel, ca=ca, clock=clock, environment=environment)
    return Client(
        transport,
        Api(transport, session_id, Tokens(token, clock), event_types),
        tiers=tuple(Tier(tier) for tier in tiers),
        start=start,
        follows=follows,
        history=history if event_types is None or "message_added" in event_types else 0,
        on_event=on_event,
        on_reset=on_reset,
        on_status=on_status,
        clock=clock,
    )


def _raise(over: Verdict | None) -> None:
    """Raise why a client has stopped, where that is nothing to be expected."""
    status = _CODES.get(over.event) if over is not None else None
    if over is not None and status is not None:
        raise (SignedOut if status == 401 else Refused)(status, "", over.reason)


def _begin(function: Callable[[Any], object], value: object) -> Coroutine[Any, Any, None] | None:
    """Call what the program gave us, and return the rest of it if it is async; its mistakes do not end the client."""
    try:
        found = function(value)
    except Exception:
        logger.exception("%s failed", getattr(function, "__name__", function))
        return None
    return _finish(found, function) if inspect.isawaitable(found) else None


async def _finish(rest: Awaitable[object], function: Callable[[Any], object]) -> None:
    try:
        await rest
    except Exception:
        logger.exception("%s failed", getattr(function, "__name__", function))


async def _call(function: Callable[[Any], object] | None, value: object) -> None:
    rest = _begin(function, value) if function is not None else None
    if rest is not None:
        await rest
