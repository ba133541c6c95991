"""Requests that nobody would send on purpose, from a seed: every operation of the API's description, spoilt or not.

A request is made good first and then spoilt in some places, so that it gets past one check after the other.
"""

from __future__ import annotations

import gzip
import json
import random
import zlib
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import quote_from_bytes

from rtserver import config
from rtserver.openapi import document
from rtserver.problems import PAGES

UUID = "01997a0e-0000-7000-8000-000000000001"
PEOPLE = ("alice", "bob", "carol")

NUMBERS = [
    *("-1", "0", "1", "100", "101", "1.5", "1e3", "NaN", "Infinity", "\uff10", "+1", "0x1", "-0", "00", " 1"),
    *("9" * 30, "-" + "9" * 400, "9" * 5000),
]  # fmt: skip
TEXTS = [
    *("", " ", "s", "nope", ".", "..", "a b", "a/b", "%", "%00", "<script>", "'; DROP TABLE events;--", "null", "true"),
    *("\x00", "\x7f", "\r\n", "\u0085", "\u2028", "\ufeff", "😀", "ß", "\udfff", "{}", "[]", "earliest", "now"),
    *("a" * 128, "a" * 129, "a" * 5000, "ß" * 128, UUID, UUID[:-1], UUID.upper(), "2026-01-01T00:00:00Z"),
    *("2026-02-30T00:00:00Z", "9999-12-31T23:59:59.999999999Z", "0001-01-01T00:00:00+23:59", "2026-01-01"),
]  # fmt: skip
BYTES = [b"\xff", b"\xc3\x28", b"\xed\xa0\x80", b"\xf8\x88\x80\x80\x80", b"\x00", b"\xc0\xaf", b"%zz"]
VALUES: list[Any] = [
    *(None, True, False, 0, -1, 1, 1.5, 2**63, 10**30, -(10**400), 1e308, [], {}, [[]], {"": {}}, {"\ud800": 1}),
    *(["x"] * 101, [None], {"type": "note", "data": {}}, *TEXTS),
]  # fmt: skip
# Bodies that no encoder makes.
RAW = [
    *(b"", b" ", b"{", b"}", b"[", b"nul", b'"', b"{}x", b"{'a': 1}", b"\xef\xbb\xbf{}", b"\x00", b"9" * 10_000),
    *(b'{"a": NaN}', b'{"a": -Infinity}', b'{"a": 1e999999}', b'{"a": 01}', b'{"a": .5}'),
    *(b'{"a": "\\x"}', b'{"a": 1,}'),
    *(b'{"type": "note", "data": {"a": "\xff"}}', b'{"type": "note", "data": {"a": "\\ud800"}}'),
    *(b'{"type": "note", "data": {"a": "\n"}}', b'{"type": "note", "data": {"a": "\x00"}}'),
    *(b'{"type": 1, "type": "note"}', b'{"type": "note", "data": {"a": 1%b}}' % (b"0" * 5000)),
    *(b"[" * 100_000, b'{"a":' * 5000 + b"1" + b"}" * 5000, b'{"a":' * 100_000, b" " * 1_000_000),
    *(b'{"type": "note", "data": {"a": %b%b}}' % (b"[" * depth, b"]" * depth) for depth in (97, 98, 99, 200, 2000)),
    *('{"type": "note", "data": {}}'.encode(coding) for coding in ("utf-16", "utf-32", "cp037")),
]  # fmt: skip

# What each parameter is when it is good.
PARAMETERS = {
    "limit": ("1", "2", "100"),
    "batchSize": ("1", "100"),
    "after": ("", "alice", "a"),
    "before": ("", "0", "1", "5"),
    "lastEventId": ("", "0", "1", "3"),
    "from": ("earliest", "now"),
    "eventTypes": ("note", "message_added, note", "participant_joined"),
    "heartbeat": ("5", "60"),
    "timeout": ("0",),
    "clientId": ("c1", "c2"),
    "since": ("2026-01-01T00:00:00Z", "2026-01-01T00:00:00.5 02:00", "2026-01-01t00:00:00"),
    "includeTyping": ("true", "false"),
    "compact": ("true", "false"),
    "rtt": ("0", "501"),
    "format": ("prometheus",),
    "nonce": ("n1", "n-2"),
    "sent": ("Accept", "X-A,X-B"),
    "clientTime": ("0", "1770000000000"),
    "causes": ("buffering", "slow,buffering"),
    "catalogue": ("true", "false"),
    "chunks": ("1", "2"),
    "interval": ("0", "1"),
    "type": ("text/plain", "text/event-stream"),
    "seconds": ("0",),
    "bytes": ("0", "1", "65537"),
    "unknown": ("", "x"),
}
HEADERS = {
    "Last-Event-ID": ("", "0", "1"),
    "If-None-Match": ("*", 'W/"a"', '"a", W/"b"'),
    "If-Modified-Since": ("Thu, 01 Jan 2026 00:00:00 GMT", "Fri, 01 Jan 2100 00:00:00 GMT"),
    "Idempotency-Key": ("k1", "k2", "k3"),
    "Accept": ("*/*", "application/json", "text/event-stream", "text/html"),
    "Accept-Encoding": ("gzip", "gzip;q=0", "br, *"),
    "Content-Type": ("application/json", "text/plain", "multipart/form-data; boundary=x"),
    "Save-Data": ("on",),
    "RTT": ("600",),
    "Origin": ("null", "http://127.0.0.1", "https://elsewhere.example", "http://[::1"),
    "Access-Control-Request-Method": ("POST",),
    "Sec-Fetch-Site": ("same-origin", "cross-site"),
    "X-Forwarded-Proto": ("https",),
    "Cookie": ("a=b", 'rt_token="', "rt_token=x; rt_token=y"),
    "Content-Encoding": ("identity", "br", "gzip", "deflate"),
}
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "LINK", "get")
NOWHERE = ("/", "/api", "/api/", "/api/session", "/api/sessions/", "//api/sessions", "/api/sessions/a/b/c/d", "/%ff")
# A header field has no control characters: what has is the parser's matter.
NO_CONTROLS = dict.fromkeys((*range(9), *range(10, 32), 127))


