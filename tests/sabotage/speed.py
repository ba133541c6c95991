"""Defects of what makes the server fast: each is a way to be fast and wrong."""

from __future__ import annotations

from tests.sabotage.defect import Defect

SPEED = (
    Defect(
        "P2",
        "hope that what is refused repeats nothing",
        "store.py",
        "isinstance(result, RequestError) and change.has_keys",
        "False",
        "test_store.py::test_repeat_is_answered_in_a_session_that_takes_nothing_new",
    ),
    Defect(
        "P4",
        "hope again after every repeat",
        "store.py",
        "self._wary_batches = WARY_BATCHES",
        "self._wary_batches = 0",
        "test_store.py::test_after_a_repeat_keys_are_looked_up_before_they_are_written_for_a_while",
    ),
    Defect(
        "P3",
        "serve a block of events that were trimmed",
        "blocks.py",
        "may_be_served = after >= session.trimmed_sequence",
        "may_be_served = True",
        "test_blocks.py::test_a_block_of_what_was_trimmed_is_served_to_nobody",
    ),
    Defect(
        "P2",
        "take the last block of a session for one that is full",
        "blocks.py",
        "self.is_full = page.has_more",
        "self.is_full = True",
        "test_blocks.py::test_the_last_block_of_a_session_grows",
    ),
    Defect(
        "P4",
        "keep every block",
        "blocks.py",
        "while self.size > self._max_bytes and self._blocks:",
        "while False:",
        "test_blocks.py::test_blocks_hold_so_many_bytes_those_used_least_recently_giving_way",
    ),
    Defect(
        "P2",
        "write to the socket past what still waits for it",
        "sink.py",
        "if self._descriptor >= 0 and not self.is_paused:",
        "if self._descriptor >= 0:",
        "test_sink.py::test_what_is_written_to_a_full_socket_arrives_in_order",
    ),
    Defect(
        "P2",
        "write to a descriptor that is another connection's by now",
        "sink.py",
        "        self._descriptor = -1\n        if self._grace",
        "        if self._grace",
        "test_sink.py::test_a_lost_connection_leaves_no_descriptor_behind",
    ),
    Defect(
        "P2",
        "share a body among polls with different events",
        "updates.py",
        "return _shared_body((*answer.events, *answer.states), tuple",
        "return _shared_body((*answer.events[:1], *answer.states), tuple",
        "test_shared_polls.py::test_polls_that_are_told_different_things_are_told_in_different_bytes",
    ),
    Defect(
        "4.6",
        "make a body for every poll",
        "updates.py",
        "@functools.lru_cache(maxsize=16)\n",
        "",
        "test_shared_polls.py::test_a_hundred_waiting_polls_have_one_body_made_and_gzipped",
    ),
    Defect(
        "P2",
        "send a block to a stream that has moved on",
        "replay.py",
        "if found is None or stream.sequence != after:",
        "if found is None:",
        "test_replay.py::test_a_stream_that_pauses_and_resumes_while_it_is_read_for_is_sent_everything_once",
    ),
    Defect(
        "P2",
        "refer to what a stream was not sent",
        "streams.py",
        "        stream.gzip.shared_from = stream.live_index\n        return pack(payload)",
        "        return pack(payload)",
        "test_gzip_streams.py::test_every_write_is_decodable_whatever_a_stream_was_sent_before",
    ),
)
