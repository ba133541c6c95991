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
    """One numbered event.  ``item`` is its JSON as polls carry it, ``frame`` its block of an event stream."""

    __slots__ = ("frame", "id", "item", "sequence", "size", "timestamp_us", "type", "_data_at")

    def __init__(self, epoch: int, sequence: int, timestamp_us: int, type: str, data: bytes) -> None:
        self.sequence = sequence
        self.timestamp_us = timestamp_us
        self.type = type
        self.id = encode_id(timestamp_us, epoch, sequence)
        head = (
            f'{{"id":"{self.id}","sequence":{sequence},"type":"{type}"'
            f',"timestamp":"{format_timestamp(timestamp_us)}","data":'
        ).encode()
        self._data_at = len(head)
        self.item = b"%b%b}" % (head, data)
        self.frame = b"event: %b\nid: %b\ndata: %b\n\n" % (type.encode(), self.id.encode(), data)
        self.size = len(self.item) + len(self.frame) + EVENT_OVERHEAD_BYTES

    @property
    def data(self) -> bytes:
        """The JSON object that was published: one line, for `rtserver.publication` encodes it without line breaks."""
        return self.item[self._data_at : -1]

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
