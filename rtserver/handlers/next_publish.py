"""The next publish on a connection, with the same head as the last one but for its key and length (DESIGN 4.3).

What was read from the rest of the head is not read again.  Looked at every time are the token, who is in the session,
how often they publish, and all of the body.  Where anything is not as it was, or the answer is another than 201, the
request goes the way of all others.
"""

from __future__ import annotations

import functools
import re
import time
from collections.abc import Callable, Mapping
from http.client import responses
from typing import NamedTuple

from rtserver.changes import Sealed
from rtserver.framing import encode_fields, encode_head
from rtserver.handlers.api import Api
from rtserver.handlers.exchange import http_date
from rtserver.handlers.remembered import Asker, Remembered
from rtserver.publication import parse_publication
from rtserver.wire import Connection
from rtserver.writer import Outcome

CREATED = 201
# What varies in a head: the values of these fields.
_VARYING = re.compile(rb"\r\n(Idempotency-Key|Content-Length):[ \t]*([^\r\n]*)", re.IGNORECASE)
# More digits than any limit has.
_MAX_DIGITS = 12
# What an answer says of itself alone.
_MOMENTARY = ("Content-Length", "Date", "Content-Encoding", "Idempotency-Replayed")


class Mould(NamedTuple):
    """A head with its varying values taken out: ``start``, a value, ``middle``, another value, ``end``.

    Without a key there is but the length, and no ``middle``.
    """

    start: bytes
    middle: bytes | None
    end: bytes
    has_key_first: bool

    def split(self, request: bytes) -> tuple[bytes | None, bytes, int] | None:
        """Return key, length and where the body begins, if ``request`` begins with such a head."""
        if not request.startswith(self.start):
            return None
        at = len(self.start)
        line_end = request.find(b"\r\n", at)
        first = request[at:line_end]
        if self.middle is None:
            return (None, first, line_end + len(self.end)) if request.startswith(self.end, line_end) else None
        if not request.startswith(self.middle, line_end):
            return None
        at = line_end + len(self.middle)
        line_end = request.find(b"\r\n", at)
        if not request.startswith(self.end, line_end):
            return None
        second, at = request[at:line_end], line_end + len(self.end)
        return (first, second, at) if self.has_key_first else (second, first, at)


def mould(head: bytes) -> Mould | None:
    """Take the varying values out of a head, if its length is there once and its key at most once."""
    found = list(_VARYING.finditer(head))
    names = [match[1].lower() for match in found]
    if sorted(names) not in ([b"content-length"], [b"content-length", b"idempotency-key"]):
        return None
    first, last = found[0], found[-1]
    middle = head[first.end(2) : last.start(2)] if len(found) > 1 else None
    return Mould(head[: first.start(2)], middle, head[last.end(2) :], names[0] == b"idempotency-key")


# Answers a request by the ordinary handler: from its head and body, when it began, and what became of it.
Answerer = Callable[[bytes, bytes, float, Outcome], None]


class NextPublish(Remembered):
    """What is known of such a publish; called with what comes next on its connection."""

    __slots__ = ("_answerer", "_began_at", "_body", "_head", "_lasting", "_max_plain_bytes", "_mould")

    def __init__(
        self,
        api: Api,
        connection: Connection,
        names: tuple[str, str, str],
        asker: Asker,
        mould: Mould,
        headers: Mapping[str, str],
        max_plain_bytes: float,
        answerer: Answerer,
    ) -> None:
        """``headers`` are what such a publish is answered with.  Answers of more than ``max_plain_bytes`` are gzipped,
        or not to be made here.
        """
        super().__init__(api, connection, names, asker)
        self._mould = mould
        lasting = {name: value for name, value in headers.items() if name not in _MOMENTARY}
        self._lasting = encode_head(CREATED, responses[CREATED], lasting)[:-2]
        self._max_plain_bytes = max_plain_bytes
        self._answerer = answerer
        self._head = self._body = b""
        self._began_at = 0.0

    def __call__(self, request: bytes) -> bool:
        """Publish ``request``, if it is whole and to be read alike."""
        found = self._mould.split(request)
        if found is None:
            return False
        key, length, body_at = found
        body = request[body_at:]
        api = self._api
        if not length.isdigit() or len(length) > _MAX_DIGITS or not 0 < int(length) == len(body):
            return False
        if len(body) > api.config.max_body_bytes:
            return False
        principal, began_at = self._asker.principal, time.monotonic()
        session = self._asker.session(api, time.time())
        if session is None:
            return False
        try:
            publication = parse_publication(
                body,
                subject=principal.subject,
                is_participant=principal.is_participant,
                idempotency_key=key if key is None else key.strip(b" \t").decode("latin1"),
                max_event_bytes=api.config.max_event_bytes,
            )
        except Exception:
            # Said in the ordinary way.
            return False
        if not self._asker.may_ask(api, began_at):
            return False
        self._head, self._body, self._began_at = request[:body_at], body, began_at
        self._connection.take(None)
        try:
            api.hub.publish_to(principal, session, publication, self._done)
        except Exception as error:
            self._done(error)
        return True

    def _done(self, outcome: Outcome) -> None:
        try:
            self._answer(outcome)
        except Exception:
            self._give_up()

    def _answer(self, outcome: Outcome) -> None:
        head, body, self._head, self._body = self._head, self._body, b"", b""
        if (
            not isinstance(outcome, Sealed)
            or outcome.is_replay
            or outcome.status != CREATED
            or len(outcome.answer) > self._max_plain_bytes
            or self._connection.is_last
        ):
            self._answerer(head, body, self._began_at, outcome)
            return
        answer = outcome.answer
        self._connection.answer(self._lasting + _momentary(len(answer), int(time.time())) + answer)
        seconds = time.monotonic() - self._began_at
        self._api.note_answer(self._named, CREATED, seconds, len(body), len(answer))


@functools.lru_cache(maxsize=64)
def _momentary(length: int, second: int) -> bytes:
    """Return the end of the head of an answer of so many bytes, in that second since 1970."""
    return encode_fields({"Content-Length": str(length), "Date": http_date(second)}) + b"\r\n"
