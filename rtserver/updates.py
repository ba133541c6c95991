"""How polls are written: the JSON of a page, its priorities, and the short form for slow networks (DESIGN 4.6)."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any

import msgspec

from rtserver.cursor import decode_id
from rtserver.event import Event, Transient, format_timestamp
from rtserver.polls import Answer

# Under Save-Data: what is longer is cut, and can be asked for whole.
COMPACT_CHARACTERS = 200

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


def long_poll_body(answer: Answer, *, is_compact: bool) -> bytes:
    """Return the JSON of a long poll: the same bytes for all that waited at one cursor, and made once."""
    rest: dict[str, Any] = {"lastEventId": answer.cursor, "hasMore": answer.has_more, "nextPollDelay": 0}
    if answer.is_closed:
        rest["closed"] = True
    if answer.reset is not None:
        return _page(b"events", [], rest | {"reset": answer.reset})
    return _shared_body((*answer.events, *answer.states), tuple(rest.items()), is_compact)


# A thousand polls that waited are answered in one turn of the loop with the events that the ring has; a few pages at a
# time are enough, and each is at most what one step of reading brings (P4).
@functools.lru_cache(maxsize=16)
def _shared_body(shown: tuple[Event | Transient, ...], rest: tuple[tuple[str, Any], ...], is_compact: bool) -> bytes:
    return _page(b"events", [_item(each, is_compact) for each in shown], dict(rest))


def short_poll_body(answer: Answer, *, is_compact: bool, critical_types: frozenset[str]) -> bytes:
    """Return the JSON of a short poll: critical events first, the rest in sequence, passing states last."""
    critical, normal = [], []
    for event in answer.events:
        if event.type in critical_types:
            critical.append(_with(_item(event, is_compact), b'"priority":"critical"'))
        else:
            normal.append(_with(_item(event, is_compact), b'"priority":"normal"'))
    states = [_with(_item(_reduced(state), is_compact), b'"priority":"normal"') for state in answer.states]
    rest = {
        "lastModified": format_timestamp(decode_id(answer.cursor).timestamp_us),
        "lastEventId": answer.cursor,
        "hasMore": answer.has_more,
        "suggestedPollInterval": answer.poll_interval_seconds,
    }
    if answer.reset is not None:
        rest["reset"] = answer.reset
    return _page(b"updates", [*critical, *normal, *states], rest)


def _page(name: bytes, items: Iterable[bytes], rest: dict[str, Any]) -> bytes:
    return b'{"%b":[%b],%b' % (name, b",".join(items), _encode(rest)[1:])


def _reduced(state: Transient) -> Transient:
    """Return what short polls show of a state: of AI progress who and how far, for it is old when it arrives."""
    if state.type != "ai_progress":
        return state
    fields = _decode(state.data)
    kept = {name: fields[name] for name in ("participantId", "status") if name in fields}
    return state._replace(data=_encode(kept))


def _item(item: Event | Transient, is_compact: bool) -> bytes:
    # No string can be too long in so few bytes.
    if not is_compact or len(item.data) <= COMPACT_CHARACTERS:
        return item.item
    data = _decode(item.data)
    short = _cut(data)
    if short == data:
        return item.item
    head = item.item[: -len(item.data) - 1]
    return b'%b%b,"truncated":true}' % (head, _encode(short))


def _cut(value: Any) -> Any:
    """Return ``value`` with every string in it, at any depth, cut to `COMPACT_CHARACTERS`."""
    if isinstance(value, str):
        return value[:COMPACT_CHARACTERS]
    if isinstance(value, list):
        return [_cut(each) for each in value]
    if isinstance(value, dict):
        return {name: _cut(each) for name, each in value.items()}
    return value


def _with(item: bytes, field: bytes) -> bytes:
    """Return a JSON object with one more field."""
    return b"%b,%b}" % (item[:-1], field)