class Operation(NamedTuple):
    method: str
    path: str
    parameters: tuple[str, ...]  # of the query
    body: str  # the name of its schema, or nothing


@dataclass(frozen=True)
class Request:
    operation: Operation  # what it was made from; its method and path may be others now
    method: str
    target: str
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None

    def __str__(self) -> str:
        headers = {name: value for name, value in self.headers.items() if name != "Authorization"}
        return f"{self.method} {self.target[:300]} {headers!s:.300} {self.body!r:.300}"


def operations() -> list[Operation]:
    """Return what the API's description offers."""
    described = document(config.load({}, environment={}))
    return [
        _operation(method.upper(), path, item[method], described)
        for path, item in described["paths"].items()
        for method in item
        if method != "parameters"
    ]


def _operation(method: str, path: str, found: dict[str, Any], described: dict[str, Any]) -> Operation:
    parts = described["components"]["parameters"]
    used = [parts[each["$ref"].rpartition("/")[2]] for each in found.get("parameters", ())]
    content = found.get("requestBody", {"content": {}})["content"]
    schema = content["application/json"]["schema"]["$ref"].rpartition("/")[2] if content else ""
    return Operation(method, path, tuple(part["name"] for part in used if part["in"] == "query"), schema)


class Generator:
    """Requests about one session by its id, on behalf of whoever `credentials` has."""

    def __init__(self, rng: random.Random, session_id: str, credentials: dict[str, dict[str, str]]) -> None:
        self._rng = rng
        self._session_id = session_id
        self._credentials = credentials
        self._operations = operations()
        self.last_event_id = "1"
        self.ticket = "used"

    def request(self) -> Request:
        rng = self._rng
        operation = rng.choice(self._operations)
        method = operation.method
        if method == "GET" and self._is(0.15):
            method = "HEAD"
        if self._is(0.03):
            method = rng.choice(METHODS)
        path = self._path(operation.path) if not self._is(0.02) else rng.choice(NOWHERE)
        headers = self._headers()
        body = None
        if (operation.body and self._is(0.98)) or self._is(0.03):
            body = self._body(operation.body, headers)
        return Request(operation, method, path + self._query(operation), headers, body)

    def _is(self, chance: float) -> bool:
        return self._rng.random() < chance

    # Addresses

    def _path(self, path: str) -> str:
        names = {
            "sessionId": lambda: self._session_id,
            "participantId": lambda: self._rng.choice(PEOPLE),
            "eventId": lambda: self._rng.choice(("1", self.last_event_id)),
            "slug": lambda: self._rng.choice(list(PAGES)),
        }
        for name, good in names.items():
            if "{" + name + "}" in path:
                path = path.replace("{" + name + "}", good() if self._is(0.92) else self._junk() or "x")
        return path

    def _query(self, operation: Operation) -> str:
        rng = self._rng
        names = [name for name in operation.parameters if self._is(0.25)]
        if self._is(0.1):
            names.append(rng.choice(list(PARAMETERS)))
        pairs = [(name, self._parameter(name)) for name in names]
        if pairs and self._is(0.05):
            pairs.append(rng.choice(pairs))
        # Waiting is not what is asked here; now and then a second of it.
        if "timeout" in operation.parameters and "timeout" not in names and self._is(0.95):
            pairs.append(("timeout", "0"))
        if self._is(0.02):
            pairs.append(("ticket", self.ticket))
        if self._is(0.002):
            pairs += [("x", "")] * 300
        return "?" + "&".join(f"{name}={value}" for name, value in pairs) if pairs else ""

    def _parameter(self, name: str) -> str:
        # Nor to be held for as long as some number says.
        if name == "seconds" and self._is(0.25):
            return self._rng.choice(("", "-1", "121", "1.5", "x"))
        if name == "seconds" or self._is(0.75):
            return quote_from_bytes(self._rng.choice(PARAMETERS[name]).encode())
        return self._junk()

    def _junk(self) -> str:
        """Return what may stand in an address and hardly means anything there."""
        kind = self._rng.random()
        if kind < 0.2:
            return quote_from_bytes(self._rng.choice(BYTES), safe="%")
        text = self._rng.choice(NUMBERS if kind < 0.5 else TEXTS)
        return quote_from_bytes(text.encode("utf-8", "surrogatepass"), safe="")

    # Headers

    def _headers(self) -> dict[str, str]:
        rng = self._rng
        who = rng.choices(("service", "alice", "carol", "nobody"), (70, 15, 5, 10))[0]
        if who == "nobody":
            who = rng.choice([name for name in self._credentials if name not in ("service", "alice", "carol")])
        headers = dict(self._credentials[who])
        for name in rng.sample(list(HEADERS), rng.choice((0, 0, 1, 1, 2, 4))):
            if self._is(0.8):
                value = rng.choice(HEADERS[name])
            else:
                value = rng.choice(NUMBERS + TEXTS).encode("utf-8", "surrogatepass").decode("latin1")
            headers.setdefault(name, value.translate(NO_CONTROLS))
            if self._is(0.05):
                headers[name.lower()] = value.translate(NO_CONTROLS)
        return headers

    # Bodies

    def _body(self, schema: str, headers: dict[str, str]) -> bytes:
        rng = self._rng
        if self._is(0.08):
            return rng.choice(RAW)
        value = {
            "NewSession": self._new_session,
            "SessionChange": self._session_change,
            "ParticipantChange": self._participant_change,
            "Publication": self._publication,
            "Report": self._report,
            "": dict,
        }[schema]()
        while self._is(0.35):
            value = self._spoilt(value)
        encoded = json.dumps(value).encode()
        if self._is(0.04):
            at = rng.randrange(len(encoded) + 1)
            junk = rng.choice((b"", b"\x00", b"\xff", b'"', b"}", b"\\", b"\xed\xa0\x80"))
            return encoded[:at] + junk + encoded[at + 1 :]
        if self._is(0.03):
            return encoded[: rng.randrange(len(encoded) + 1)]
        if headers.get("Content-Encoding") in ("gzip", "deflate") and self._is(0.8):
            return gzip.compress(encoded) if headers["Content-Encoding"] == "gzip" else zlib.compress(encoded)
        return encoded

    def _spoilt(self, value: Any) -> Any:
        """Return a value with one part of it, at any depth, left out or something else."""
        rng = self._rng
        if isinstance(value, dict) and value and self._is(0.8):
            key = rng.choice(list(value))
            rest = {name: part for name, part in value.items() if name != key}
            return rest if self._is(0.2) else rest | {key: self._spoilt(value[key])}
        if isinstance(value, list) and value and self._is(0.8):
            at = rng.randrange(len(value))
            return [*value[:at], self._spoilt(value[at]), *value[at + 1 :]]
        return rng.choice(VALUES)

    def _new_session(self) -> dict[str, Any]:
        rng = self._rng
        body: dict[str, Any] = {"metadata": {"case": 1}, "participants": [self._person(name) for name in PEOPLE[:2]]}
        if self._is(0.5):
            body["sessionId"] = self._session_id if self._is(0.3) else f"{self._session_id}.{rng.randrange(1000)}"
        return body

    def _person(self, name: str) -> dict[str, Any]:
        return {"participantId": name, "displayName": name.title(), "kind": self._rng.choice(("human", "ai"))}

    def _session_change(self) -> dict[str, Any]:
        status = self._rng.choice(("active", "active", "active", "paused", "closed"))
        return {"status": status, "metadata": {"n": self._rng.randrange(9)}}

    def _participant_change(self) -> dict[str, Any]:
        return {"displayName": "X", "kind": "ai"}

    def _report(self) -> dict[str, Any]:
        tier = self._rng.choice(("sse", "long-poll", "short-poll"))
        return {"tier": tier, "previousTier": None, "reason": "verified", "clientId": "c1", "rttMs": 20, "attempts": 1}

    def _publication(self) -> dict[str, Any]:
        if self._is(0.8):
            return self._event()
        return {"events": [self._event() for _ in range(self._rng.choice((1, 2, 3, 10)))]}

    def _event(self) -> dict[str, Any]:
        rng = self._rng
        kind = rng.choice(("message_added", "message_added", "note", "typing_indicator", "ai_progress"))
        data = {"content": "Hello", "isTyping": True, "status": "thinking", "participantId": "alice"}
        if self._is(0.02):
            data["content"] = "x" * rng.choice((65_000, 65_536, 70_000))
        event = {"type": kind, "data": data}
        return event | ({"messageId": f"m{rng.randrange(50)}"} if self._is(0.3) else {})
