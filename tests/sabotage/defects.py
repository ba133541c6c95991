"""The defects: what is broken, how, and which test must notice.

A defect replaces one piece of text by another.  ``before`` must stand exactly once in its file; a test checks that, so
the table cannot rot.
"""

from __future__ import annotations

from typing import NamedTuple


class Defect(NamedTuple):
    promise: str
    what: str
    file: str  # below rtserver/
    before: str
    after: str
    test: str  # what must turn red, as pytest names it, below tests/


SIMULATION = "test_simulation.py::test_no_schedule_loses_repeats_or_reorders_an_event[0]"

DEFECTS = (
    Defect(
        "P1",
        "acknowledge and show before the commit",
        "writer.py",
        "results = await self._worker.call(self._store.commit, ",
        "results = self._seal_in_memory(changes)\n            self._worker.call(self._store.commit, ",
        "test_writer.py::test_publish_is_shown_and_answered_only_after_its_commit",
    ),
    Defect(
        "P1",
        "leave the log unsynced",
        "store.py",
        '_SYNCHRONOUS = {"full": "FULL"',
        '_SYNCHRONOUS = {"full": "NORMAL"',
        "test_durability.py::test_the_log_is_synced_before_each_publish_is_acknowledged",
    ),
    Defect(
        "P1",
        "keep the epochs after commits may have been lost",
        "store.py",
        'may_have_lost = row is not None and row[0] == "no: normal"',
        "may_have_lost = False",
        SIMULATION,
    ),
    Defect(
        "P1",
        "forget what was asked before under the same messageId",
        "store.py",
        "            found = self._find_keys(changes)\n",
        "            found = {}\n",
        "test_crash.py",
    ),
    Defect(
        "P2",
        "do not take numbers back when their batch fails",
        "sealing.py",
        "        self.heads: dict[int, Head] = {}\n",
        "        self.heads = seal_all.__dict__.setdefault('heads', {})\n",
        SIMULATION,
    ),
    Defect(
        "P2",
        "go live one event too early",
        "streams.py",
        "            if stream.sequence == session.last_sequence:\n",
        "            if stream.sequence >= session.last_sequence - 1:\n",
        "test_delivery.py",
    ),
    Defect(
        "P2",
        "serve a stream that is catching up in the pass as well",
        "fanout.py",
        "if stream.state is not StreamState.LIVE or stream.live_index >= news.live_index:",
        "if stream.state is StreamState.ENDED or stream.live_index >= news.live_index:",
        SIMULATION,
    ),
    Defect(
        "P2",
        "read from the store what has not been shown yet",
        "reader.py",
        "            session.last_sequence,\n            limit if types is None else self._step_events,\n",
        "            session.last_sequence + 1000,\n            limit if types is None else self._step_events,\n",
        "test_reader.py::test_what_is_in_the_store_and_has_not_been_shown_is_not_read",
    ),
    Defect(
        "P2",
        "drop sessions that a request still holds",
        "hub.py",
        "        session.pins += 1\n",
        "        session.pins += 0\n",
        "test_bounds.py::test_a_session_whose_publish_is_on_its_way_to_the_disk_stays_in_memory",
    ),
    Defect(
        "P3",
        "ignore the epoch",
        "session.py",
        "if cursor.epoch is not None and cursor.epoch != self.epoch:",
        "if False:",
        "test_session.py::test_cursor_of_another_life_is_of_another_epoch",
    ),
    Defect(
        "P3",
        "ignore the time in the cursor",
        "session.py",
        "if None not in (cursor.timestamp_us, expected_us) and cursor.timestamp_us != expected_us:",
        "if False:",
        "test_gaps.py::test_a_cursor_whose_time_does_not_match_is_another_life",
    ),
    Defect(
        "P3",
        "start again from the oldest in silence",
        "reader.py",
        "        if reason is not None:\n            return Gap(reason, start.text)\n",
        "        if reason is ResetReason.TRIMMED:\n            return await self.locate(session, Edge.EARLIEST)\n"
        "        if reason is not None:\n            return Gap(reason, start.text)\n",
        "test_gaps.py::test_a_cursor_before_what_is_kept_is_told_so",
    ),
    Defect(
        "P3",
        "skip what retention took from a slow stream",
        "reader.py",
        "        if not events or events[0].sequence != after + 1:\n",
        "        if not events:\n",
        "test_gaps.py::test_a_stream_that_retention_overtakes_is_told_in_the_stream",
    ),
    Defect(
        "P3",
        "alarm an idle reader whose last event was trimmed",
        "session.py",
        "        if cursor.sequence < self.trimmed_sequence:\n",
        "        if cursor.sequence <= self.trimmed_sequence:\n",
        "test_gaps.py::test_an_idle_reader_whose_last_event_was_trimmed_is_up_to_date",
    ),
    Defect(
        "P4",
        "write to a paused reader",
        "fanout.py",
        "if stream.state is not StreamState.LIVE or",
        "if stream.state not in (StreamState.LIVE, StreamState.PAUSED) or",
        "test_slow_readers.py::test_a_stream_that_does_not_read_holds_one_write_at_most",
    ),
    Defect(
        "P4",
        "let the kernel queue what it likes",
        "sink.py",
        "NOTSENT_LOWAT_BYTES = 16384",
        "NOTSENT_LOWAT_BYTES = 1 << 30",
        "test_slow_readers.py::test_the_kernel_holds_little_for_a_stream_that_does_not_read",
    ),
    Defect(
        "P4",
        "keep slow readers for ever",
        "streams.py",
        "now >= stream.paused_at + self._settings.slow_reader_seconds",
        "False",
        "test_slow_readers.py::test_a_stream_that_takes_nothing_for_too_long_is_ended_and_counted",
    ),
    Defect(
        "P4",
        "let the ring grow",
        "ring.py",
        "len(self._events) > self.max_events or",
        "False or",
        "test_bounds.py::test_a_ring_holds_so_many_events",
    ),
    Defect(
        "P4",
        "let any amount wait for the disk",
        "writer.py",
        "        if self.pending_bytes + change.size > self._max_pending_bytes:\n",
        "        if False:\n",
        "test_bounds.py::test_what_waits_for_the_disk_is_bounded",
    ),
    Defect(
        "P5",
        "send no heartbeat",
        "streams.py",
        "            payload += self._overdue_id(stream) + sse.heartbeat(self._clock())\n",
        "            payload += self._overdue_id(stream)\n",
        "test_streams.py::test_heartbeats_come_at_the_announced_interval_without_an_id",
    ),
    Defect(
        "P5",
        "end streams without a word",
        "streams.py",
        "        farewell = self._framed(stream, sse.reconnect(reason, self._retry_ms()))\n",
        '        farewell = b""\n',
        "test_streams.py::test_deletion_of_the_session_ends_every_stream",
    ),
    Defect(
        "P5",
        "send everybody back at the same moment",
        "interval.py",
        "return round(base_seconds * 1000 * rng.uniform(0.5, 1.5))",
        "return round(base_seconds * 1000)",
        "test_streams.py::test_draining_tells_streams_and_new_ones_and_spreads_their_return",
    ),
    Defect(
        "P6",
        "leave streams open after a removal",
        "hub.py",
        "            self.streams.end_all(session, Ending.REMOVED, participant_id)\n",
        "",
        "test_streams.py::test_removal_ends_the_streams_of_that_participant_alone",
    ),
    Defect(
        "P6",
        "let an expired token go on reading",
        "streams.py",
        "        if now >= stream.expires_at:\n",
        "        if False:\n",
        "test_streams.py::test_expiry_of_the_token_ends_the_stream",
    ),
    Defect(
        "P8",
        "trust the system's clock",
        "sealing.py",
        "moment_us = max(self._now_us, head.modified_at_us + 1, head.floor_us)",
        "moment_us = self._now_us",
        SIMULATION,
    ),
)
