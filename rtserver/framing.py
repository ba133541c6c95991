"""HTTP/1.1 framing: what the head of a request says, where its body ends, and the head of an answer (RFC 9112).

Strict where servers are attacked: whatever two readers could understand differently is refused, so that no proxy in
front disagrees about where a request ends.

No I/O, no clock, no event loop: bytes in, values out.
"""

from __future__ import annotations

import enum
import functools
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, overload

from rtserver.errors import AddressTooLong, HeadTooLarge, Malformed

MAX_HEAD_BYTES = 64 << 10
MAX_TARGET_BYTES = 16 << 10
MAX_FIELDS = 100
# So many lines of heads are remembered, of at most so many bytes each: a token has 200 to 1,000.
MAX_LINES = 2048
MAX_LINE_BYTES = 1024
# Heads up to this size are kept while their connection may repeat them: one of a browser with a token and cookies.
MAX_KEPT_BYTES = 4 << 10
# A chunk's size line, its extensions included; sixteen digits are more than any limit.
MAX_CHUNK_LINE_BYTES = 256
MAX_TRAILER_BYTES = 8 << 10

_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_START_LINE = re.compile(rb"(%b) ([!-~\x80-\xff]+) (HTTP/1\.[01])" % _TOKEN)
# RFC 9112 section 5: no space before the colon, no line that goes on; RFC 9110 section 5.5: no control characters.
_BEGINNING = re.compile(rb"%b (/[!->@-~\x80-\xff]{0,200})" % _TOKEN)
_FIELD = re.compile(rb"(%b):([\t -~\x80-\xff]*)" % _TOKEN)
_BEGINS = re.compile(rb"[\r\n]|%b" % _TOKEN)
_HOST = re.compile(r"[A-Za-z0-9.\-_~%!$&'()*+;=:\[\]]*")
_LENGTH = re.compile(r"[0-9]{1,100}")
_CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,16})[ \t]*(?:;[\t -~\x80-\xff]*)?")
_ABSOLUTE = re.compile(r"https?://([^/?#]*)(.*)", re.IGNORECASE)


class Fields:
    """The header fields of a request, by their names in any case; repeated ones are lists (RFC 9110 section 5.3)."""

    __slots__ = ("_values",)

    def __init__(self, values: dict[str, list[str]]) -> None:
        """``values`` are by names in lower case."""
        self._values = values

    def __contains__(self, name: str) -> bool:
        return name.lower() in self._values

    def __getitem__(self, name: str) -> str:
        return ",".join(self._values[name.lower()])

    @overload
    def get(self, name: str) -> str | None: ...
    @overload
    def get(self, name: str, default: str) -> str: ...
    def get(self, name: str, default: str | None = None) -> str | None:
        values = self._values.get(name.lower())
        return default if values is None else values[0] if len(values) == 1 else ",".join(values)

    def get_list(self, name: str) -> list[str]:
        return self._values.get(name.lower(), [])

    def get_all(self) -> Iterator[tuple[str, str]]:
        for name, values in self._values.items():
            for value in values:
                yield name, value


class Head(NamedTuple):
    """The head of one request.  ``length`` is that of its body in bytes, None when it comes in chunks.

    ``raw`` is the head as it came, or empty for one that is not worth remembering.
    """

    method: str
    target: str
    version: str
    fields: Fields
    length: int | None
    keeps_alive: bool
    expects_continue: bool
    raw: bytes

    @property
    def is_memorable(self) -> bool:
        """Whether the same bytes mean the same whenever they come, and the body behind them is of a known length."""
        return self.length is not None and self.version == "HTTP/1.1" and not self.expects_continue and bool(self.raw)


def find_head(buffer: bytes) -> int:
    """Return where the head at the front of ``buffer`` ends, or 0 while it is not whole.

    Raises `AddressTooLong`, `HeadTooLarge`, and `Malformed` for what no head can begin with.
    """
    end = buffer.find(b"\r\n\r\n", 0, MAX_HEAD_BYTES)
    if end >= 0:
        return end + 4
    # What is refused here is refused in `parse_head` too, in the same order: how a head was cut must not matter.
    if len(buffer) > MAX_TARGET_BYTES:
        _check_target_length(buffer[:MAX_HEAD_BYTES])
    # Who ends lines with LF alone would wait for an answer until the time is over.
    if buffer.find(b"\n\n", 0, MAX_HEAD_BYTES) >= 0 or not _BEGINS.match(buffer):
        raise Malformed("this is not the head of an HTTP/1.1 request")
    if len(buffer) >= MAX_HEAD_BYTES:
        raise HeadTooLarge(f"the head of the request has more than {MAX_HEAD_BYTES} bytes; send fewer or smaller ones")
    return 0


