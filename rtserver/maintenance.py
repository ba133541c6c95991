"""What goes on in the background, in small steps between publishes: retention, clean-up, memory.

Nothing here is seen by readers but what P3 says aloud: an event that was trimmed is gone for all tiers at once.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import NamedTuple

from rtserver.access import using
from rtserver.changes import Change, Trim
from rtserver.errors import RequestError
from rtserver.hub import Hub
from rtserver.queries import Queries
from rtserver.session import Session
from rtserver.store import Store
from rtserver.worker import Worker

log = logging.getLogger(__name__)

TICK_SECONDS = 1.0
# With work left over, publishes still get most of the disk.
BUSY_TICK_SECONDS = 0.05
# Rows in one step: a few milliseconds of the writer's time.
STEP_ROWS = 500
STEP_PAGES = 200
DAY_US = 24 * 3600 * 1_000_000


class Retention(NamedTuple):
    """What is kept; 0 keeps everything."""

    events_per_session: int
    age_seconds: float


class Maintenance:
    """Runs from `start` to `close`; each `step` is one round of everything."""

    def __init__(
        self,
        hub: Hub,
        store: Store,
        queries: Queries,
        *,
        store_worker: Worker,
        query_worker: Worker,
        clock: Callable[[], int],
        retention: Retention,
        session_idle_seconds: float,
        max_ring_bytes: int,
    ) -> None:
        """``clock`` gives microseconds since 1970."""
        self._hub = hub
        self._store = store
        self._queries = queries
        self._store_worker = store_worker
        self._query_worker = query_worker
        self._clock = clock
        self._retention = retention
        self._session_idle_seconds = session_idle_seconds
        self._max_ring_bytes = max_ring_bytes
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Task[None] | None = None
        self._next_number = 0  # where the scan for overgrown sessions goes on
        self._next_key = (0, b"")  # and the one for forgettable keys

    def start(self) -> None:
        self._task = self._loop.create_task(self._run())

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        has_more = False
        while True:
            await asyncio.sleep(BUSY_TICK_SECONDS if has_more else TICK_SECONDS)
            try:
                has_more = await self.step()
            except RequestError as error:
                # The disk is full or the like: publishers are told so themselves.
                log.debug("maintenance waits: %s", error.detail)
                has_more = False
            except Exception:
                log.exception("maintenance failed; it goes on")
                has_more = False

    async def step(self) -> bool:
        """Do one bounded round; True if some of it had more to do."""
        self._free_memory()
        await self._retry_writing()
        busy = [
            await self._trim_by_age(),
            await self._trim_by_count(),
            await self._forget_keys(),
            await self._store_worker.call(self._store.sweep_doomed, STEP_ROWS),
        ]
        await self._return_space()
        return any(busy)

    def _free_memory(self) -> None:
        now_us = self._clock()
        for session in self._hub.registry:
            if session.passing:
                session.drop_expired_states(now_us)
        self._hub.registry.drop_idle(self._loop.time() - self._session_idle_seconds)
        self._hub.registry.shrink_rings(self._max_ring_bytes)

    async def _retry_writing(self) -> None:
        """Find out whether the disk takes writes again, and write what could not wait for it."""
        if self._hub.writer.trouble is not None:
            await self._store_worker.call(self._store.probe)
            self._hub.writer.recovered()
        for session in self._hub.registry:
            for participant_id in list(session.unsaved_removals):
                async with session.editing:
                    if participant_id in session.unsaved_removals and not session.is_deleted:
                        await self._hub.participants.save_removal(session, participant_id)

    async def _trim_by_age(self) -> bool:
        if not self._retention.age_seconds:
            return False
        before_us = self._clock() - round(self._retention.age_seconds * 1_000_000)
        outdated = await self._query_worker.call(self._queries.outdated, before_us, STEP_ROWS)
        for session_id, sequence in outdated:
            session = await self._hub.registry.get(session_id)
            if session is not None:
                await self._trim(session, sequence)
        return bool(outdated)

    async def _trim_by_count(self) -> bool:
        keep = self._retention.events_per_session
        if not keep:
            return False
        scan = await self._query_worker.call(self._queries.overgrown, keep, self._next_number, STEP_ROWS)
        self._next_number = scan.next_number
        is_behind = False
        for session_id in scan.session_ids:
            session = await self._hub.registry.get(session_id)
            if session is not None:
                through = min(session.last_sequence - keep, session.trimmed_sequence + STEP_ROWS)
                await self._trim(session, through)
                is_behind |= session.last_sequence - session.trimmed_sequence > keep
        return is_behind or scan.next_number > 0

    async def _trim(self, session: Session, through: int) -> None:
        """Forget the session's events up to ``through``."""
        with using(session):
            timestamp_us = await self._query_worker.call(self._queries.timestamp_of, session.number, through)
            if timestamp_us is not None and through > session.trimmed_sequence and not session.is_deleted:
                await self._hub.writer.submit(Change(session, edit=Trim(through, timestamp_us)))

    async def _forget_keys(self) -> bool:
        """Forget keys a day after they were used, once their events are gone."""
        scan = await self._query_worker.call(
            self._queries.forgettable_keys, self._clock() - DAY_US, self._next_key, STEP_ROWS
        )
        self._next_key = scan.next
        if scan.keys:
            await self._store_worker.call(self._store.delete_keys, scan.keys)
        return False

    async def _return_space(self) -> None:
        free = await self._query_worker.call(self._queries.free_pages)
        # Pages that come and go with every batch stay; only what retention has freed for good is given back.
        if free > 10 * STEP_PAGES:
            await self._store_worker.call(self._store.vacuum, STEP_PAGES)
