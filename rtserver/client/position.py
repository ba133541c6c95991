"""Where a client is in its session, and what is new from there: one cursor for all tiers.

Several tiers may bring the same events at the same time, and a short poll brings them by priority; every durable event
comes out once, in the order of the sequence.

No I/O, no clock, no event loop.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from rtserver.cursor import Cursor, Edge, parse_cursor
from rtserver.errors import Malformed

# What a cursor says that has seen nothing: from the oldest event that is kept.
BEGINNING = "0"
_1970 = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Event:
    """One event.  Passing states (who is typing, how far the AI is) have neither id nor sequence."""

    type: str
    data: dict[str, Any]
    timestamp: str | None
    id: str | None = None
    sequence: int | None = None


@dataclass(frozen=True, slots=True)
class Reset:
    """The cursor could not be continued: what came after it and before ``last_event_id`` may be missing.

    ``reason`` is ``trimmed`` (older than what is kept), ``epoch`` (another life of the session), ``ahead`` or
    ``foreign``.
    """

    reason: str
    requested: str | None
    earliest: str | None
    last_event_id: str


class Position:
    """``cursor`` is the id of the last event that was taken."""

    def __init__(self, cursor: str = BEGINNING) -> None:
        self.cursor = BEGINNING
        self._sequence = 0
        self._epoch: int | None = None
        self.set(cursor)

    def set(self, cursor: str) -> None:
        """Go on from here, whatever was before: at the start, and after a reset."""
        place = read_cursor(cursor)
        self.cursor = cursor
        self._sequence, self._epoch = (place.sequence, place.epoch) if place else (0, None)

    def move(self, cursor: str) -> None:
        """Go on from here if it is further on: everything before was taken, or filtered out."""
        place = read_cursor(cursor)
        if place is not None and self._is_ahead(place):
            self.set(cursor)

    def reset(self, cursor: str, presented: str) -> bool:
        """Go on from here because the cursor ``presented`` could not be continued; say whether that is news.

        It is none where another tier has brought us beyond it in the meantime.
        """
        place = read_cursor(cursor)
        is_passed = place is not None and place.epoch == self._epoch and self._sequence >= place.sequence
        if presented != self.cursor and is_passed:
            return False
        self.set(cursor)
        return True

    def take(self, events: Iterable[Event]) -> list[Event]:
        """Return what is new among ``events``: durable ones in sequence, then passing states."""
        passing = []
        durable: list[tuple[Cursor, Event]] = []
        for event in events:
            place = read_cursor(event.id) if event.id is not None else None
            if place is None:
                passing.append(event)
            else:
                durable.append((place, event))
        new = []
        for place, event in sorted(durable, key=lambda each: each[0].sequence):
            if self._is_ahead(place):
                self.set(place.text)
                new.append(event)
        return new + passing

    def _is_ahead(self, place: Cursor) -> bool:
        # Another life of the session begins with a reset; until that is said, its events are not ours to number.
        is_same_life = None in (self._epoch, place.epoch) or self._epoch == place.epoch
        return is_same_life and place.sequence > self._sequence


def read_cursor(text: str) -> Cursor | None:
    """Return what a cursor holds, or None for one that names the beginning or is none."""
    try:
        place = parse_cursor(text, "cursor")
    except Malformed:
        return None
    return place if isinstance(place, Cursor) else None


def is_cursor(text: str) -> bool:
    """Say whether a text can be a cursor."""
    try:
        return not isinstance(parse_cursor(text, "cursor"), Edge) or text == BEGINNING
    except Malformed:
        return False


def moment_of(cursor: str) -> str:
    """Return the time that a cursor holds as ISO 8601 in UTC, with microseconds; 1970 where it holds none."""
    place = read_cursor(cursor)
    moment = _1970 + timedelta(microseconds=place.timestamp_us or 0) if place else _1970
    return f"{moment:%Y-%m-%dT%H:%M:%S.%f}Z"


def event_of_item(item: dict[str, Any]) -> Event:
    """Return an event as polls, history and answers to publishing carry it."""
    return Event(item["type"], item.get("data", {}), item.get("timestamp"), item.get("id"), item.get("sequence"))


def event_of_block(type: str, data: dict[str, Any], id: str | None) -> Event:
    """Return an event as a stream carries it: its sequence and its time are in its id."""
    place = read_cursor(id) if id else None
    if place is None:
        return Event(type, data, None)
    return Event(type, data, moment_of(place.text), place.text, place.sequence)


def reset_of(fields: dict[str, Any]) -> Reset:
    return Reset(str(fields["reason"]), fields.get("requested"), fields.get("earliest"), str(fields["lastEventId"]))
