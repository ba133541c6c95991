"""``POST /api/sessions/{id}/events`` (DESIGN 4.3)."""

from __future__ import annotations

from rtserver.handlers.base import SessionHandler
from rtserver.publication import parse_publication


class Publish(SessionHandler):
    async def post(self, *path: str) -> None:
        publication = parse_publication(
            self.body(),
            subject=self.principal.subject,
            is_participant=self.principal.is_participant,
            idempotency_key=self.query.header("Idempotency-Key"),
            max_event_bytes=self.config.max_event_bytes,
        )
        sealed = await self.hub.publish(self.principal, self.session_id, publication)
        if sealed.is_replay:
            self.set_header("Idempotency-Replayed", "true")
        self.answer_json(sealed.answer, sealed.status)
