"""The control blocks of an event stream (DESIGN 4.4), in the format of the WHATWG HTML standard, section 9.2.

Event frames are made by `rtserver.event`; here is what a stream says about itself.  Pure.
"""

from __future__ import annotations

import enum
from typing import Any

import msgspec

from rtserver.event import format_timestamp

_encode = msgspec.json.Encoder().encode


class Ending(enum.StrEnum):
    """Why the server ends a stream."""

    MAX_CONNECTION_TIME = "max_connection_time"
    SHUTDOWN = "shutdown"
    SLOW_READER = "slow_reader"
    TOKEN_EXPIRED = "token_expired"
    REMOVED = "removed"
    SESSION_CLOSED = "session_closed"
    SESSION_DELETED = "session_deleted"


class ResetReason(enum.StrEnum):
    """Why a cursor cannot be continued: ``trimmed`` older than what is kept, ``epoch`` another life or session,
    ``ahead`` beyond the end, ``foreign`` not an id of ours."""

    TRIMMED = "trimmed"
    EPOCH = "epoch"
    AHEAD = "ahead"
    FOREIGN = "foreign"


def opening(padding_bytes: int, retry_ms: int) -> bytes:
    """Return the prelude: padding moves browsers and filters that wait for the first kilobytes."""
    padding = b": %b\n" % (b" " * padding_bytes) if padding_bytes else b""
    return b"%bretry: %d\n\n" % (padding, retry_ms)


def connected(event_id: str | None, fields: dict[str, Any]) -> bytes:
    return _block("connected", fields, event_id)


def probe(now_us: int) -> bytes:
    return _block("probe", {"serverTime": format_timestamp(now_us)})


def heartbeat(now_us: int) -> bytes:
    return _block("heartbeat", {"timestamp": format_timestamp(now_us)})


def reset(event_id: str, fields: dict[str, Any]) -> bytes:
    return _block("reset", fields, event_id)


def reconnect(reason: Ending, retry_ms: int) -> bytes:
    return b"retry: %d\n%b" % (retry_ms, _block("reconnect", {"reason": reason}))


def bare_id(event_id: str) -> bytes:
    """Return a block that moves the reader's cursor and dispatches nothing."""
    return b"id: %b\n\n" % event_id.encode()


def chunk(payload: bytes) -> bytes:
    """Return ``payload`` as one chunk of a chunked body (RFC 9112 section 7.1)."""
    return b"%x\r\n%b\r\n" % (len(payload), payload)


LAST_CHUNK = b"0\r\n\r\n"


def _block(type: str, fields: dict[str, Any], event_id: str | None = None) -> bytes:
    id_line = f"id: {event_id}\n" if event_id else ""
    return b"event: %b\n%bdata: %b\n\n" % (type.encode(), id_line.encode(), _encode(fields))
