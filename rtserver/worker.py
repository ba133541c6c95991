"""A thread that does blocking work for the event loop, one call after the other."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

R = TypeVar("R")


class Worker(Protocol):
    """Where blocking calls run, in the order they were made.  The simulation has one without a thread."""

    def call(self, function: Callable[..., R], *arguments: Any) -> asyncio.Future[R]: ...
    async def close(self) -> None: ...


class ThreadWorker:
    """One thread, started at once.  SQLite connections made by its calls belong to it."""

    def __init__(self, name: str) -> None:
        self._calls: queue.SimpleQueue[tuple[asyncio.Future[Any], Callable[..., Any], tuple[Any, ...]] | None]
        self._calls = queue.SimpleQueue()
        self._loop = asyncio.get_running_loop()
        # A daemon: a thread stuck in a dead disk must not keep the process from ending.
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def call(self, function: Callable[..., R], *arguments: Any) -> asyncio.Future[R]:
        """Run ``function`` in the thread; the future has its result or its exception."""
        future: asyncio.Future[R] = self._loop.create_future()
        self._calls.put((future, function, arguments))
        return future

    async def close(self) -> None:
        """Finish what was asked for and end the thread."""
        self._calls.put(None)
        await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        while call := self._calls.get():
            future, function, arguments = call
            try:
                result = function(*arguments)
            except BaseException as error:
                self._answer(future, None, error)
            else:
                self._answer(future, result, None)
            # Not until the next call: an answer may hold megabytes of events.
            del call, future, function, arguments

    def _answer(self, future: asyncio.Future[Any], result: object, error: BaseException | None) -> None:
        try:
            self._loop.call_soon_threadsafe(_settle, future, result, error)
        except RuntimeError:
            # The loop is closed: nobody waits any more.
            pass


def _settle(future: asyncio.Future[Any], result: object, error: BaseException | None) -> None:
    if future.cancelled():
        return
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(result)
