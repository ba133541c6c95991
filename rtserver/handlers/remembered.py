"""What a connection remembers of its last request, so that one like it is dealt with without being read.

Whatever is remembered, this is looked at every time: the token, who is in the session, and how often they ask
(DESIGN 4.1, 4.8).
"""

from __future__ import annotations

import logging
from typing import NamedTuple

from rtserver.auth import Principal
from rtserver.handlers.api import Api
from rtserver.session import Session
from rtserver.wire import Connection

log = logging.getLogger(__name__)


class Asker(NamedTuple):
    """Who asked of which session, and the token by which that is known."""

    principal: Principal
    token: str
    session_id: str

    def session(self, api: Api, now: float) -> Session | None:
        """Return the session while the token is good at ``now``, in seconds since 1970, and the asker is in it.

        None where that is not so, or has to be asked for.
        """
        if api.auth.known(self.token, now) is not self.principal:
            return None
        return api.hub.session_at_hand(self.principal, self.session_id)

    def may_ask(self, api: Api, at: float) -> bool:
        """Count a request.  Call it last: where it refuses it has taken nothing, and the ordinary way says so."""
        return not (self.principal.is_participant and api.request_limiter.take(self.principal.subject, at))


class Remembered:
    """What the kinds of it have in common; called with what comes next, it says whether it has dealt with that."""

    __slots__ = ("_api", "_asker", "_connection", "_names")

    def __init__(self, api: Api, connection: Connection, names: tuple[str, str, str], asker: Asker) -> None:
        """``names`` are for the log (`BaseHandler.named`)."""
        self._api = api
        self._connection = connection
        self._names = names
        self._asker = asker

    def _give_up(self) -> None:
        """End the connection where answering failed, by a defect: what was taken on has no deadline to end it."""
        log.exception("a request that was taken on could not be answered")
        self._connection.abort()

    def _named(self) -> tuple[str, str, str]:
        return self._names