def _check_target_length(head: bytes) -> None:
    """Look at what stands between the first two spaces of the first line, whether that has come whole or not."""
    line, *_ = head.split(b"\n", 1)
    target = line.split(b" ", 2)[1:2]
    if target and len(target[0].rstrip(b"\r")) > MAX_TARGET_BYTES:
        raise AddressTooLong(f"the address of the request has more than {MAX_TARGET_BYTES} bytes")


def path_of(buffer: bytes) -> str:
    """Return the path that a request asks for, as far as it can be seen, for who is told that it was refused."""
    match = _BEGINNING.match(buffer)
    return match[1].decode("latin1") if match else "/"


def parse_head(head: bytes) -> Head:
    """Read a whole head, its empty line included.  Raises `Malformed`, `AddressTooLong` and `HeadTooLarge`."""
    if len(head) > MAX_TARGET_BYTES:
        _check_target_length(head)
    first, *lines = head[:-4].split(b"\r\n")
    method, target, version = _known_starts.get(first) or _read_start_line(first)
    values: dict[str, list[str]] = {}
    known = _known_fields
    for line in lines:
        name, value = known.get(line) or _read_field(line)
        if name in values:
            values[name].append(value)
        else:
            values[name] = [value]
    if len(lines) > MAX_FIELDS:
        raise HeadTooLarge(f"the request has {len(lines)} header fields; at most {MAX_FIELDS} are allowed")
    is_old = version == "HTTP/1.0"
    connection = ",".join(values["connection"]).lower() if "connection" in values else ""
    return Head(
        method,
        _check_host(values.get("host"), target, is_old),
        version,
        Fields(values),
        _body_length(values, is_old),
        "keep-alive" in connection if is_old else "close" not in connection,
        not is_old and "expect" in values and ",".join(values["expect"]).lower() == "100-continue",
        head if len(head) <= MAX_KEPT_BYTES else b"",
    )


# What lines of heads say: a client sends the same ones with every request, and reading one again takes 3 us.
_known_fields: dict[bytes, tuple[str, str]] = {}
_known_starts: dict[bytes, tuple[str, str, str]] = {}


def _remember(known: dict[bytes, Any], line: bytes, meaning: Any) -> None:
    """Keep what a line says, within bounds of number and bytes (P4)."""
    if len(line) <= MAX_LINE_BYTES:
        if len(known) >= MAX_LINES:
            known.clear()
        known[line] = meaning


def _read_start_line(line: bytes) -> tuple[str, str, str]:
    """Return method, target and version."""
    start = _START_LINE.fullmatch(line)
    if start is None:
        raise Malformed("the first line of the request is not: method, one space, address, one space, HTTP/1.1")
    meaning = start[1].decode("ascii"), start[2].decode("latin1"), start[3].decode("ascii")
    _remember(_known_starts, line, meaning)
    return meaning


def _read_field(line: bytes) -> tuple[str, str]:
    """Return a field's name in lower case and its value."""
    field = _FIELD.fullmatch(line)
    if field is None:
        raise Malformed("a header field is malformed: it must be a name, a colon and a value, on one line")
    meaning = field[1].decode("ascii").lower(), field[2].decode("latin1").strip(" \t")
    _remember(_known_fields, line, meaning)
    return meaning


def _check_host(hosts: list[str] | None, target: str, is_old: bool) -> str:
    """Return the target in origin form; who is asked must be said once (RFC 9112 section 3.2)."""
    if hosts is None:
        if not is_old:
            raise Malformed("the header Host is given 0 times; give it once")
        hosts = []
    elif len(hosts) > 1:
        raise Malformed(f"the header Host is given {len(hosts)} times; give it once")
    elif not _is_host(hosts[0]):
        raise Malformed("the header Host does not hold a host")
    if target[0] == "/" or target == "*":
        return target
    absolute = _ABSOLUTE.fullmatch(target)
    if absolute is None or not _is_host(absolute[1]):
        raise Malformed("the address of the request is not valid: it must begin with /")
    hosts[:] = [absolute[1]]
    return absolute[2] if absolute[2].startswith("/") else f"/{absolute[2]}"


