"""The first tier: reads one event stream, takes its events in, says what the stream tells of itself (DESIGN 4.4)."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator

import msgspec

from rtserver.client.answer import Answer
from rtserver.client.api import Api
from rtserver.client.delays import Retries
from rtserver.client.errors import Blocked, ClientError, Unreachable
from rtserver.client.eventstream import Block, EventStream
from rtserver.client.inbox import Inbox
from rtserver.client.machine import Event
from rtserver.client.position import Event as StreamEvent
from rtserver.client.position import event_of_block, reset_of
from rtserver.client.timing import Clock, within
from rtserver.client.verdict import Verdict, judge_error, judge_stream

# `connected` and `probe` come two seconds apart; what holds a stream back gives them together.
PROBE_APART_SECONDS = 0.5
DEFAULT_HEARTBEAT_SECONDS = 30.0
# What ends sooner, unannounced, was of little use; what is heard for so long is worth having.
CUT_EARLY_SECONDS = 20.0
LASTING_SECONDS = 120.0
REFUSAL_SECONDS = 5.0
MAX_REFUSAL_BYTES = 64 << 10

# Why the server ends a stream, and what that means; anything else is a goodbye.
_ENDINGS = {
    "removed": Verdict(Event.FORBIDDEN, "removed from the session"),
    "session_closed": Verdict(Event.ENDED, "the session is closed"),
    "session_deleted": Verdict(Event.GONE, "the session was deleted"),
}
_GOING_ON = (Event.CONNECTED, Event.PROBE_APART, Event.PROBE_TOGETHER, Event.LASTED)
_decode = msgspec.json.Decoder().decode


class Stream:
    """One stream.  ``heard_at`` is when its last bytes came, by the client's clock."""

    def __init__(self, api: Api, inbox: Inbox, clock: Clock, retries: Retries) -> None:
        self.heard_at = clock.now()
        self.heartbeat_seconds = DEFAULT_HEARTBEAT_SECONDS
        self._api = api
        self._inbox = inbox
        self._clock = clock
        self._retries = retries
        self._connected_at: float | None = None
        self._has_lasted = False
        self._cursor = inbox.position.cursor  # that the server answers to

    @property
    def is_waiting(self) -> bool:
        """Say whether reading pauses, because nobody takes out what was read."""
        return self._inbox.is_full

    async def signals(self) -> AsyncGenerator[Verdict, None]:
        """Read the stream to its end; the last signal says what the end means."""
        try:
            async with self._api.stream(self._cursor) as (head, pieces):
                refusal = await self._refusal(head.status, head.headers, pieces)
                if refusal is not None:
                    yield refusal
                    return
                try:
                    async with contextlib.aclosing(self._read(pieces)) as signals:
                        async for signal in signals:
                            yield signal
                            if signal.event not in _GOING_ON:
                                return
                except Unreachable as error:
                    yield Verdict(self._lost(), str(error))
                else:
                    yield Verdict(self._lost(), "the stream ended without a word")
        except ClientError as error:
            yield judge_error(error)

    def _lost(self) -> Event:
        """Return what an end that nobody announced is; it may be that the network closes what is silent."""
        if self._connected_at is not None:
            self._api.heartbeat.was_cut(self._clock.now() - self.heard_at)
        age_seconds = None if self._connected_at is None else self._clock.now() - self._connected_at
        is_early = age_seconds is not None and age_seconds < CUT_EARLY_SECONDS
        return Event.STREAM_CUT_EARLY if is_early else Event.STREAM_LOST

    async def _refusal(self, status: int, headers: dict[str, str], pieces: AsyncIterator[bytes]) -> Verdict | None:
        verdict = judge_stream(Answer(status, headers))
        if verdict.event is Event.OK:
            return None
        if status in (200, 204):
            return verdict

        async def read() -> bytes:
            body = b""
            async for piece in pieces:
                body += piece
                if len(body) > MAX_REFUSAL_BYTES:
                    break
            return body

        body = await within(self._clock, REFUSAL_SECONDS, read(), "reading a refusal")
        return judge_stream(Answer(status, headers, body))

    async def _read(self, pieces: AsyncIterator[bytes]) -> AsyncGenerator[Verdict, None]:
        parser = EventStream()
        async for piece in pieces:
            self.heard_at = self._clock.now()
            blocks = parser.feed(piece)
            self._retries.tell(parser.retry_ms)
            events: list[StreamEvent] = []
            for block in blocks:
                fields = _fields(block)
                if block.type in ("connected", "probe", "heartbeat", "reset", "reconnect"):
                    await self._inbox.take(events)
                    events = []
                    signal = await self._control(block.type, fields)
                    if signal is not None:
                        yield signal
                elif block.data is None:
                    await self._inbox.take(events, block.last_event_id)
                    events = []
                else:
                    events.append(event_of_block(block.type, fields, block.last_event_id if block.has_id else None))
            await self._inbox.take(events)
            # Taking in may have had to wait for room.
            self.heard_at = self._clock.now()
            if not self._has_lasted and self._connected_at is not None:
                self._has_lasted = self.heard_at - self._connected_at >= LASTING_SECONDS
                if self._has_lasted:
                    yield Verdict(Event.LASTED)

    async def _control(self, type: str, fields: dict[str, object]) -> Verdict | None:
        match type:
            case "connected":
                self._connected_at = self.heard_at
                told = fields.get("heartbeatInterval")
                if isinstance(told, (int, float)) and told > 0:
                    self.heartbeat_seconds = float(told)
                return Verdict(Event.CONNECTED)
            case "probe" if self._connected_at is not None:
                if self.heard_at - self._connected_at >= PROBE_APART_SECONDS:
                    return Verdict(Event.PROBE_APART)
                return Verdict(Event.PROBE_TOGETHER, "something on the way holds streams back")
            case "reset":
                await self._inbox.take_reset(reset_of(fields), self._cursor)
            case "reconnect":
                reason = str(fields.get("reason", ""))
                return _ENDINGS.get(reason, Verdict(Event.GOODBYE, f"the server ended the stream: {reason}"))
        return None


def _fields(block: Block) -> dict[str, object]:
    """Return the JSON object of a block; raises `Blocked` where there is none."""
    if block.data is None:
        return {}
    try:
        fields = _decode(block.data)
    except (msgspec.DecodeError, RecursionError):
        fields = None
    if not isinstance(fields, dict):
        raise Blocked(f"an event {block.type[:40]!r} of the stream holds no JSON object")
    return fields
