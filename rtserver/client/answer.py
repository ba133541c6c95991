"""An HTTP answer: how its head is read and where its body ends (RFC 9112), as a client sees it.

Generous where proxies are careless (a reason that is missing, a line that ends in LF alone), strict where the end of a
body would be guessed.

No I/O, no clock, no event loop.
"""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass
from typing import Any

import msgspec

from rtserver.client.errors import Blocked

MAX_HEAD_BYTES = 64 << 10
# Beyond any page of events: what is larger is not ours.
MAX_BODY_BYTES = 64 << 20

_STATUS_LINE = re.compile(r"HTTP/1\.([01]) ([1-5][0-9][0-9])(?: .*)?")
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,16})[ \t]*(?:;.*)?\r?\n")
_decode = msgspec.json.Decoder().decode


@dataclass(frozen=True, slots=True)
class Head:
    """Names of headers are in lower case; repeated ones are joined by commas."""

    status: int
    headers: dict[str, str]
    is_http_1_0: bool = False

    @property
    def content_type(self) -> str:
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def is_json(self) -> bool:
        return self.content_type in ("application/json", "application/problem+json")

    @property
    def keeps_alive(self) -> bool:
        """Say whether another request may follow on the connection, once the body has ended by itself."""
        wishes = {each.strip().lower() for each in self.headers.get("connection", "").split(",")}
        return "keep-alive" in wishes if self.is_http_1_0 else "close" not in wishes

    @property
    def is_chunked(self) -> bool:
        return self.headers.get("transfer-encoding", "").lower().rpartition(",")[2].strip() == "chunked"

    def body_length(self, method: str) -> int | None:
        """Return the bytes of the body, None where chunks or the end of the connection tell."""
        if method == "HEAD" or self.status in (204, 304) or self.status < 200:
            return 0
        if "transfer-encoding" in self.headers:
            return None
        lengths = {each.strip() for each in self.headers.get("content-length", "").split(",")} - {""}
        if not lengths:
            return None
        length = lengths.pop()
        if lengths or not (length.isascii() and length.isdigit()):
            raise Blocked(f"an answer has the length {self.headers['content-length'][:40]!r}")
        return int(length)


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer."""

    status: int
    headers: dict[str, str]
    body: bytes = b""

    @property
    def head(self) -> Head:
        return Head(self.status, self.headers)

    def json(self) -> dict[str, Any]:
        """Return the JSON object that belongs here; raises `Blocked` for anything else."""
        if self.head.is_json:
            try:
                found = _decode(self.body)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                found = None
            if isinstance(found, dict):
                return found
        shown = self.head.content_type or "no content type"
        raise Blocked(f"an answer {self.status} ({shown}) is not from the server; something on the way answers itself")


def parse_head(raw: bytes) -> Head:
    """Read a head up to and with its blank line; raises `Blocked` for what is not HTTP."""
    first, *lines = raw.decode("latin1").replace("\r\n", "\n").rstrip("\n").split("\n")
    match = _STATUS_LINE.fullmatch(first.rstrip())
    if match is None:
        raise Blocked(f"the answer begins with {first[:40]!r}; that is not HTTP/1.1")
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if colon:
            name, value = name.strip().lower(), value.strip()
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return Head(int(match[2]), headers, match[1] == "0")


def parse_chunk_size(line: bytes) -> int:
    """Read the line before a chunk; raises `Blocked`."""
    match = _CHUNK_SIZE.fullmatch(line)
    if match is None:
        raise Blocked(f"a chunk of the answer begins with {line[:40]!r}")
    return int(match[1], 16)


class Inflater:
    """Undoes the ``Content-Encoding`` of a body, piece by piece; raises `Blocked` for one that cannot be undone."""

    def __init__(self, head: Head) -> None:
        encoding = head.headers.get("content-encoding", "identity").strip().lower()
        if encoding not in ("identity", "", "gzip", "x-gzip", "deflate"):
            raise Blocked(f"an answer has the encoding {encoding[:40]!r}, which was not asked for")
        self._inflate = zlib.decompressobj(47) if encoding not in ("identity", "") else None

    def __call__(self, piece: bytes) -> bytes:
        if self._inflate is None:
            return piece
        try:
            inflated = self._inflate.decompress(piece, MAX_BODY_BYTES + 1)
        except zlib.error:
            raise Blocked("a gzipped answer is broken") from None
        if len(inflated) > MAX_BODY_BYTES:
            raise Blocked(f"a gzipped answer inflates to more than {MAX_BODY_BYTES} bytes")
        return inflated
