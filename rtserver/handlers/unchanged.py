"""A short poll that was told by 304 that nothing is new, and comes again in the same bytes (DESIGN 4.6).

What was read from those bytes is not read again: that was nine tenths of the work.  What may have changed since is
looked at every time: the token, who is in the session, how often they ask, and what has happened.  Where anything is
not as it was, the request goes the way of all others.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Mapping
from http.client import responses

from rtserver.conditional import validate
from rtserver.framing import encode_fields, encode_head
from rtserver.handlers.api import Api
from rtserver.handlers.exchange import http_date
from rtserver.handlers.remembered import Asker, Remembered
from rtserver.polls import Quiet
from rtserver.wire import Connection

# What an answer says of the moment in which it is made.
_MOMENTARY = ("Date", "Last-Modified", "Poll-Interval")


class Unchanged(Remembered):
    """What is known of such a poll; called with what comes next on its connection.

    Of the session it holds what that was like, not the session itself, so that nothing stays in memory for it.
    """

    __slots__ = ("_etag", "_lasting", "_quiet", "_raw")

    def __init__(
        self,
        api: Api,
        connection: Connection,
        names: tuple[str, str, str],
        asker: Asker,
        quiet: Quiet,
        etag: str,
        headers: Mapping[str, str],
    ) -> None:
        """``quiet`` is what the session was like (`Polls.quiet`), ``headers`` what it was answered with."""
        super().__init__(api, connection, names, asker)
        self._raw = connection.raw()
        self._quiet = quiet
        self._etag = etag
        lasting = {name: value for name, value in headers.items() if name not in _MOMENTARY}
        self._lasting = encode_head(304, responses[304], lasting)[:-2]

    def __call__(self, head: bytes) -> bool:
        """Answer ``head``, if that is the same question and has the same answer."""
        if head != self._raw:
            return False
        answer = self._answer()
        if answer is None:
            return False
        self._connection.answer(answer)
        return True

    def _answer(self) -> bytes | None:
        began_at = time.monotonic()
        api, hub = self._api, self._api.hub
        session = self._asker.session(api, time.time())
        if session is None or hub.polls.quiet(session) != self._quiet:
            return None
        if not self._asker.may_ask(api, began_at):
            return None
        interval = hub.polls.answer_quiet(session)
        validators = validate(self._etag, session.last_timestamp_us, hub.writer.shown_until_us)
        api.note_answer(self._named, 304, time.monotonic() - began_at, 0, 0)
        return self._lasting + _momentary(validators.date_at, validators.last_modified_at, interval)


@functools.lru_cache(maxsize=64)
def _momentary(date_at: int, last_modified_at: int, poll_interval_seconds: int) -> bytes:
    """Return the end of the head; times in seconds since 1970."""
    values = http_date(date_at), http_date(last_modified_at), str(poll_interval_seconds)
    return encode_fields(dict(zip(_MOMENTARY, values, strict=True))) + b"\r\n"
