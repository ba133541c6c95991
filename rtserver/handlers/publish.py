"""``POST /api/sessions/{id}/events`` (DESIGN 4.3)."""

from __future__ import annotations

import math
from collections.abc import Awaitable
from functools import partial
from typing import cast

from tornado.httputil import HTTPConnection

from rtserver.auth import Principal
from rtserver.changes import Sealed
from rtserver.handlers.api import Api
from rtserver.handlers.base import SessionHandler
from rtserver.handlers.exchange import LATER, Later
from rtserver.handlers.negotiation import accepts_gzip
from rtserver.handlers.next_publish import CREATED, NextPublish, mould
from rtserver.handlers.remembered import Asker
from rtserver.publication import Publication, parse_publication
from rtserver.wire import Connection
from rtserver.writer import Outcome


class Publish(SessionHandler):
    def post(self, *path: str) -> Later | Awaitable[None]:
        """Publish, and answer when that is durable: without a task, which would cost a tenth of it all."""
        publication = parse_publication(
            self.body(),
            subject=self.principal.subject,
            is_participant=self.principal.is_participant,
            idempotency_key=self.query.header("Idempotency-Key"),
            max_event_bytes=self.config.max_event_bytes,
        )
        session = self.hub.session_at_hand(self.principal, self.session_id)
        if session is None:
            return self._publish(publication)
        self.hub.publish_to(self.principal, session, publication, partial(self.answer_later, self.say))
        return LATER

    async def _publish(self, publication: Publication) -> None:
        """Do the same to a session that has left memory while the body came."""
        self.say(await self.hub.publish(self.principal, self.session_id, publication))

    def say(self, outcome: Outcome) -> None:
        """Answer with what became of it."""
        if not isinstance(outcome, Sealed):
            self.fail(outcome)
            return
        if outcome.is_replay:
            self.set_header("Idempotency-Replayed", "true")
        elif outcome.status == CREATED and not self.is_resumed:
            self._expect_next()
        self.answer_json(outcome.answer, outcome.status)

    def _expect_next(self) -> None:
        """Have the next publish in the same words taken without being read."""
        connection, find = self._connection, self.request.headers.get
        if (
            not isinstance(connection, Connection)
            or self.token is None
            or self._is_by_cookie
            or find("Content-Encoding")
        ):
            return
        found = mould(connection.raw(has_body=True))
        if found is None:
            return
        is_gzipped = accepts_gzip(find("Accept-Encoding", ""))
        self.set_header("Content-Type", "application/json")
        connection.answer_again(
            NextPublish(
                self.api,
                connection,
                self.named(),
                Asker(self.principal, self.token, self.session_id),
                found,
                self._headers,
                self.config.gzip_min_bytes if is_gzipped else math.inf,
                partial(_answer_taken, type(self), self.api, connection, self.path_args, self.principal),
            )
        )


def _answer_taken(
    kind: type[Publish],
    api: Api,
    connection: Connection,
    path_args: tuple[str, ...],
    principal: Principal,
    head: bytes,
    body: bytes,
    began_at: float,
    outcome: Outcome,
) -> None:
    """Answer a publish that was taken without being read: it is read now, to say this (`next_publish.Answerer`)."""
    handler = kind(api, cast(HTTPConnection, connection), path_args)
    handler.resume(connection.read_taken(head), began_at, principal, body)
    handler.answer_later(handler.say, outcome)
