"""What runs: tasks by name, no two of a name, and the one queue in which they say what happened.

What was stopped is not listened to any more, so nothing that was cancelled can count against a tier or start something
anew.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, NamedTuple

from rtserver.client.machine import Event
from rtserver.client.timing import Clock, end
from rtserver.client.verdict import Verdict

logger = logging.getLogger(__name__)


class Run:
    """Something that runs, and says verdicts; ``is_stopped`` once nobody listens to it any more."""

    def __init__(self, queue: asyncio.Queue[Said]) -> None:
        self.is_stopped = False
        self.task: asyncio.Task[None] | None = None
        self._queue = queue

    def say(self, verdict: Verdict) -> None:
        self._queue.put_nowait(Said(self, verdict))

    def stop(self) -> None:
        self.is_stopped = True
        if self.task is not None:
            self.task.cancel()


class Said(NamedTuple):
    run: Run | None  # None is somebody outside
    verdict: Verdict


Doing = Callable[[Run], Coroutine[Any, Any, None]]


class Runs:
    """Starts, stops and listens."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._queue: asyncio.Queue[Said] = asyncio.Queue()
        self._named: dict[str, Run] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def __contains__(self, name: str) -> bool:
        """Say whether something runs under a name."""
        run = self._named.get(name)
        return run is not None and run.task is not None and not run.task.done()

    def start(self, name: str, doing: Doing) -> None:
        """Run something, instead of what runs under that name."""
        self.stop(name)
        run = self._named[name] = Run(self._queue)
        run.task = asyncio.create_task(_guarded(run, doing), name=f"rtserver client: {name}")
        self._tasks.add(run.task)
        run.task.add_done_callback(self._tasks.discard)

    def after(self, name: str, seconds: float, event: Event, reason: str = "") -> None:
        """Say something after a while."""

        async def wait(run: Run) -> None:
            await self._clock.sleep(seconds)
            run.say(Verdict(event, reason))

        self.start(name, wait)

    def stop(self, *names: str) -> None:
        for name in names:
            run = self._named.pop(name, None)
            if run is not None:
                run.stop()

    def stop_all(self) -> None:
        self.stop(*list(self._named))

    def rename(self, name: str, new_name: str) -> None:
        """Let what runs under one name go on under another, instead of what runs under that."""
        self.stop(new_name)
        self._named[new_name] = self._named.pop(name)

    def say(self, event: Event) -> None:
        """Say something from outside."""
        self._queue.put_nowait(Said(None, Verdict(event)))

    async def next(self) -> Verdict:
        """Return what is said next."""
        while True:
            said = await self._queue.get()
            if said.run is None or not said.run.is_stopped:
                return said.verdict

    async def close(self) -> None:
        """Stop everything, and return when it is gone."""
        self.stop_all()
        await end(*self._tasks)


async def _guarded(run: Run, doing: Doing) -> None:
    try:
        await doing(run)
    except Exception:
        # A mistake of ours must not leave the client mute.
        logger.exception("the client made a mistake")
        run.say(Verdict(Event.FAILED, "the client made a mistake"))
