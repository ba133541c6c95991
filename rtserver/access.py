"""Access: who may use which session, and what those are told who may not (P6).

Owns the rule and its one refusal.  Refuses to know what a session is used for.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rtserver.auth import Principal, Role
from rtserver.errors import Forbidden, NotAParticipant, RequestError, SessionNotFound
from rtserver.publication import is_name
from rtserver.registry import Registry
from rtserver.session import Session


class Access:
    """The sessions of the registry, for principals that may use them."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    async def session_for(self, principal: Principal, session_id: str) -> Session:
        """Return a session that the principal may use.

        Raises `NotAParticipant` for a participant who is not in it and for one who asks for a session that does not
        exist, in the same words; `SessionNotFound` for service and admin.
        """
        session = await self._registry.get(session_id) if is_name(session_id) else None
        if session is None or not _may_use(principal, session):
            raise no_session(principal, session_id)
        return session

    def session_at_hand(self, principal: Principal, session_id: str) -> Session | None:
        """Return the same where memory has it; None says nothing but that it has to be asked for."""
        session = self._registry.use(session_id)
        return session if session is not None and _may_use(principal, session) else None


@contextmanager
def using(session: Session) -> Iterator[None]:
    """Keep the session in memory across an await."""
    session.pins += 1
    try:
        yield
    finally:
        session.pins -= 1


def check_still(principal: Principal, session: Session) -> None:
    """Raise what the principal is told if it lost the session across an await (P6)."""
    if not _may_use(principal, session):
        raise no_session(principal, session.session_id)


def require_service(principal: Principal) -> None:
    """Raise `Forbidden` for a participant."""
    if principal.is_participant:
        raise Forbidden(f"this needs a token with the role {Role.SERVICE} or {Role.ADMIN}; this one is a participant's")


def no_session(principal: Principal, session_id: str) -> RequestError:
    """Return the refusal for a session that is not there for the principal.

    A participant is told the same of one that does not exist and one that it is not in: no probing (DESIGN 4.1).
    """
    if principal.is_participant:
        return NotAParticipant(f"{principal.subject!r} is not a participant of a session with this id")
    return SessionNotFound(f"there is no session {session_id[:128]!r}")


def _may_use(principal: Principal, session: Session) -> bool:
    return not session.is_deleted and (not principal.is_participant or principal.subject in session.participants)
