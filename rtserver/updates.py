"""How polls are written: the JSON of a page, its priorities, and the short form for slow networks (DESIGN 4.6)."""

from __future__ import annotations

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
    """Return the JSON of a long poll; its events are bytes that were encoded when they were published."""
    items = [_item(event, is_compact) for event in answer.events]
    items += [_item(state, is_compact) for state in answer.states]
    rest: dict[str, Any] = {"lastEventId": answer.cursor, "hasMore": answer.has_more, "nextPollDelay": 0}
    if answer.is_closed:
        rest["closed"] = True
    return _page(b"events", items, answer, rest)


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
    return _page(b"updates", [*critical, *normal, *states], answer, rest)


def _page(name: bytes, items: Iterable[bytes], answer: Answer, rest: dict[str, Any]) -> bytes:
    if answer.reset is not None:
        rest["reset"] = answer.reset
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
