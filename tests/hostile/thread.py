"""A hop in a thread of its own, for tests that block and for browsers."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

from tests.hostile.behaviour import Exchange
from tests.hostile.hop import Hop

PATIENCE_SECONDS = 10


class HopThread:
    """``with HopThread(port, "cut-at:20", speed=5) as hop``: as `Hop`, from any thread."""

    def __init__(self, upstream_port: int, *behaviours: str, speed: float = 1.0, port: int = 0) -> None:
        self._hop = Hop(upstream_port, *behaviours, speed=speed, port=port)

    def __enter__(self) -> HopThread:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="hop", daemon=True)
        self._thread.start()
        try:
            self._do(self._hop.__aenter__)
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *details: object) -> None:
        try:
            self._do(self._hop.__aexit__)
        finally:
            self._end()

    def set(self, *names: str) -> None:
        async def change() -> None:
            self._hop.set(*names)

        self._do(change)

    def cut(self) -> None:
        """Break every connection there is."""
        self._loop.call_soon_threadsafe(self._hop.cut)

    @property
    def url(self) -> str:
        return self._hop.url

    @property
    def port(self) -> int:
        return self._hop.port

    @property
    def exchanges(self) -> list[Exchange]:
        return self._hop.exchanges

    @property
    def most_held(self) -> int:
        return self._hop.most_held

    @property
    def held(self) -> int:
        return self._hop.held

    @property
    def connections(self) -> int:
        return self._hop.connections

    def _do(self, what: Callable[[], Any]) -> None:
        async def call() -> None:
            await what()

        asyncio.run_coroutine_threadsafe(call(), self._loop).result(PATIENCE_SECONDS)

    def _end(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE_SECONDS)
        self._loop.close()
