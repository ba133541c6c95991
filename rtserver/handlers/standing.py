"""A long poll that comes again, with the cursor that it was told last (DESIGN 4.6).

What was read from the bytes around the cursor is not read again.  Looked at every time are the token, who is in the
session, how often they ask, and what the cursor is worth; then the poll waits like any other, and is told what any
other is told: the first of those that wait together is answered by the ordinary handler, and the rest, if they asked
in the same style, with the same bytes.  Where anything is not as it was, the request is read like all.
"""

from __future__ import annotations

import functools
import re
import time
from collections.abc import Callable
from typing import NamedTuple

from rtserver.cursor import Cursor, parse_cursor
from rtserver.errors import Malformed, ReaderGone
from rtserver.handlers.api import Api
from rtserver.handlers.remembered import Asker, Remembered
from rtserver.polls import Answer
from rtserver.readers import Poll
from rtserver.wire import Connection

CURSOR_BYTES = 36
_PARAMETER = re.compile(rb"[?&]lastEventId=\Z")
_HEADER = re.compile(rb"\r\n(?i:Last-Event-ID): ?\Z")
# So many styles are kept, each with the last page that was told in it (P4).
MAX_STYLES = 16

# What decides the bytes of an answer besides what is said: Accept-Encoding, Origin, and whether it is compact.
Style = tuple[str | None, str | None, bool]


class Told(NamedTuple):
    """What polls of one style were told in one second: ``encoded`` is the whole answer, with a body of that size."""

    answer: Answer
    second: int
    encoded: bytes
    body_bytes: int


# Answers a request by the ordinary handler: from its head, when it began, and what became of the poll.  Returns the
# bytes if others may be told the same, and the size of their body.
Answerer = Callable[[bytes, float, Answer | Exception], tuple[bytes, int] | None]


def cursor_place(raw: bytes, cursor: str) -> int | None:
    """Return where a cursor stands in a head, if it is an id and stands there alone, as the one that counts."""
    text = cursor.encode()
    at = raw.find(text)
    if len(text) != CURSOR_BYTES or at <= 0 or raw.count(text) != 1:
        return None
    # The parameter counts in the first line alone, whatever other fields say.
    line_at = raw.rfind(b"\r\n", 0, at)
    found = _HEADER.match(raw, line_at, at) if line_at >= 0 else _PARAMETER.search(raw, 0, at)
    return at if found else None


# Those who wait together come back with the same one.
@functools.lru_cache(maxsize=256)
def _read_cursor(text: bytes) -> Cursor | None:
    try:
        cursor = parse_cursor(text.decode("latin1"), "lastEventId")
    except Malformed:
        return None
    return cursor if isinstance(cursor, Cursor) else None


class Standing(Remembered):
    """What is known of such a poll; called with what comes next on its connection."""

    __slots__ = ("_after", "_answerer", "_before", "_began_at", "_cursor", "_length", "_poll", "_style")

    def __init__(
        self,
        api: Api,
        connection: Connection,
        names: tuple[str, str, str],
        asker: Asker,
        poll: Poll,
        style: Style,
        cursor_at: int,
        answerer: Answerer,
    ) -> None:
        """``cursor_at`` is where the cursor stands in the head.

        ``poll`` has been answered, and is asked again and again from now on.
        """
        raw = connection.raw()
        super().__init__(api, connection, names, asker)
        self._poll = poll
        self._style = style
        self._answerer = answerer
        self._before, self._after = raw[:cursor_at], raw[cursor_at + CURSOR_BYTES :]
        self._length = len(raw)
        self._began_at = 0.0
        self._cursor = ""

    def __call__(self, head: bytes) -> bool:
        """Take on ``head``, if that is the same question, from wherever its cursor is."""
        before, after = self._before, self._after
        if len(head) != self._length or not (head.startswith(before) and head.endswith(after)):
            return False
        api, principal, now = self._api, self._asker.principal, time.time()
        session = self._asker.session(api, now)
        if session is None:
            return False
        cursor = _read_cursor(head[len(before) : len(before) + CURSOR_BYTES])
        location = api.hub.polls.locate(session, cursor) if cursor is not None else None
        if cursor is None or location is None:
            return False
        self._began_at = time.monotonic()
        if not self._asker.may_ask(api, self._began_at):
            return False
        self._cursor = cursor.text
        self._poll.renew(cursor, principal.expires_at - now)
        self._connection.take(self._gone)
        api.hub.polls.answer_later(session, self._poll, location, self._done)
        return True

    def _gone(self) -> None:
        self._poll.fail(ReaderGone())

    def _done(self, outcome: Answer | Exception) -> None:
        if isinstance(outcome, ReaderGone):
            return
        try:
            self._answer(outcome)
        except Exception:
            self._give_up()

    def _answer(self, outcome: Answer | Exception) -> None:
        told_before = self._api.told
        told, second = told_before.get(self._style), int(time.time())
        if told is not None and told.answer is outcome and told.second == second and not self._connection.is_last:
            self._connection.answer(told.encoded)
            self._api.note_answer(self._named, 200, time.monotonic() - self._began_at, 0, told.body_bytes)
            return
        raw = self._before + self._cursor.encode() + self._after
        answered = self._answerer(raw, self._began_at, outcome)
        if answered is not None and isinstance(outcome, Answer):
            if len(told_before) >= MAX_STYLES:
                told_before.clear()
            told_before[self._style] = Told(outcome, second, *answered)
