"""The core put together: store, writer, hub and maintenance over two workers, without HTTP.

The server runs it on threads and files, the simulation on a simulated disk and clock; it is the same core.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, NoReturn

from rtserver.blocks import Blocks
from rtserver.clock import Clock
from rtserver.config import Config
from rtserver.counters import Counters
from rtserver.documents import features
from rtserver.history import History
from rtserver.hub import Hub
from rtserver.interval import PollIntervals
from rtserver.maintenance import Maintenance, Retention
from rtserver.pace import Pace
from rtserver.polls import Polls
from rtserver.probes import Probes
from rtserver.queries import Queries
from rtserver.reader import Reader
from rtserver.registry import Registry
from rtserver.reports import Reports
from rtserver.store import Store
from rtserver.streams import Streams, StreamSettings
from rtserver.worker import Worker
from rtserver.writer import Writer

# Opens a connection in the thread that will use it; True for one that only reads.
Connect = Callable[[bool], Any]


class Core:
    """A hub on an open database: `open`, then `close`."""

    def __init__(
        self,
        hub: Hub,
        maintenance: Maintenance,
        pace: Pace,
        store: Store,
        queries: Queries,
        workers: list[Worker],
    ) -> None:
        self.hub = hub
        self._pace = pace
        self.maintenance = maintenance
        self._store = store
        self._queries = queries
        self._store_worker, self._query_worker = workers

    @classmethod
    async def open(
        cls,
        config: Config,
        connect: Connect,
        *,
        store_worker: Worker,
        query_worker: Worker,
        clock: Callable[[], int],
        rng: random.Random,
        max_streams: int,
        die: Callable[[str], NoReturn],
    ) -> Core:
        """Begin a server's life on a database whose schema is up to date.

        ``clock`` gives microseconds since 1970.  ``die`` ends the process at once, and is called in the store's worker.
        """
        watch = Clock(clock)
        store: Store = await store_worker.call(lambda: Store(connect(False), config.durability, die))
        trouble = await store_worker.call(store.begin_life)
        queries: Queries = await query_worker.call(lambda: Queries(connect(True)))
        reader = Reader(query_worker, queries, watch, config.replay_step, config.replay_step_bytes)
        counters = Counters()
        blocks = Blocks(reader, config.replay_step, config.replay_cache_bytes)
        pace = Pace(
            PollIntervals(config.poll_interval_min, config.poll_interval_default, config.poll_interval_max), watch
        )
        hub = Hub(
            writer=lambda show: Writer(store_worker, store, watch, show, config.max_pending_bytes, counters),
            registry=Registry(query_worker, queries, config.max_sessions, config.ring_events, config.ring_bytes),
            reader=reader,
            history=History(query_worker, queries, reader, config.replay_step, config.replay_step_bytes),
            streams=Streams(reader, blocks, _stream_settings(config, max_streams), watch, rng, counters),
            polls=Polls(reader, config.max_waiting_polls, watch, pace, counters),
            probes=Probes(config.max_probes, config.max_probes_per_participant),
            reports=Reports(config.max_reported_networks),
            query_worker=query_worker,
            queries=queries,
            last_number=await query_worker.call(queries.last_number),
            max_participants=config.max_participants,
            has_typing_indicators=config.typing_indicators,
            clock=watch,
            rng=rng,
            counters=counters,
        )
        hub.writer.trouble = trouble
        maintenance = Maintenance(
            hub,
            store,
            queries,
            store_worker=store_worker,
            query_worker=query_worker,
            clock=watch,
            retention=Retention(config.retention_events, config.retention_age),
            session_idle_seconds=config.session_idle,
            max_ring_bytes=config.max_ring_bytes,
        )
        return cls(hub, maintenance, pace, store, queries, [store_worker, query_worker])

    def start(self) -> None:
        """Begin what goes on in the background."""
        self.maintenance.start()
        self._pace.start()

    async def close(self) -> None:
        """Finish what was accepted and leave the database at rest; the workers stay usable."""
        self._pace.close()
        await self.maintenance.close()
        await self.hub.close()
        await self._query_worker.call(self._queries.close)
        await self._store_worker.call(self._store.close)


def _stream_settings(config: Config, max_streams: int) -> StreamSettings:
    return StreamSettings(
        heartbeat_seconds=config.heartbeat_interval,
        max_connection_seconds=config.max_connection_time,
        retry_seconds=config.retry_interval,
        padding_bytes=config.sse_padding,
        slow_reader_seconds=config.slow_reader_timeout,
        max_streams=max_streams,
        max_streams_per_participant=config.max_streams_per_participant,
        features=features(config.typing_indicators),
    )
