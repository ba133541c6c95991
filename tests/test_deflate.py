"""Fragments of gzip bodies: each decodable at once, each for as many bodies as possible."""

from __future__ import annotations

import gzip
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtserver import deflate
from rtserver.deflate import GzipBody

PLAIN = b'event: message_added\ndata: {"content":"hello, hello"}\n\n'


def body_of(*pieces: bytes) -> bytes:
    body = GzipBody()
    for piece in pieces:
        body.count(piece)
    return body.trailer()


@pytest.mark.parametrize("pack", [deflate.fragment, deflate.page, deflate.stored])
def test_what_was_sent_is_decodable_at_once(pack):
    inflater = zlib.decompressobj(31)
    assert inflater.decompress(deflate.HEADER) == b""
    for number in range(5):
        piece = PLAIN * number
        assert inflater.decompress(pack(piece)) == piece


def test_a_body_is_gzip_as_anybody_reads_it():
    whole = deflate.HEADER + deflate.stored(PLAIN) + deflate.fragment(PLAIN, PLAIN) + deflate.page(PLAIN)
    assert gzip.decompress(whole + body_of(PLAIN, PLAIN, PLAIN)) == PLAIN * 3


def test_a_body_of_nothing_is_gzip_too():
    assert gzip.decompress(deflate.HEADER + body_of()) == b""


def test_a_fragment_fits_bodies_that_differ_before_its_dictionary():
    shared = deflate.fragment(PLAIN, PLAIN)
    assert len(shared) < len(deflate.fragment(PLAIN)) / 3
    for start in (b"", b"one", b"quite another " * 5000):
        inflater = zlib.decompressobj(-15)
        before = deflate.stored(start) + deflate.fragment(PLAIN)
        assert inflater.decompress(before + shared) == start + PLAIN + PLAIN


@pytest.mark.parametrize("size", [0, 1, deflate.STORED_BYTES - 1, deflate.STORED_BYTES, deflate.STORED_BYTES + 1])
def test_what_is_stored_keeps_its_length(size):
    packed = deflate.stored(b" " * size)
    assert len(packed) >= size
    assert zlib.decompressobj(-15).decompress(packed) == b" " * size


@settings(deadline=None, max_examples=100)
@given(st.lists(st.tuples(st.binary(max_size=400), st.integers(1, 200)), max_size=8), st.integers(0, 8))
def test_any_dictionary_that_ends_the_text_will_do(parts, depth):
    """Also one that is larger than the window."""
    pieces = [part * times for part, times in parts]
    inflater = zlib.decompressobj(31)
    inflater.decompress(deflate.HEADER)
    for number, piece in enumerate(pieces):
        dictionary = b"".join(pieces[max(0, number - depth) : number])
        assert inflater.decompress(deflate.fragment(piece, dictionary)) == piece
    inflater.decompress(body_of(*pieces))
    assert inflater.eof and inflater.unused_data == b""
