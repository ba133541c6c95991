"""The event loop of the process: asyncio's, with short turns.

asyncio deals with everything that is ready in one turn.  When 4,000 connect at once that was measured to hold the loop
for 180 to 400 ms, and everybody else with it; cut, what is ready waits in the kernel, first come, first served.

Knows nothing of what the loop is for.
"""

from __future__ import annotations

import asyncio
import select
from collections.abc import Mapping
from selectors import EVENT_READ, EVENT_WRITE, BaseSelector, SelectorKey
from typing import Any

# Of sockets that are ready.  A request takes about 100 us: a turn is about 10 ms at most, and one more look at the
# sockets costs 2 us.
MAX_EVENTS = 64


class ShortTurns(BaseSelector):
    """Says at most `MAX_EVENTS` at once; the kernel goes on with those that were left, so nobody starves."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._keys: dict[int, SelectorKey] = {}

    def register(self, fileobj: Any, events: int, data: Any = None) -> SelectorKey:
        descriptor = _descriptor(fileobj)
        if descriptor in self._keys:
            raise KeyError(f"{fileobj!r} is already registered")
        self._epoll.register(descriptor, _mask(events))
        key = self._keys[descriptor] = SelectorKey(fileobj, descriptor, events, data)
        return key

    def unregister(self, fileobj: Any) -> SelectorKey:
        key = self._keys.pop(_descriptor(fileobj))
        try:
            self._epoll.unregister(key.fd)
        except OSError:
            # Closed before it was unregistered: the kernel has forgotten it.
            pass
        return key

    def modify(self, fileobj: Any, events: int, data: Any = None) -> SelectorKey:
        key = self._keys[_descriptor(fileobj)]
        if events != key.events:
            self._epoll.modify(key.fd, _mask(events))
        key = self._keys[key.fd] = key._replace(events=events, data=data)
        return key

    def select(self, timeout: float | None = None) -> list[tuple[SelectorKey, int]]:
        ready = []
        for descriptor, happened in self._epoll.poll(timeout, MAX_EVENTS):
            key = self._keys.get(descriptor)
            if key is not None:
                # An error or a hang-up is for who reads and for who writes.
                events = (EVENT_READ if happened & ~select.EPOLLOUT else 0) | (
                    EVENT_WRITE if happened & ~select.EPOLLIN else 0
                )
                ready.append((key, events & key.events))
        return ready

    def get_map(self) -> Mapping[Any, SelectorKey]:
        return self._keys

    def get_key(self, fileobj: Any) -> SelectorKey:
        return self._keys[_descriptor(fileobj)]

    def close(self) -> None:
        self._epoll.close()
        self._keys.clear()


def new_event_loop() -> asyncio.AbstractEventLoop:
    """Return asyncio's loop on a selector with short turns."""
    return asyncio.SelectorEventLoop(ShortTurns())


def _descriptor(fileobj: Any) -> int:
    return fileobj if isinstance(fileobj, int) else int(fileobj.fileno())


def _mask(events: int) -> int:
    return (select.EPOLLIN if events & EVENT_READ else 0) | (select.EPOLLOUT if events & EVENT_WRITE else 0)
