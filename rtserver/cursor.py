"""Event ids and cursors: a UUIDv7 that holds an event's timestamp, its session's epoch and its sequence.

    48 bits milliseconds | 0111 | 12 bits microseconds within them | 10 | 22 bits epoch | 40 bits sequence

The layout is RFC 9562 section 5.7 with ``rand_a`` and ``rand_b`` put to use (DESIGN section 2), so an id sorts,
is looked up nowhere, and tells whether it belongs to this life of this session.  A cursor is the id of the last
event a reader saw, or a plain sequence.  What a cursor is worth is judged by the session; this file only reads it.

No I/O, no clock, no event loop.
"""

from __future__ import annotations

import enum
import re
from typing import NamedTuple

from rtserver.errors import Malformed

EPOCH_BITS = 22
SEQUENCE_BITS = 40
MAX_EPOCH = (1 << EPOCH_BITS) - 1
MAX_SEQUENCE = (1 << SEQUENCE_BITS) - 1

_VERSION_AND_VARIANT = 7 << 76 | 2 << 62
_UUID = re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}")
_SEQUENCE = re.compile(r"[0-9]{1,13}")


class Edge(enum.Enum):
    """Where a reader starts who names no event."""

    EARLIEST = "earliest"
    NOW = "now"


class Cursor(NamedTuple):
    """A position a reader presented.

    ``epoch`` and ``timestamp_us`` are None for a plain sequence, which is taken at its word; ``is_foreign`` marks a
    UUID that this server cannot have made.
    """

    text: str
    sequence: int
    epoch: int | None = None
    timestamp_us: int | None = None
    is_foreign: bool = False


class Since(NamedTuple):
    """A point in time a reader presented: it wants what came after, strictly."""

    text: str
    timestamp_us: int


class Identity(NamedTuple):
    """What an id of this server holds."""

    timestamp_us: int
    epoch: int
    sequence: int


Start = Cursor | Since | Edge


def encode_id(timestamp_us: int, epoch: int, sequence: int) -> str:
    """Return the id of the event ``sequence`` of the life ``epoch``; ``timestamp_us`` in microseconds since 1970."""
    milliseconds, micros = divmod(timestamp_us, 1000)
    # The groups one by one: half the time of one number of 128 bits that is cut up afterwards.
    return "%08x-%04x-7%03x-%04x-%012x" % (  # noqa: UP031, the others are slower
        milliseconds >> 16,
        milliseconds & 0xFFFF,
        micros,
        0x8000 | epoch >> 8,
        (epoch & 0xFF) << SEQUENCE_BITS | sequence,
    )


def decode_id(id: str) -> Identity:
    """Return what `encode_id` put into ``id``."""
    cursor = _decode(id)
    assert cursor.timestamp_us is not None and cursor.epoch is not None, f"{id} is not an id of this server"
    return Identity(cursor.timestamp_us, cursor.epoch, cursor.sequence)


def parse_cursor(text: str, name: str) -> Start:
    """Read a cursor as a client sends it; ``name`` is the parameter or header, for the message.

    The sequence ``0`` without an epoch is what a client says that has seen nothing: it starts at the oldest event
    kept, on every tier.  Raises `Malformed` for what is neither a UUID nor a sequence.
    """
    if _UUID.fullmatch(text):
        return _decode(text)
    if _SEQUENCE.fullmatch(text) and int(text) <= MAX_SEQUENCE:
        sequence = int(text)
        return Cursor(text, sequence) if sequence else Edge.EARLIEST
    raise Malformed(f"{name} is {text[:64]!r}; it must be an event id as this server gave it, or a sequence number")


def parse_edge(text: str) -> Edge:
    """Read the parameter ``from``."""
    try:
        return Edge(text)
    except ValueError:
        raise Malformed(f"from is {text[:64]!r}; it must be 'earliest' or 'now'") from None


def _decode(text: str) -> Cursor:
    value = int(text.replace("-", ""), 16)
    version, variant = value >> 76 & 0xF, value >> 62 & 0x3
    micros = value >> 64 & 0xFFF
    sequence = value & MAX_SEQUENCE
    if version != 7 or variant != 2 or micros > 999:
        return Cursor(text, sequence, is_foreign=True)
    epoch = value >> SEQUENCE_BITS & MAX_EPOCH
    return Cursor(text, sequence, epoch, (value >> 80) * 1000 + micros)
