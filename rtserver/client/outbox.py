"""What is to be published: in order, one at a time, kept until the server has answered (DESIGN section 5).

Each has its messageId from the start, so that a repeat after a lost answer publishes nothing twice.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections import deque
from dataclasses import dataclass, field
from typing import Any

import msgspec

from rtserver.client.api import Api
from rtserver.client.delays import Retries
from rtserver.client.errors import Blocked, ClientError, Closed, Misused, SignedOut
from rtserver.client.machine import Event as MachineEvent
from rtserver.client.machine import Tier
from rtserver.client.position import Event
from rtserver.client.timing import Clock, end
from rtserver.client.verdict import judge, refusal

logger = logging.getLogger(__name__)

MAX_WAITING = 1000

_encode = msgspec.json.Encoder().encode


@dataclass(eq=False)
class Letter:
    """One event on its way; ``body`` is what is sent, written once: what cannot be written is never on its way."""

    type: str
    data: dict[str, Any]
    message_id: str
    body: bytes = field(init=False)
    answered: asyncio.Future[Event] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    def __post_init__(self) -> None:
        try:
            self.body = _encode({"type": self.type, "messageId": self.message_id, "data": self.data})
        except (TypeError, ValueError, OverflowError, RecursionError, msgspec.MsgspecError) as error:
            raise Misused(f"the event cannot be written as JSON: {error}") from None


class Outbox:
    """``waiting`` are those not answered yet, in the order in which they were given; ``problem`` is why, in words."""

    def __init__(self, api: Api, clock: Clock) -> None:
        self.waiting: deque[Letter] = deque()
        self._api = api
        self._clock = clock
        self._retries = Retries()
        self._sending: asyncio.Task[None] | None = None
        self._nudged = asyncio.Event()
        self.problem = ""
        self._may_hurry = True
        self._closed: Closed | None = None

    def put(self, type: str, data: dict[str, Any], message_id: str | None) -> asyncio.Future[Event]:
        """Give something to be published; the future is the event, or why it was refused.

        Raises `Misused` for what cannot be written as JSON, and where too much waits.
        """
        if self._closed is not None:
            raise self._closed
        if len(self.waiting) >= MAX_WAITING:
            raise Misused(f"{MAX_WAITING} events wait to be sent; wait for some of them")
        letter = Letter(type, data, message_id or str(uuid.uuid4()))
        self.waiting.append(letter)
        if self._sending is None or self._sending.done():
            self._sending = asyncio.create_task(self._send())
        return letter.answered

    def nudge(self) -> None:
        """The network is back: do not wait for the next attempt, unless it was the server that asked for patience."""
        self._nudged.set()

    async def close(self) -> None:
        """Send nothing more; what waits is answered with `Closed`, and may have been published or not."""
        self._closed = Closed("the client was closed before the event was acknowledged")
        if self._sending is not None:
            await end(self._sending)
        while self.waiting:
            self._fail(self.waiting.popleft(), self._closed)

    async def _send(self) -> None:
        while self.waiting:
            letter = self.waiting[0]
            # Before the attempt: the network may come back while it runs into its time limit.
            self._nudged.clear()
            try:
                event = await self._try(letter)
            except ClientError as error:
                # This one is refused whenever it is sent: it must not hold up those behind it.
                self.waiting.popleft()
                self._fail(letter, error)
                continue
            except Exception:
                # A mistake of ours must not leave the client mute.
                logger.exception("the client made a mistake")
                self.waiting.popleft()
                self._fail(letter, ClientError("the client made a mistake; the event may be published or not"))
                continue
            if event is not None:
                self._retries.settle()
                self.problem = ""
                self.waiting.popleft()
                if not letter.answered.done():
                    letter.answered.set_result(event)
                continue
            await self._pause(self._retries.next(Tier.SSE, self._clock.random()))

    async def _try(self, letter: Letter) -> Event | None:
        """Return the event that was published, or None if it is to be tried again; raises what refuses it."""
        self._may_hurry = True
        try:
            answer = await self._api.publish(letter.body)
            if answer.status in (201, 202):
                return _published(letter, answer.json())
        except SignedOut:
            raise
        except ClientError as error:
            self.problem = str(error)
            return None
        verdict = judge(answer)
        self.problem = verdict.reason
        self._retries.floor(verdict.retry_after_seconds)
        self._may_hurry = verdict.event is not MachineEvent.BUSY
        if verdict.event in (MachineEvent.BUSY, MachineEvent.PAGE, MachineEvent.FAILED) or answer.status >= 500:
            return None
        raise refusal(answer)

    async def _pause(self, seconds: float) -> None:
        timers: list[asyncio.Future[Any]] = [asyncio.ensure_future(self._clock.sleep(seconds))]
        if self._may_hurry:
            timers.append(asyncio.ensure_future(self._nudged.wait()))
        try:
            await asyncio.wait(timers, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await end(*timers)

    def _fail(self, letter: Letter, error: ClientError) -> None:
        if not letter.answered.done():
            letter.answered.set_exception(error)
            # Who does not wait for the answer is not told of it by the loop either.
            letter.answered.exception()


def _published(letter: Letter, answer: dict[str, Any]) -> Event:
    try:
        entry = answer["events"][0]
        timestamp, id, sequence = entry.get("timestamp"), entry.get("id"), entry.get("sequence")
    except (KeyError, IndexError, TypeError, AttributeError):
        raise Blocked("an answer to publishing is not the server's") from None
    return Event(letter.type, {"messageId": letter.message_id} | letter.data, timestamp, id, sequence)
