"""``POST /api/sessions/{id}/events`` (DESIGN 4.3)."""

from __future__ import annotations

from collections.abc import Awaitable
from functools import partial

from rtserver.changes import Sealed
from rtserver.handlers.base import SessionHandler
from rtserver.handlers.exchange import LATER, Later
from rtserver.publication import Publication, parse_publication
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
        self.hub.publish_to(self.principal, session, publication, partial(self.answer_later, self._answer))
        return LATER

    async def _publish(self, publication: Publication) -> None:
        """Do the same to a session that has left memory while the body came."""
        self._answer(await self.hub.publish(self.principal, self.session_id, publication))

    def _answer(self, outcome: Outcome) -> None:
        if not isinstance(outcome, Sealed):
            self.fail(outcome)
            return
        if outcome.is_replay:
            self.set_header("Idempotency-Replayed", "true")
        self.answer_json(outcome.answer, outcome.status)
