"""Edits: what changes a session's row or its participants, one at a time in each session.

Owns the turn of an edit and its way to the writer.  Refuses to know what is edited: `rtserver.sessions` and
`rtserver.participants` do.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from rtserver.access import Access, check_still, using
from rtserver.auth import Principal
from rtserver.changes import Change, Edit, Gate, Sealed
from rtserver.publication import Draft
from rtserver.session import Session
from rtserver.writer import Writer

_encode = msgspec.json.Encoder().encode


class Edits:
    """The way of every edit: `editing` gives the turn, `submit` makes it durable."""

    def __init__(self, access: Access, writer: Writer) -> None:
        self._access = access
        self._writer = writer

    @asynccontextmanager
    async def editing(self, principal: Principal, session_id: str) -> AsyncIterator[Session]:
        """One edit of a session at a time; the one before may have deleted it, or removed the principal."""
        session = await self._access.session_for(principal, session_id)
        with using(session):
            async with session.editing:
                check_still(principal, session)
                yield session

    async def submit(self, session: Session, edit: Edit, drafts: tuple[Draft, ...] = ()) -> Sealed:
        """Make the edit and the events that tell of it, and return when they are durable (`Writer.submit`)."""
        size = sum(len(draft.data) for draft in drafts)
        with using(session):
            return await self._writer.submit(Change(session, Gate.SERVER, drafts, edit, size=size))


def server_event(type: str, data: dict[str, Any]) -> Draft:
    """Return an event that the server itself publishes."""
    return Draft(type, _encode(data), "")