@functools.lru_cache(64)
def _is_host(value: str) -> bool:
    return _HOST.fullmatch(value) is not None


def _body_length(values: dict[str, list[str]], is_old: bool) -> int | None:
    """Return how long the body is, None for chunks (RFC 9112 section 6.3)."""
    lengths = values.get("content-length")
    if "transfer-encoding" in values:
        codings = values["transfer-encoding"]
        if lengths or is_old:
            raise Malformed("Transfer-Encoding stands beside Content-Length or in HTTP/1.0; send one of them")
        if len(codings) > 1 or codings[0].lower() != "chunked":
            raise Malformed("Transfer-Encoding must be chunked, and nothing else")
        return None
    if not lengths:
        return 0
    if len(lengths) > 1 or not _LENGTH.fullmatch(lengths[0]):
        raise Malformed("Content-Length must be one whole number")
    return int(lengths[0])


def encode_head(status: int, reason: str, fields: Mapping[str, str]) -> bytes:
    """Return the head of an answer.  Raises `ValueError` for a line break in a field."""
    return b"%b%b\r\n" % (_encode_line(f"HTTP/1.1 {status}", " ", reason), encode_fields(fields))


def encode_fields(fields: Mapping[str, str]) -> bytes:
    """Return lines of the head of an answer.  Raises `ValueError` for a line break in one."""
    return b"".join([_encode_line(name, ": ", value) for name, value in fields.items()])


# Answers say the same few lines over and over.
@functools.lru_cache(1024)
def _encode_line(name: str, separator: str, value: str) -> bytes:
    text = f"{name}{separator}{value}"
    if "\r" in text or "\n" in text:
        raise ValueError("a header field of an answer holds a line break")
    return f"{text}\r\n".encode("latin1")


class Part(enum.Enum):
    SIZE = "size"
    DATA = "data"
    END = "end"  # the line end after the data
    TRAILER = "trailer"
    DONE = "done"


class Chunks:
    """Takes a chunked body apart (RFC 9112 section 7.1); ``is_done`` when its end has come."""

    __slots__ = ("_left", "_part", "_trailer_bytes")

    def __init__(self) -> None:
        self._part = Part.SIZE
        self._left = 0  # bytes of this chunk still to come
        self._trailer_bytes = 0

    @property
    def is_done(self) -> bool:
        return self._part is Part.DONE

    def take(self, buffer: bytes) -> tuple[bytes, int]:
        """Return what of the body is at the front of ``buffer``, and how many bytes that took.  Raises `Malformed`."""
        pieces: list[bytes] = []
        at = 0
        while not self.is_done:
            if self._part is Part.DATA:
                piece = buffer[at : at + self._left]
                pieces.append(piece)
                at += len(piece)
                self._left -= len(piece)
                if self._left:
                    break
                self._part = Part.END
                continue
            end = buffer.find(b"\n", at, at + MAX_CHUNK_LINE_BYTES)
            if end < 0:
                if len(buffer) - at >= MAX_CHUNK_LINE_BYTES:
                    raise Malformed("a line between the chunks of the body is too long")
                break
            self._line(buffer[at : end + 1])
            at = end + 1
        return b"".join(pieces), at

    def _line(self, line: bytes) -> None:
        if not line.endswith(b"\r\n"):
            raise Malformed("a line between the chunks of the body ends without CR")
        if self._part is Part.END:
            if line != b"\r\n":
                raise Malformed("a chunk of the body is longer than it says")
            self._part = Part.SIZE
        elif self._part is Part.TRAILER:
            self._trailer_bytes += len(line)
            if self._trailer_bytes > MAX_TRAILER_BYTES or not (
                line == b"\r\n" or _FIELD.fullmatch(line, 0, len(line) - 2)
            ):
                raise Malformed("what follows the chunks of the body is malformed")
            if line == b"\r\n":
                self._part = Part.DONE
        else:
            size = _CHUNK_LINE.fullmatch(line, 0, len(line) - 2)
            if size is None:
                raise Malformed("the size of a chunk of the body is malformed")
            self._left = int(size[1], 16)
            self._part = Part.DATA if self._left else Part.TRAILER
