"""The event: one immutable published item, and the bytes in which each tier sends it.

An event is encoded once, when it is numbered; every reader on every tier is sent these same bytes.

No I/O, no clock, no event loop.
"""

from __future__ import annotations

import functools
import time
from typing import NamedTuple

from rtserver.cursor import encode_id

# What an event costs in memory beyond its bytes: the object, its id, its place in the ring.
EVENT_OVERHEAD_BYTES = 400

# Only the latest of these counts, for so long, and they are never stored or numbered (DESIGN section 2).
TRANSIENT_SECONDS = {"typing_indicator": 10, "ai_progress": 60}


class Event:
    """One numbered event.  ``item`` is its JSON as polls carry it, ``frame`` its block of an event stream.

    Each is made when somebody asks for it first: of a thousand events published to nobody, none is.
    """

    __slots__ = ("data", "id", "sequence", "size", "timestamp_us", "type", "_frame", "_item")

    def __init__(self, epoch: int, sequence: int, timestamp_us: int, type: str, data: bytes) -> None:
        """``data`` is a JSON object in one line: `rtserver.publication` encodes it without line breaks."""
        self.sequence = sequence
        self.timestamp_us = timestamp_us
        self.type = type
        self.data = data
        self.id = encode_id(timestamp_us, epoch, sequence)
        self.size = _FIXED_BYTES + 3 * len(data) + 2 * len(type) + len(str(sequence))
        self._frame: bytes | None = None
        self._item: bytes | None = None

    @property
    def frame(self) -> bytes:
        if self._frame is None:
            self._frame = b"event: %b\nid: %b\ndata: %b\n\n" % (self.type.encode(), self.id.encode(), self.data)
        return self._frame

    @property
    def item(self) -> bytes:
        if self._item is None:
            head = (
                f'{{"id":"{self.id}","sequence":{self.sequence},"type":"{self.type}"'
                f',"timestamp":"{format_timestamp(self.timestamp_us)}","data":'
            )
            self._item = b"%b%b}" % (head.encode(), self.data)
        return self._item

    def __repr__(self) -> str:
        return f"<Event {self.sequence} {self.type} {self.id}>"


class Transient(NamedTuple):
    """A passing state of one participant; it has no number and no id, and a newer one replaces it."""

    type: str
    participant_id: str
    timestamp_us: int
    data: bytes

    @property
    def frame(self) -> bytes:
        return b"event: %b\ndata: %b\n\n" % (self.type.encode(), self.data)

    @property
    def item(self) -> bytes:
        """The state as polls carry it; like those of events, its data come last."""
        return b'{"type":"%b","timestamp":"%b","data":%b}' % (
            self.type.encode(),
            format_timestamp(self.timestamp_us).encode(),
            self.data,
        )


def format_timestamp(timestamp_us: int) -> str:
    """Return microseconds since 1970 as ISO 8601 in UTC: ``2026-01-31T12:00:00.000001Z``."""
    seconds, micros = divmod(timestamp_us, 1_000_000)
    return f"{_format_seconds(seconds)}.{micros:06d}Z"


# Events come in bursts within the same second; formatting a date costs ten times the look-up.
@functools.lru_cache(maxsize=256)
def _format_seconds(seconds: int) -> str:
    moment = time.gmtime(seconds)
    return (
        f"{moment.tm_year:04d}-{moment.tm_mon:02d}-{moment.tm_mday:02d}"
        f"T{moment.tm_hour:02d}:{moment.tm_min:02d}:{moment.tm_sec:02d}"
    )


def _fixed_bytes() -> int:
    """Return what every event weighs besides its data, type and the digits of its sequence, each as often as kept."""
    event = Event(0, 1, 0, "", b"")
    return len(event.item) - len("1") + len(event.frame) + EVENT_OVERHEAD_BYTES


_FIXED_BYTES = 0
_FIXED_BYTES = _fixed_bytes()
