"""gzip for a body that is never finished in time: fragments that are decodable at once and shared by many bodies.

A body is a header, then raw deflate blocks (RFC 1951), each fragment ending at a byte with an empty stored block, then
a trailer (RFC 1952).  Deflate refers back to plain text, by distance, however that text was sent.  So a fragment that
was made with a dictionary fits every body whose plain text ends with that dictionary, and one without fits everywhere:
no compressor is kept, and no body has to begin at the same place as another.

No I/O, no clock, no event loop; knows nothing of events.
"""

from __future__ import annotations

import functools
import struct
import zlib

# Method 8 is deflate; no name, no time; 255 is an unknown system.
HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
# How far back a fragment may refer.  Decoders keep 32 KB; with half, and little for matching, the compressor is set up
# in 7 us instead of 30, and 300-byte events shrink as far.
WINDOW_BITS = 14
WINDOW_BYTES = 1 << WINDOW_BITS
MEMORY_LEVEL = 6
# On events a higher level gains a hundredth; on pages of them 5 takes 1.6 times as long for a twentieth.
LEVEL = 3
# What a stored block can hold.
STORED_BYTES = 0xFFFF
# A block of the fixed code that ends at once, and is the last.
LAST_BLOCK = b"\x03\x00"
# Readers that come back together read the same pages.
PAGES = 8


def fragment(payload: bytes, dictionary: bytes = b"") -> bytes:
    """Return ``payload`` as blocks for every body whose plain text ends with ``dictionary``.  Costs about 20 us."""
    compressor = zlib.compressobj(LEVEL, zlib.DEFLATED, -WINDOW_BITS, MEMORY_LEVEL, zdict=dictionary)
    return compressor.compress(payload) + compressor.flush(zlib.Z_SYNC_FLUSH)


@functools.lru_cache(maxsize=PAGES)
def page(payload: bytes) -> bytes:
    """Return ``payload`` as blocks for every body, made once for those that ask for it at about the same time."""
    return fragment(payload)


def stored(payload: bytes) -> bytes:
    """Return ``payload`` uncompressed, as blocks for every body: for what is short, or is there to be long."""
    pieces = [payload[start : start + STORED_BYTES] for start in range(0, len(payload), STORED_BYTES)]
    return b"".join([struct.pack("<BHH", 0, len(piece), len(piece) ^ 0xFFFF) + piece for piece in pieces])


class GzipBody:
    """What one body has come to.

    ``shared_from`` is the live index of its stream since when it was sent nothing but what all streams of the session
    and filter were sent: so far back fragments may refer.
    """

    __slots__ = ("shared_from", "_checksum", "_size")

    def __init__(self) -> None:
        self.shared_from = 0
        self._checksum = 0
        self._size = 0

    def count(self, payload: bytes) -> None:
        """Take note of plain text that is sent.  Costs 0.3 us for 300 bytes: `zlib` cannot combine checksums."""
        self._checksum = zlib.crc32(payload, self._checksum)
        self._size += len(payload)

    def trailer(self) -> bytes:
        """Return the end of the body, for everything that was counted."""
        return LAST_BLOCK + struct.pack("<II", self._checksum, self._size & 0xFFFFFFFF)
