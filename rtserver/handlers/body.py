"""A request's body: refused by its head before it comes, kept as far as it is allowed, then inflated (DESIGN 4).

Knows nothing of what a body means; the limit counts what it inflates to.
"""

from __future__ import annotations

import zlib

from tornado.httputil import HTTPHeaders

from rtserver.errors import Malformed, TooLarge, UnsupportedEncoding

ENCODINGS = ("identity", "gzip", "x-gzip", "deflate")
# A body that is refused is still read, so that the client gets to see why; this much of it.
MAX_DISCARDED_BYTES = 64 << 20
# Behind each member zlib copies what is left of the body: a megabyte of empty ones was measured to hold the loop for
# 0.8 s, and the time grows with the square.  Programs that cut their output do so every 64 KB or less often.
MAX_MEMBERS = 100


class RequestBody:
    """The body of one request, at most ``limit`` bytes of it; once ``is_refused``, what comes is thrown away."""

    def __init__(self, headers: HTTPHeaders, limit: int) -> None:
        self._headers = headers
        self._limit = limit
        length = headers.get("Content-Length", "")
        # More digits than any limit has are too many, and more than int() takes.
        self._announced_bytes = int(length[:20]) if length.isascii() and length.isdigit() else 0
        self._encoding = headers.get("Content-Encoding", "").strip().lower() or "identity"
        self._chunks: list[bytes] = []
        self.received = 0
        self.is_refused = False

    @property
    def transfer_limit(self) -> int:
        """How many bytes the connection may let through before it gives up on the request."""
        return max(MAX_DISCARDED_BYTES, self._limit + 1)

    @property
    def is_worth_reading(self) -> bool:
        """Whether a refused request should be read to its end: answering before that costs the connection."""
        is_asked_for = "Expect" in self._headers  # RFC 9110 section 10.1.1: then it has not been sent yet
        return not is_asked_for and self._announced_bytes <= MAX_DISCARDED_BYTES

    def check_head(self) -> None:
        """Refuse by its headers a body that would be refused when it has come."""
        if self._announced_bytes > self._limit:
            raise TooLarge(f"the body has {self._announced_bytes} bytes; at most {self._limit} are allowed")
        if self._encoding not in ENCODINGS:
            raise UnsupportedEncoding(
                f"Content-Encoding is {self._encoding[:64]!r}; allowed are gzip, deflate and identity"
            )

    def take(self, chunk: bytes) -> None:
        self.received += len(chunk)
        if self.received <= self._limit and not self.is_refused:
            self._chunks.append(chunk)

    def read(self) -> bytes:
        """Return all of it, inflated.  Raises `TooLarge` and `Malformed`."""
        if self.received > self._limit:
            raise TooLarge(f"the body has more than {self._limit} bytes; at most {self._limit} are allowed")
        body = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
        return inflate(body, self._encoding, self._limit) if self._encoding != "identity" else body


def inflate(body: bytes, encoding: str, limit: int) -> bytes:
    """Return an encoded body, at most ``limit`` bytes of it.  Raises `TooLarge` and `Malformed`."""
    # 'deflate' means zlib (RFC 9110 section 8.4.1.2); some clients send it without the zlib header.
    for window_bits in [15, -15] if encoding == "deflate" else [31]:
        try:
            # RFC 1952 section 2.2: gzip may come in several members, one after the other.
            inflated = _inflate(body, window_bits, limit, may_go_on=encoding != "deflate")
        except zlib.error:
            continue
        if inflated is not None:
            return inflated
    raise Malformed(f"the body is not valid {encoding}")


def _inflate(body: bytes, window_bits: int, limit: int, *, may_go_on: bool) -> bytes | None:
    """Return what ``body`` holds, or None if it does not end where its data do."""
    inflated = b""
    for _ in range(MAX_MEMBERS):
        inflater = zlib.decompressobj(window_bits)
        inflated += inflater.decompress(body, limit + 1 - len(inflated))
        if len(inflated) > limit:
            raise TooLarge(f"the inflated body has more than {limit} bytes; at most {limit} are allowed")
        if not inflater.eof:
            return None
        body = inflater.unused_data
        if not body:
            return inflated
        if not may_go_on:
            return None
    raise Malformed(f"the body has more than {MAX_MEMBERS} gzip members")
