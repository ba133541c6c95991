"""What a behaviour is: a name, a number, a parameter, and four places in the path where it may have its say.

A hop has a list of behaviours, the first one nearest to the client, and every exchange goes through all of them.
Nothing here knows a socket.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

from tests.hostile.messages import Head, Headers, Item, Items, RequestHead

BEHAVIOURS: dict[str, type[Behaviour]] = {}


@dataclass(frozen=True)
class Clock:
    """The hop's own time: with a speed of 5 its seconds are a fifth of a second long."""

    speed: float = 1.0

    def now(self) -> float:
        return time.monotonic() * self.speed

    def real(self, seconds: float) -> float:
        """Return how long that is on the wall."""
        return seconds / self.speed


@dataclass
class Exchange:
    """One request that passes; times by `time.monotonic`, ``ended_at`` and ``status`` None until they are."""

    method: str
    path: str
    query: str
    is_stream: bool
    is_held: bool
    began_at: float
    ended_at: float | None = None
    status: int | None = None

    @property
    def is_api(self) -> bool:
        """Whether it is asked of the API, or for a tunnel to it."""
        return "/api/" in self.path or self.method == "CONNECT"


@dataclass
class Client:
    """One connection of a client, with what behaviours remember about it."""

    opened_at: float
    asked_to_log_in: int = 0


@dataclass
class Request:
    """A request on its way to the server; behaviours may change its head."""

    head: RequestHead
    body: bytes
    exchange: Exchange
    client: Client
    clock: Clock

    @property
    def age(self) -> float:
        """How long ago it came, in the hop's seconds."""
        return (time.monotonic() - self.exchange.began_at) * self.clock.speed


Onward = Callable[[Request], Items]


@dataclass
class Behaviour:
    """One way to be hostile.  What it does not say passes as it is.

    Subclasses say ``name``, ``number`` (as in the research on hostile proxies), ``summary`` and ``default``: a number,
    a text, or None if there is nothing to choose.
    """

    name: ClassVar[str] = ""
    number: ClassVar[str] = ""
    summary: ClassVar[str] = ""
    default: ClassVar[float | str | None] = None
    # No connection is accepted for so many seconds after it was set; None: they are.
    refuses_seconds: float | None = field(init=False, default=None)
    # A connection on which nothing passes for so long is closed; None: it is not.
    idle_seconds: float | None = field(init=False, default=None)

    clock: Clock
    parameter: str = ""
    amount: float = field(init=False, default=0.0)
    # Set when the hop behaves otherwise: what only waits need wait no longer.
    over: asyncio.Event = field(init=False, default_factory=asyncio.Event)

    def __init_subclass__(cls, **details: Any) -> None:
        super().__init_subclass__(**details)
        if cls.__dict__.get("name"):
            assert cls.name not in BEHAVIOURS
            BEHAVIOURS[cls.name] = cls

    def __post_init__(self) -> None:
        if self.default is None and self.parameter:
            raise ValueError(f"{self.name} takes no parameter, was given {self.parameter!r}")
        if not self.parameter and self.default is not None:
            self.parameter = str(self.default)
        if isinstance(self.default, float):
            self.amount = float(self.parameter)
        self.start()

    def start(self) -> None:
        """Get ready; the place for a look at the parameter and for what is remembered between exchanges."""

    async def pause(self, seconds: float) -> None:
        """Wait for so long of the hop's time, or until this behaviour is over."""
        if seconds > 0:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.over.wait(), self.clock.real(seconds))

    def answer(self, request: Request, onward: Onward) -> Items:
        """Give the response: ``onward(request)``, or anything else.  Stays with an exchange until its end."""
        return onward(request)

    def flow(self, request: Request, items: Items) -> Items:
        """Give what came at another time or in other pieces.

        An exchange in flight is handed from one behaviour to the next when the hop is told to change: ``items`` ends
        then as it does at the end of the response, so what is kept back is given at either end.
        """
        return items


def named(text: str, clock: Clock) -> Behaviour:
    """Return the behaviour that ``name`` or ``name:parameter`` means."""
    name, _, parameter = text.partition(":")
    if name not in BEHAVIOURS:
        raise ValueError(f"no behaviour is called {name!r}; there are {', '.join(BEHAVIOURS)}")
    try:
        return BEHAVIOURS[name](clock, parameter)
    except ValueError as error:
        raise ValueError(f"{text!r}: {error}") from error


def page(status: int, text: str, *headers: tuple[str, str]) -> list[Item]:
    """Return a page of HTML as networks put it in place of an answer; what is in it must never run."""
    body = f"<!doctype html><title>{text}</title><h1 id=blocked>{text}</h1>{SCRIPT}".encode()
    framing = [("Content-Type", "text/html; charset=utf-8"), ("Content-Length", str(len(body)))]
    return [Head(status, Headers([*framing, *headers])), body]


SCRIPT = "<script>document.documentElement.dataset.hacked = 'yes'</script>"


async def given(items: list[Item]) -> AsyncIterator[Item]:
    for item in items:
        yield item


class Changed(Exception):
    """The hop was told to behave otherwise while something was waited for."""


class Ahead:
    """Reads items one ahead, so that waiting for the next one may be given up and taken up again."""

    def __init__(self, items: Items) -> None:
        self._items = items
        self._next: asyncio.Task[Item | None] | None = None
        self.is_at_end = False

    async def next(self, seconds: float | None = None, unless: asyncio.Event | None = None) -> Item | None:
        """Return the next item, None at the end.

        :raises TimeoutError: when it did not come in so many seconds of the wall
        :raises Changed: when ``unless`` is set first
        """
        if unless is not None and unless.is_set():
            raise Changed
        if self.is_at_end:
            return None
        if self._next is None:
            self._next = asyncio.ensure_future(self._take())
        changed = asyncio.ensure_future(unless.wait()) if unless is not None else None
        try:
            awaited = {task for task in (self._next, changed) if task is not None}
            await asyncio.wait(awaited, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            if changed is not None:
                changed.cancel()
        if not self._next.done():
            raise Changed if unless is not None and unless.is_set() else TimeoutError
        taken, self._next = self._next, None
        item = taken.result()
        self.is_at_end = item is None
        return item

    async def close(self) -> None:
        if self._next is not None:
            self._next.cancel()
            await asyncio.gather(self._next, return_exceptions=True)

    async def _take(self) -> Item | None:
        return await anext(self._items, None)
