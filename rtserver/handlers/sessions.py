"""Sessions and their participants (DESIGN 4.2)."""

from __future__ import annotations

import uuid
from typing import Any
from urllib.parse import quote

import msgspec

from rtserver.errors import Malformed, TooLarge
from rtserver.handlers.base import BaseHandler, SessionHandler
from rtserver.publication import check_name, parse_object
from rtserver.records import Participant, Status

MAX_PAGE = 100
DEFAULT_PAGE = 50
MAX_DISPLAY_NAME = 256
KINDS = ("human", "ai")

_encode = msgspec.json.Encoder().encode


class Sessions(BaseHandler):
    service_methods = frozenset({"POST"})

    async def get(self) -> None:
        limit = self.query.integer("limit", DEFAULT_PAGE, 1, MAX_PAGE)
        after = self.query.text("after") or ""
        if after:
            check_name(after, "after")
        documents, has_more = await self.hub.sessions.page(self.principal, after, limit)
        self.answer({"sessions": documents, **page_end(has_more, documents, "sessionId")})

    async def post(self) -> None:
        body = parse_object(self.body())
        session_id = body.get("sessionId")
        session_id = str(uuid.uuid4()) if session_id is None else check_name(session_id, "sessionId")
        session = await self.hub.sessions.create(
            self.principal,
            session_id,
            read_metadata(body.get("metadata"), self.config.max_metadata_bytes) or b"{}",
            read_participants(body.get("participants")),
        )
        self.set_header("Location", f"{self.config.base_path}/api/sessions/{quote(session_id, safe='@:~')}")
        self.answer(self.hub.sessions.document(session), 201)


class OneSession(SessionHandler):
    service_methods = frozenset({"PATCH", "DELETE"})

    async def get(self, *path: str) -> None:
        session = await self.session()
        self.answer_if_changed(self.hub.sessions.document(session), session)

    async def patch(self, *path: str) -> None:
        body = parse_object(self.body())
        status = read_status(body.get("status"))
        metadata = read_metadata(body.get("metadata"), self.config.max_metadata_bytes)
        session = await self.hub.sessions.describe(self.principal, self.session_id, status, metadata)
        self.answer(self.hub.sessions.document(session))

    async def delete(self, *path: str) -> None:
        await self.hub.sessions.delete(self.principal, self.session_id)
        self.set_status(204)


class Participants(SessionHandler):
    async def get(self, *path: str) -> None:
        limit = self.query.integer("limit", MAX_PAGE, 1, MAX_PAGE)
        after = self.query.text("after") or ""
        if after:
            check_name(after, "after")
        session = await self.session()
        people = sorted(session.participants.values(), key=lambda person: person.participant_id)
        following = [person.document() for person in people if person.participant_id > after]
        page = following[:limit]
        end = page_end(len(following) > limit, page, "participantId")
        self.answer_if_changed({"participants": page, **end}, session)


class OneParticipant(SessionHandler):
    service_methods = frozenset({"PUT"})

    async def put(self, session_id: str, participant_id: str) -> None:
        body = self.body()
        fields = parse_object(body) if body else {}
        edited = await self.hub.participants.put(
            self.principal,
            session_id,
            check_name(participant_id, "the participant's id"),
            read_display_name(fields.get("displayName"), "displayName"),
            read_kind(fields.get("kind"), "kind"),
        )
        self.answer(edited.participant.document(), 201 if edited.is_new else 200)

    async def delete(self, session_id: str, participant_id: str) -> None:
        await self.hub.participants.remove(self.principal, session_id, participant_id)
        self.set_status(204)


class Leave(SessionHandler):
    async def post(self, *path: str) -> None:
        await self.hub.participants.remove(self.principal, self.session_id, self.principal.subject)
        self.set_status(204)


def page_end(has_more: bool, page: list[dict[str, Any]], key: str) -> dict[str, Any]:
    """Return how a page ends: ``next`` is what to send as ``after`` for the following one."""
    return {"hasMore": has_more, "next": page[-1][key] if has_more and page else None}


def read_status(found: object) -> Status | None:
    if found is None:
        return None
    try:
        return Status(str(found))
    except ValueError:
        raise Malformed(f"status is {str(found)[:64]!r}; it must be one of {', '.join(Status)}") from None


def read_metadata(found: object, max_bytes: int) -> bytes | None:
    if found is None:
        return None
    if not isinstance(found, dict):
        raise Malformed("metadata must be a JSON object")
    encoded = _encode(found)
    if len(encoded) > max_bytes:
        raise TooLarge(f"metadata has {len(encoded)} bytes; at most {max_bytes} are allowed")
    return encoded


def read_participants(found: object) -> list[Participant]:
    if found is None:
        return []
    if not isinstance(found, list):
        raise Malformed("participants must be a list")
    people = [_read_participant(entry, f"participants[{i}]") for i, entry in enumerate(found)]
    if len({person.participant_id for person in people}) < len(people):
        raise Malformed("participants names somebody twice")
    return people


def _read_participant(entry: object, at: str) -> Participant:
    if not isinstance(entry, dict):
        raise Malformed(f"{at} must be an object with participantId")
    participant_id = check_name(entry.get("participantId"), f"{at}.participantId")
    display_name = read_display_name(entry.get("displayName"), f"{at}.displayName")
    kind = read_kind(entry.get("kind"), f"{at}.kind")
    return Participant(participant_id, display_name or participant_id, kind or KINDS[0], 0)


def read_display_name(found: object, at: str) -> str | None:
    if found is None:
        return None
    if not isinstance(found, str) or not 1 <= len(found) <= MAX_DISPLAY_NAME:
        raise Malformed(f"{at} must be a string of 1 to {MAX_DISPLAY_NAME} characters")
    if any(ord(character) < 32 or ord(character) == 127 for character in found):
        raise Malformed(f"{at} holds control characters; remove them")
    return found


def read_kind(found: object, at: str) -> str | None:
    if found is not None and found not in KINDS:
        raise Malformed(f"{at} is {str(found)[:64]!r}; it must be one of {', '.join(KINDS)}")
    return str(found) if found is not None else None
