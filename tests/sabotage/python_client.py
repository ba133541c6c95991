"""Defects of the Python client: what its tests must notice."""

from __future__ import annotations

from tests.sabotage.defect import Defect

PYTHON_CLIENT = (
    Defect(
        "5",
        "hand an event on again that another tier had brought",
        "client/position.py",
        "return is_same_life and place.sequence > self._sequence",
        "return is_same_life",
        "client/test_position.py::test_what_was_taken_is_not_taken_again",
    ),
    Defect(
        "5",
        "keep a gap to itself",
        "client/inbox.py",
        "            self._put([reset])\n",
        "            self._put([])\n",
        "client/test_tiers.py::test_a_cursor_that_cannot_be_continued_is_said_once",
    ),
    Defect(
        "5",
        "lose what was read when a tier is stopped while nobody takes events out",
        "client/inbox.py",
        "        await self._room()\n        self._put(self.position.take(events))\n",
        "        new = self.position.take(events)\n        await self._room()\n        self._put(new)\n",
        "client/test_inbox.py::test_what_is_stopped_while_it_waits_for_room_has_taken_nothing",
    ),
    Defect(
        "5",
        "give a tier up without a plain request",
        "client/machine.py",
        "        return self._to(State.CHECKING, Action.STOP_TIER, Action.ASK_CONTROL)\n",
        "        below = self._below()\n        return self._start(below) if below else self._fail()\n",
        "client/test_machine.py",
    ),
    Defect(
        "5",
        "believe a stream that was held back",
        "client/stream.py",
        "PROBE_APART_SECONDS = 0.5",
        "PROBE_APART_SECONDS = 0.0",
        "client/test_stream.py::test_a_stream_proves_itself_by_two_events_that_come_apart",
    ),
    Defect(
        "5",
        "trust a silent stream",
        "client/driver.py",
        "SILENT_HEARTBEATS = 2",
        "SILENT_HEARTBEATS = 2000",
        "client/test_fallback.py::test_a_stream_that_falls_silent_is_opened_anew",
    ),
    Defect(
        "5",
        "send a message again as another one",
        "client/outbox.py",
        '"messageId": self.message_id, "data"',
        '"messageId": str(uuid.uuid4()), "data"',
        "client/test_outbox.py::test_a_lost_answer_is_asked_for_again_with_the_same_id",
    ),
    Defect(
        "5",
        "let messages overtake the one that waits for the network",
        "client/outbox.py",
        "            self._nudged.clear()\n",
        "            self._nudged.clear()\n            self.waiting.rotate(-1)\n",
        "client/test_killing.py::test_what_is_sent_while_the_server_is_away_arrives_once_and_in_order",
    ),
    Defect(
        "5",
        "come back before Retry-After",
        "client/delays.py",
        "floor * (1 + 0.2 * random))",
        "0.0 * floor)",
        "client/test_delays.py::test_retry_after_is_a_floor_for_once_and_those_who_were_told_the_same_do_not_return_together",
    ),
    Defect(
        "5",
        "trust any certificate",
        "client/transport.py",
        "return ssl.create_default_context(",
        "return ssl._create_unverified_context(",
        "client/test_transport.py::test_tls_is_verified_against_the_system_or_a_file",
    ),
    Defect(
        "5",
        "believe a page of the network that says 403",
        "client/verdict.py",
        "        return Verdict(Event.PAGE, str(blocked))\n",
        "        return Verdict({403: Event.FORBIDDEN}.get(status, Event.PAGE), str(blocked))\n",
        "client/test_verdict.py::test_a_status_means_something_only_with_what_the_server_would_send_with_it",
    ),
    Defect(
        "5",
        "show the server the password of the proxy in a tunnel",
        "client/connection.py",
        "                await connection._tunnel(proxy)\n            elif proxy:\n",
        "                await connection._tunnel(proxy)\n            if proxy:\n",
        "client/test_proxies.py::test_the_server_is_never_shown_the_password_of_the_proxy",
    ),
)
