"""From the body of a publish to drafts: events that are whole and valid but not yet numbered.

Everything that can be wrong with one publish is found here, before it meets its neighbours in a batch.

No I/O, no clock, no event loop.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import re
import uuid
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

from rtserver.errors import Forbidden, Malformed, RequestError, TooLarge
from rtserver.event import TRANSIENT_SECONDS, format_timestamp

MAX_BATCH_EVENTS = 100
MAX_MESSAGE_ID = 128
MAX_KEY = 255
# Deeper than any real payload, shallow enough for every parser on the way to the browser.
MAX_DEPTH = 100

# Names a stream needs for itself, and those that EventSource gives a meaning of its own (DESIGN 4.3).
RESERVED_TYPES = frozenset({"connected", "probe", "heartbeat", "reset", "reconnect", "open", "error", "message"})
PARTICIPANT_TYPES = frozenset({"message_added", "typing_indicator"})

_CONTAINERS = (dict, list)
_TYPE = re.compile(r"[a-z][a-z0-9_.-]{0,63}")
_NAME = re.compile(r"[A-Za-z0-9._~@:-]{1,128}")
_PRINTABLE = re.compile(rf"[ -~]{{1,{MAX_KEY}}}")
# What a passing state must say: field, kind, and the kind in words.
_TRANSIENT_FIELDS = {
    "typing_indicator": ("isTyping", bool, "true or false"),
    "ai_progress": ("status", str, "a string"),
}
_empty_hash = hashlib.blake2b(digest_size=16)
# Made-up message ids of this process: drawn once by the system's randomness, and counted from there on.
_MAX_NODE = (1 << 48) - 1
_id_prefix = str(uuid.uuid4())[:24]
_id_numbers = itertools.count(uuid.uuid4().int & _MAX_NODE)
_encode = msgspec.json.Encoder().encode
_encode_sorted = msgspec.json.Encoder(order="sorted").encode


class Draft(NamedTuple):
    """One event to be numbered.

    ``data`` is its JSON object without line breaks.  ``wants_timestamp`` asks for the event's own timestamp to be put
    into it.  ``message_key`` marks a repeat: the same key in the same session answers with the first event.
    """

    type: str
    data: bytes
    participant_id: str
    wants_timestamp: bool = False
    message_key: bytes | None = None

    @property
    def is_transient(self) -> bool:
        return self.type in TRANSIENT_SECONDS

    def data_at(self, timestamp: str) -> bytes:
        """Return the data as published at that moment, which is in ISO 8601."""
        if not self.wants_timestamp:
            return self.data
        # The object has at least its content, so a comma is always right.
        return b'%b,"timestamp":"%b"}' % (self.data[:-1], timestamp.encode())


# What the server's timestamp adds to data.
TIMESTAMP_BYTES = len(Draft("", b"{x}", "", wants_timestamp=True).data_at(format_timestamp(0))) - len(b"{x}")


class RequestKey(NamedTuple):
    """An idempotency key of one sender, with the fingerprint of the body it was used for."""

    digest: bytes
    fingerprint: bytes


class Publication(NamedTuple):
    """What one request publishes: all of it or nothing."""

    drafts: tuple[Draft, ...]
    key: RequestKey | None
    size: int  # bytes that wait for the disk


def parse_json(body: bytes) -> Any:
    """Decode a request body; `Malformed` for what is not JSON by RFC 8259 (NaN and lone surrogates included)."""
    try:
        found = msgspec.json.decode(body)
    except RecursionError:
        raise Malformed(f"the body nests deeper than {MAX_DEPTH} levels") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Malformed(f"the body is not valid JSON: {error}") from None
    # Counting brackets first spares nearly every body the walk.
    if body.count(b"[") + body.count(b"{") > MAX_DEPTH and _is_deeper(found, MAX_DEPTH):
        raise Malformed(f"the body nests deeper than {MAX_DEPTH} levels")
    return found


def parse_object(body: bytes) -> dict[str, Any]:
    """Decode a request body that must be a JSON object."""
    found = parse_json(body)
    if not isinstance(found, dict):
        raise Malformed(f"the body is {_kind_of(found)}; it must be a JSON object")
    return found


def check_name(value: object, what: str) -> str:
    """Return the id of a session or participant, or raise `Malformed` (DESIGN 4.2)."""
    if not isinstance(value, str) or not is_name(value):
        shown = repr(value[:64]) if isinstance(value, str) else _kind_of(value)
        raise Malformed(f"{what} is {shown}; it must be 1 to 128 of A-Z a-z 0-9 . _ ~ @ : - and not '.' or '..'")
    return value


def is_name(value: str) -> bool:
    return _NAME.fullmatch(value) is not None and value not in (".", "..")


@functools.lru_cache(maxsize=1024)
def _is_type(value: str) -> bool:
    # A session's events are of a few types; matching costs five times the look-up.
    return _TYPE.fullmatch(value) is not None


def check_type(value: object, what: str) -> str:
    """Return an event type, or raise `Malformed`."""
    if not isinstance(value, str) or not _is_type(value):
        shown = repr(value[:64]) if isinstance(value, str) else _kind_of(value)
        raise Malformed(f"{what} is {shown}; it must match [a-z][a-z0-9_.-]{{0,63}}")
    return value


def parse_publication(
    body: bytes, *, subject: str, is_participant: bool, idempotency_key: str | None, max_event_bytes: int
) -> Publication:
    """Read the body of ``POST .../events`` for the sender ``subject``.

    Raises `Malformed`, `Forbidden` for what a participant may not publish, and `TooLarge`.
    """
    found = parse_object(body)
    if "events" in found and ("type" in found or "data" in found):
        raise Malformed("the body has both 'events' and an event of its own; send one or the other")
    entries = found.get("events", [found])
    if not isinstance(entries, list) or not 1 <= len(entries) <= MAX_BATCH_EVENTS:
        count = len(entries) if isinstance(entries, list) else _kind_of(entries)
        raise Malformed(f"events has {count}; it must be a list of 1 to {MAX_BATCH_EVENTS} events")
    draft = _Drafter(subject, is_participant, max_event_bytes).draft
    drafts = tuple(_draft_all(draft, entries)) if "events" in found else (draft(found, ""),)
    return Publication(drafts, _request_key(found, subject, idempotency_key), sum([len(d.data) for d in drafts]))


def _draft_all(draft: Callable[[object, str], Draft], entries: list[object]) -> list[Draft]:
    try:
        return [draft(entry, "") for entry in entries]
    except RequestError:
        # Again, to say where it is: naming the place of each entry is a twentieth of the work.
        return [draft(entry, f"events[{i}].") for i, entry in enumerate(entries)]


class _Drafter(NamedTuple):
    """Turns entries of a body into drafts; ``at`` in its methods is where in the body the entry stands."""

    subject: str
    is_participant: bool
    max_event_bytes: int

    def draft(self, entry: object, at: str) -> Draft:
        if not isinstance(entry, dict):
            raise Malformed(f"{at.rstrip('.')} is {_kind_of(entry)}; it must be an object with type and data")
        type = self._type(entry.get("type"), at)
        data = entry.get("data")
        if not isinstance(data, dict):
            raise Malformed(f"{at}data is {_kind_of(data)}; it must be a JSON object")
        message_id = entry.get("messageId")
        if message_id is not None:
            _check_message_id(message_id, at, "messageId")
        if type == "message_added":
            return self._message(data, message_id, at)
        if type in TRANSIENT_SECONDS:
            return self._transient(type, data, at)
        key = message_id and _digest("message", self.subject, message_id)
        return Draft(type, self._bytes(data, at), self.subject, message_key=key or None)

    def _type(self, value: object, at: str) -> str:
        type = value if isinstance(value, str) and _is_type(value) else check_type(value, f"{at}type")
        if type in RESERVED_TYPES:
            raise Malformed(f"{at}type is {type!r}, which the streams use themselves; choose another")
        if self.is_participant and type not in PARTICIPANT_TYPES:
            raise Forbidden(
                f"{at}type is {type!r}; a participant may publish {' and '.join(sorted(PARTICIPANT_TYPES))}"
            )
        return type

    def _message(self, data: dict[str, Any], message_id: str | None, at: str) -> Draft:
        get = data.get
        if not isinstance(get("content"), str):
            raise Malformed(f"{at}data.content is {_kind_of(get('content'))}; it must be a string")
        named = message_id
        inner = get("messageId")
        if inner is not None:
            _check_message_id(inner, at, "data.messageId")
            if message_id is not None and message_id != inner:
                raise Malformed(f"{at}messageId and {at}data.messageId differ; send one of them")
            named = inner
        participant_id = self._participant(data, at)
        given = get("timestamp")
        wants_timestamp = given is None
        if not wants_timestamp and not isinstance(given, str):
            raise Malformed(f"{at}data.timestamp is {_kind_of(given)}; it must be a string")
        # These two come first, and the timestamp last.
        whole = {"messageId": None, "participantId": None, **data}
        whole["messageId"], whole["participantId"] = named or _made_up_id(), participant_id
        if "timestamp" in whole:
            del whole["timestamp"]
            if not wants_timestamp:
                whole["timestamp"] = given
        # A made-up id needs no memory: nobody can repeat it.
        key = _digest("message", participant_id, named) if named else None
        added = TIMESTAMP_BYTES if wants_timestamp else 0
        return Draft("message_added", self._bytes(whole, at, added), participant_id, wants_timestamp, key)

    def _transient(self, type: str, data: dict[str, Any], at: str) -> Draft:
        name, kind, words = _TRANSIENT_FIELDS[type]
        if not isinstance(data.get(name), kind):
            raise Malformed(f"{at}data.{name} is {_kind_of(data.get(name))}; it must be {words}")
        participant_id = self._participant(data, at)
        return Draft(type, self._bytes(data | {"participantId": participant_id}, at), participant_id)

    def _participant(self, data: dict[str, Any], at: str) -> str:
        """A participant speaks as itself, whatever the data say; others for whom they name."""
        named = data.get("participantId")
        if self.is_participant or named is None:
            return self.subject
        return check_name(named, f"{at}data.participantId")

    def _bytes(self, data: dict[str, Any], at: str, added: int = 0) -> bytes:
        """Return the data as they are stored; ``added`` bytes come to them when the event is numbered."""
        encoded = _encode(data)
        size = len(encoded) + added
        if size > self.max_event_bytes:
            raise TooLarge(f"{at}data has {size} bytes; at most {self.max_event_bytes} are allowed")
        return encoded


def _check_message_id(value: object, at: str, name: str) -> None:
    if not isinstance(value, str) or not 1 <= len(value) <= MAX_MESSAGE_ID:
        shown = f"{len(value)} characters" if isinstance(value, str) else _kind_of(value)
        raise Malformed(f"{at}{name} has {shown}; it must be a string of 1 to {MAX_MESSAGE_ID} characters")


def _request_key(body: dict[str, Any], subject: str, key: str | None) -> RequestKey | None:
    if key is None:
        return None
    if not _PRINTABLE.fullmatch(key):
        raise Malformed(f"Idempotency-Key has {len(key)} characters; it must have 1 to {MAX_KEY}, printable ASCII")
    # The fingerprint is of the meaning, not of the spelling: a client may encode its retry anew.
    return RequestKey(_digest("request", subject, key), _hash16(_encode_sorted(body)))


def _made_up_id() -> str:
    """Return a UUID for a message whose sender gave it none: unique, not secret, and a tenth of the cost of `uuid4`."""
    return f"{_id_prefix}{next(_id_numbers) & _MAX_NODE:012x}"


def _digest(kind: str, owner: str, key: str) -> bytes:
    """Sixteen bytes for a key of any length; a collision is as likely as two equal random UUIDs."""
    return _hash16(f"{kind}\0{owner}\0{key}".encode())


def _hash16(data: bytes) -> bytes:
    # A copy costs a third of a new one.
    hash = _empty_hash.copy()
    hash.update(data)
    return hash.digest()


def _is_deeper(value: object, limit: int) -> bool:
    """Say whether containers nest deeper than ``limit``, level by level: the walk itself must not recurse."""
    level: list[Any] = [value] if type(value) in _CONTAINERS else []
    for _ in range(limit):
        level = [
            child
            for outer in level
            for child in (outer if type(outer) is list else outer.values())
            if type(child) in _CONTAINERS
        ]
        if not level:
            return False
    return bool(level)


def _kind_of(value: object) -> str:
    """Name a JSON value's kind for a message, without echoing what may be large or secret."""
    if value is None:
        return "missing or null"
    names = {bool: "a boolean", int: "a number", float: "a number", str: "a string", list: "a list", dict: "an object"}
    return names.get(type(value), "of an unknown kind")
