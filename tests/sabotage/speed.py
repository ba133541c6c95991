"""Defects of what makes the server fast: each is a way to be fast and wrong."""

from __future__ import annotations

from tests.sabotage.defect import Defect

SPEED = (
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
        "P7",
        "accept two lengths",
        "framing.py",
        "if len(lengths) > 1 or not",
        "if not",
        "test_framing.py::test_a_head_that_two_readers_could_read_differently_is_refused",
    ),
    Defect(
        "P7",
        "accept a length beside chunks",
        "framing.py",
        "if lengths or is_old:",
        "if is_old:",
        "test_framing.py::test_a_head_that_two_readers_could_read_differently_is_refused",
    ),
    Defect(
        "P4",
        "forget how long a connection may be idle",
        "wire.py",
        "self._expect(self._server.timeouts.head if self._buffer else self._server.timeouts.idle)",
        "self.deadline = math.inf",
        "test_wire.py::test_an_idle_connection_ends_and_a_waiting_request_does_not",
    ),
    Defect(
        "P2",
        "begin the next request before the last is answered",
        "wire.py",
        "        self.state = State.ANSWERING\n",
        "        self.state = State.HEAD\n",
        "test_wire.py::test_a_request_that_takes_time_holds_back_those_behind_it",
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
)
