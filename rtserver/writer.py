"""Group commit: changes gather while a batch is on its way to the disk, and go together as the next one.

One batch is in flight at a time, so a session's numbering stands still while its next numbers are made (P2).
A change is applied to its session, and so becomes visible, only when its batch has been committed (P1).
"""

from __future__ import annotations

import asyncio
import copy
import logging
from collections import deque
from collections.abc import Callable
from functools import partial

from rtserver.changes import Change, Sealed
from rtserver.clock import Clock
from rtserver.counters import Counters
from rtserver.errors import Internal, Overloaded, RequestError, StorageFailing, StorageFull
from rtserver.sealing import seal_all
from rtserver.store import Store
from rtserver.worker import Worker

log = logging.getLogger(__name__)

# Enough to fill a transaction, few enough that the thread gives the loop its turn back within milliseconds.
MAX_BATCH_DRAFTS = 1000
MAX_BATCH_BYTES = 4 << 20

Result = Sealed | RequestError
# What becomes of a change; another exception is a defect.
Outcome = Sealed | Exception
Answer = tuple[Callable[[Outcome], None], Outcome]
# A change, whom to tell what became of it, and when it came, by the clock of the event loop.
Waiting = tuple[Change, Callable[[Outcome], None], float]


class Writer:
    """Takes changes in order and answers each when it is durable.

    Invariant: changes are sealed, committed and applied in the order of `put`.
    """

    def __init__(
        self,
        worker: Worker,
        store: Store,
        clock: Clock,
        apply: Callable[[Sealed], None],
        max_pending_bytes: int,
        counters: Counters,
    ) -> None:
        """``worker`` is the thread of ``store``; ``apply`` shows a committed change to readers."""
        self.trouble: StorageFull | StorageFailing | None = None  # why the last batch failed, while that is so
        self.pending_bytes = 0
        self._counters = counters
        self._worker = worker
        self._store = store
        self._clock = clock
        self._apply = apply
        self._max_pending_bytes = max_pending_bytes
        self._pending: deque[Waiting] = deque()
        self._flight: asyncio.Task[None] | None = None
        self._sealed_at_us: int | None = None  # of the batch that is on its way to the disk

    def submit(self, change: Change) -> asyncio.Future[Sealed]:
        """Put a change into the next batch; the future has its outcome, or the `RequestError` that refused it.

        Raises as `put` does.
        """
        future: asyncio.Future[Sealed] = asyncio.get_running_loop().create_future()
        self.put(change, partial(settle, future))
        return future

    def put(self, change: Change, done: Callable[[Outcome], None]) -> None:
        """Put a change into the next batch; ``done`` is called with what becomes of it, when that is durable.

        Raises `Overloaded` when more than ``max_pending_bytes`` wait for the disk.
        """
        if self.pending_bytes + change.size > self._max_pending_bytes:
            raise Overloaded(f"{self.pending_bytes} bytes wait for the disk; at most {self._max_pending_bytes} may")
        loop = asyncio.get_running_loop()
        waiting = change, done, loop.time()
        if self._flight is None and not change.needs_disk:
            # A passing state with nothing ahead of it: there is nothing to wait for.
            results = self._seal_in_memory([change])
            self.pending_bytes += change.size
            _tell(self._show_all([waiting], results))
            return
        self.pending_bytes += change.size
        self._pending.append(waiting)
        if self._flight is None:
            self._flight = loop.create_task(self._fly())

    @property
    def shown_until_us(self) -> int:
        """The time until which everything that has happened is visible.

        That is now, or when the batch was numbered that is on its way to the disk: what it holds will have happened
        then, and an answer that was dated later would hide it from who asks again by date (DESIGN 4.6).
        """
        now_us = self._clock()
        return now_us if self._sealed_at_us is None else min(self._sealed_at_us, now_us)

    async def flush(self) -> None:
        """Return when everything submitted so far has been answered."""
        while self._flight is not None:
            await asyncio.shield(self._flight)

    async def _fly(self) -> None:
        try:
            while self._pending:
                await self._process(self._take())
                if self._store.wants_checkpoint:
                    # Nobody waits for it: the batch has been answered.
                    await self._checkpoint()
        finally:
            self._flight = None

    async def _process(self, batch: list[Waiting]) -> None:
        try:
            results = await self._write([change for change, _, _ in batch])
        except Exception:
            # A defect, and of one change: its neighbours must not suffer, so each is tried alone.
            if len(batch) > 1:
                for waiting in batch:
                    await self._process([waiting])
                return
            log.exception("a change could not be written")
            results = [Internal("the change could not be written; the server's log has the cause")]
        self._settle(batch, results)
        self._sealed_at_us = None

    def _take(self) -> list[Waiting]:
        """Take from the front what fits into one batch; always at least one change."""
        batch = [self._pending.popleft()]
        drafts, size = len(batch[0][0].drafts), batch[0][0].size
        while self._pending:
            change = self._pending[0][0]
            drafts, size = drafts + len(change.drafts), size + change.size
            if drafts > MAX_BATCH_DRAFTS or size > MAX_BATCH_BYTES:
                break
            batch.append(self._pending.popleft())
        return batch

    async def _write(self, changes: list[Change]) -> list[Result]:
        if not any(change.needs_disk for change in changes):
            return self._seal_in_memory(changes)
        now_us = self._sealed_at_us = self._clock()
        time = asyncio.get_running_loop().time
        began_at = time()
        try:
            results = await self._worker.call(self._store.commit, changes, now_us, self._clock.latest_us)
        except (StorageFull, StorageFailing) as error:
            if self.trouble is None:
                log.error("publishing fails: %s", error.detail)
                self._counters.disk_failures += 1
            self.trouble = error
            # A copy each: an exception collects a traceback wherever it is raised.
            return [copy.copy(error) if change.needs_disk else self._seal_in_memory([change])[0] for change in changes]
        self._counters.batch_sizes.observe(len(changes))
        self._counters.commit_seconds.observe(time() - began_at)
        self.recovered()
        return results

    async def _checkpoint(self) -> None:
        try:
            await self._worker.call(self._store.checkpoint)
        except (StorageFull, StorageFailing) as error:
            # The log goes on growing where there is space for it; publishing tells when there is none.
            log.warning("the write-ahead log could not be copied: %s", error.detail)
        except Exception:
            # A defect; what waits for the next batch must not wait for ever.
            log.exception("the write-ahead log could not be copied")

    def recovered(self) -> None:
        """The disk has taken a write."""
        if self.trouble is not None:
            log.warning("publishing works again")
            self._counters.disk_recoveries += 1
            self.trouble = None

    def _seal_in_memory(self, changes: list[Change]) -> list[Result]:
        return seal_all(changes, {}, self._clock(), self._clock.latest_us)[1]

    def _settle(self, batch: list[Waiting], results: list[Result]) -> None:
        """Show what became durable; everybody is told in the loop's next turn: the disk gets its next batch first."""
        asyncio.get_running_loop().call_soon(_tell, self._show_all(batch, results))

    def _show_all(self, batch: list[Waiting], results: list[Result]) -> list[Answer]:
        answers: list[Answer] = []
        for (change, done, submitted_at), result in zip(batch, results, strict=True):
            self.pending_bytes -= change.size
            outcome: Outcome = result
            try:
                if isinstance(result, Sealed):
                    self._show(result, submitted_at)
            except Exception as error:
                # A defect; it must not leave the neighbours without an answer.
                log.exception("a committed change could not be shown")
                outcome = error
            answers.append((done, outcome))
        return answers

    def _show(self, sealed: Sealed, submitted_at: float) -> None:
        if sealed.is_replay:
            self._counters.repeats += 1
            return
        sealed.submitted_at = submitted_at
        self._counters.events += len(sealed.events)
        self._counters.transients += len(sealed.transients)
        self._apply(sealed)


def _tell(answers: list[Answer]) -> None:
    for done, outcome in answers:
        try:
            done(outcome)
        except Exception:
            log.exception("a change could not be answered")


def settle(future: asyncio.Future[Sealed], outcome: Outcome) -> None:
    """Give a future what became of its change, if somebody still waits."""
    if future.cancelled():
        return
    if isinstance(outcome, Sealed):
        future.set_result(outcome)
    else:
        future.set_exception(outcome)
