"""``GET /api/sessions/{id}/updates``: long polls, and with ``since`` short polls (DESIGN 4.6)."""

from __future__ import annotations

import time
from functools import partial
from http.client import responses
from typing import cast

from tornado.httputil import HTTPConnection

from rtserver.auth import Principal
from rtserver.conditional import Validators, make_etag, validate
from rtserver.cursor import Cursor, Since, decode_id
from rtserver.errors import ReaderGone
from rtserver.framing import encode_head
from rtserver.handlers.api import Api
from rtserver.handlers.asked import Asked, read_asked
from rtserver.handlers.base import SessionHandler
from rtserver.handlers.remembered import Asker
from rtserver.handlers.standing import Standing, cursor_place
from rtserver.handlers.unchanged import Unchanged
from rtserver.polls import Answer
from rtserver.readers import Poll
from rtserver.updates import long_poll_body, short_poll_body
from rtserver.wire import Connection

# To whom a round trip costs more than this, one answer with a burst is worth a quarter of a second.
FAR_AWAY_MS = 500
LINGER_SECONDS = 0.25


class Updates(SessionHandler):
    poll: Poll | None = None

    async def get(self, *path: str) -> None:
        self.asked = asked = read_asked(self.request, round(self.config.poll_timeout))
        self.poll = self._short_poll(asked, asked.since) if asked.since else self._long_poll(asked)
        try:
            answer = await self.hub.poll(self.principal, self.session_id, self.poll)
        except ReaderGone:
            return
        self.say(answer)

    def say(self, answer: Answer) -> None:
        """Answer with what became of the poll."""
        self.set_header("Last-Event-ID", answer.cursor)
        self.set_header("Poll-Interval", str(answer.poll_interval_seconds))
        self.vary_on("Save-Data")
        if self.asked.since:
            self._answer_short(answer)
        else:
            self._answer_long(answer)

    def on_connection_close(self) -> None:
        if self.poll is not None:
            self.poll.fail(ReaderGone())

    # Asking

    def _long_poll(self, asked: Asked) -> Poll:
        timeout_seconds = 0 if self.request.method == "HEAD" else asked.timeout
        is_far_away = asked.round_trip_ms > FAR_AWAY_MS and timeout_seconds > 0
        return Poll(
            asked.start,
            subject=self.principal.subject,
            is_participant=self.principal.is_participant,
            timeout_seconds=timeout_seconds,
            expires_in_seconds=self.principal.expires_at - time.time(),
            limit=asked.limit,
            types=asked.types,
            client_id=asked.client_id,
            linger_seconds=LINGER_SECONDS if is_far_away else 0,
        )

    def _short_poll(self, asked: Asked, since: Since) -> Poll:
        return Poll(
            asked.start,
            subject=self.principal.subject,
            is_participant=self.principal.is_participant,
            timeout_seconds=0,
            expires_in_seconds=self.principal.expires_at - time.time(),
            limit=asked.limit,
            types=asked.types,
            states_after_us=since.timestamp_us,
            wants_typing=asked.wants_typing,
        )

    # Answering

    def _answer_long(self, answer: Answer) -> None:
        self.set_header("Cache-Control", "no-cache, no-store")
        self.set_header("Pragma", "no-cache")
        self._stand(answer)
        if not answer.is_empty:
            self.answer_json(long_poll_body(answer, is_compact=self.asked.is_compact))
            return
        self.set_status(204)
        if answer.is_replaced:
            self.set_header("Poll-Replaced", "true")
        self.set_header("Retry-After", str(round(self.config.poll_retry_after)))

    def _stand(self, answer: Answer) -> None:
        """Have the same poll from where this answer ends taken on without being read."""
        connection, start, poll = self._connection, self.asked.start, self.poll
        if not isinstance(connection, Connection) or not isinstance(start, Cursor) or self.token is None:
            return
        # Whoever gathers news for clients far away is a coroutine.
        is_simple = poll is not None and poll.timeout_seconds > 0 and not poll.linger_seconds
        cursor_at = cursor_place(connection.raw(), start.text)
        if self.is_resumed or poll is None or not is_simple or self.request.method != "GET" or cursor_at is None:
            return
        asked, find = self.asked, self.request.headers.get
        connection.answer_again(
            Standing(
                self.api,
                connection,
                self.named(),
                Asker(self.principal, self.token, self.session_id),
                poll,
                (find("Accept-Encoding"), find("Origin"), asked.is_compact),
                cursor_at,
                partial(_answer_standing, type(self), self.api, connection, self.path_args, self.principal, asked),
            )
        )

    def _answer_short(self, answer: Answer) -> None:
        self.set_header("Cache-Control", "no-cache, private")
        validators = self._validators(answer)
        # A gap is said to everybody who is in it, however often.
        if answer.reset is None and self.is_fresh(validators):
            self._remember(answer, validators.etag)
            return
        critical_types = frozenset(self.config.critical_types)
        self.answer_json(short_poll_body(answer, is_compact=self.asked.is_compact, critical_types=critical_types))

    def _remember(self, answer: Answer, etag: str) -> None:
        """Have the same request answered without being read again, if it found nothing at the session's end."""
        session = self.hub.session_at_hand(self.principal, self.session_id)
        start, tags = self.asked.start, self.request.headers.get_list("If-None-Match")
        # A date may decide otherwise when the clock steps back, a tag does not.
        if session is None or not answer.is_empty or not isinstance(start, Cursor) or not tags:
            return
        quiet = self.hub.polls.quiet(session)
        if quiet is None or start.sequence != session.last_sequence or self.token is None:
            return
        connection = self._connection
        if isinstance(connection, Connection) and connection.raw():
            asker = Asker(self.principal, self.token, self.session_id)
            again = Unchanged(self.api, connection, self.named(), asker, quiet, etag, self._headers)
            connection.answer_again(again)

    def _validators(self, answer: Answer) -> Validators:
        etag = make_etag(
            answer.cursor,
            answer.has_more,
            self.asked.types and sorted(self.asked.types),
            self.asked.limit,
            self.asked.wants_typing,
            self.asked.is_compact,
            answer.states,
        )
        page_end_us = decode_id(answer.cursor).timestamp_us if answer.has_more else None
        return validate(
            etag,
            answer.newest_us,
            self.hub.writer.shown_until_us,
            page_end_us=page_end_us,
            # Passing states have no place in a date.
            by_etag_only=self.asked.wants_typing or bool(answer.states),
        )


def _answer_standing(
    kind: type[Updates],
    api: Api,
    connection: Connection,
    path_args: tuple[str, ...],
    principal: Principal,
    asked: Asked,
    raw: bytes,
    began_at: float,
    outcome: Answer | Exception,
) -> tuple[bytes, int] | None:
    """Answer a poll that was taken on without being read: it is read now, to say this (`standing.Answerer`)."""
    handler = kind(api, cast(HTTPConnection, connection), path_args)
    handler.resume(connection.read_taken(raw), began_at, principal)
    handler.asked = asked
    is_last = connection.is_last
    if isinstance(outcome, Exception):
        handler.fail(outcome)
        return None
    handler.answer_later(handler.say, outcome)
    status = handler.get_status()
    if status != 200 or is_last:
        return None
    head = encode_head(status, responses[status], handler._headers)
    return head + handler.answered_body, handler.answered_bytes
