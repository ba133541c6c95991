"""Answers are gzipped for who accepts it, and the same for everybody else (DESIGN 4)."""

from __future__ import annotations

import gzip
import json
import tracemalloc
import zlib

import pytest

from rtserver.errors import Malformed, TooLarge
from rtserver.handlers.body import MAX_MEMBERS, inflate
from rtserver.handlers.negotiation import accepts, accepts_gzip, weigh

ACCEPT = {"Accept-Encoding": "gzip"}


@pytest.mark.parametrize("path", ["/sessions/s", "/sessions/s/updates?from=earliest", "/sessions/s/messages"])
async def test_a_large_answer_is_gzipped_for_who_accepts_it(api, path):
    await api.publish("x" * 1000)
    plain = await api.get(path, who="alice")
    packed = await api.get(path, who="alice", headers=ACCEPT)
    for answer in (plain, packed):
        assert "Accept-Encoding" in answer.headers["vary"]
    assert packed.headers["content-encoding"] == "gzip"
    assert int(packed.headers["content-length"]) == len(packed.body) < len(plain.body)
    assert json.loads(gzip.decompress(packed.body)) == plain.json
    assert "content-encoding" not in plain.headers
    head = await api.request("HEAD", path, who="alice", headers=ACCEPT)
    assert (head.headers["content-length"], head.body) == (packed.headers["content-length"], b"")
    assert head.headers["content-encoding"] == "gzip"


@pytest.mark.parametrize(("min_bytes", "is_packed"), [(-1, True), (0, False), (1, False)])
async def test_an_answer_is_gzipped_above_the_limit(start_server, min_bytes, is_packed):
    """P4, at n-1, n, n+1."""
    size = len(b'{"status":"ok"}')
    api = await start_server(gzip_min_bytes=size + min_bytes)
    answer = await api.get("/healthz", who=None, headers=ACCEPT)
    assert ("content-encoding" in answer.headers) is is_packed


async def test_problem_documents_are_gzipped_too(start_server):
    api = await start_server(gzip_min_bytes=50)
    answer = await api.get("/sessions/s", who=None, headers=ACCEPT)
    assert answer.status == 401 and answer.headers["content-encoding"] == "gzip"
    assert json.loads(gzip.decompress(answer.body))["status"] == 401


async def test_a_304_and_a_204_have_nothing_to_pack(api):
    first = await api.get("/sessions/s", who="alice", headers=ACCEPT)
    again = await api.get("/sessions/s", who="alice", headers=ACCEPT | {"If-None-Match": first.headers["etag"]})
    empty = await api.poll("timeout=0", headers=ACCEPT)
    for answer, status in ((again, 304), (empty, 204)):
        assert (answer.status, answer.body) == (status, b"")
        assert "content-encoding" not in answer.headers
        assert "Accept-Encoding" in answer.headers["vary"]


async def test_a_stream_is_never_packed(api):
    async with api.stream("from=earliest", headers=ACCEPT) as stream:
        assert "content-encoding" not in stream.headers
        assert (await stream.until("connected")).data["sessionId"] == "s"


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ("gzip", True),
        ("GZIP", True),
        ("x-gzip", True),
        ("br, gzip;q=0.5", True),
        ("gzip;q=0.5, identity", True),
        ("*", True),
        ("gzip;q=0.001", True),
        ("", False),
        ("br", False),
        ("identity", False),
        ("gzip;q=0", False),
        ("gzip;q=0.000", False),
        ("*;q=0", False),
        ("gzip;q=0, *", False),
        ("*;q=0, gzip", True),
        ("gzip;q=x", False),
        (";;;,,,", False),
    ],
)
def test_who_accepts_gzip(field, expected):
    assert accepts_gzip(field) is expected


@pytest.mark.parametrize(
    ("field", "weight"),
    [
        ("", 1),
        ("text/html", 1),
        ("text/*;q=0.5", 0.5),
        ("*/*;q=0.1, text/html;q=0.7, text/*;q=0.3", 0.7),
        ("application/json", 0),
        ("text/html;q=0", 0),
        ("text/html;level=1;q=0.4", 0.4),
    ],
)
def test_how_much_a_media_type_is_wanted(field, weight):
    assert weigh(field, "text/html") == weight
    assert accepts(field, "text/html") is (weight > 0)


# What comes in


def test_gzip_may_come_in_several_members():
    """RFC 1952 section 2.2."""
    assert inflate(gzip.compress(b"one ") + gzip.compress(b"two"), "gzip", 100) == b"one two"
    with pytest.raises(TooLarge):
        inflate(gzip.compress(b"x" * 60) + gzip.compress(b"x" * 60), "gzip", 100)


@pytest.mark.parametrize("count", [MAX_MEMBERS - 1, MAX_MEMBERS, MAX_MEMBERS + 1])
def test_gzip_has_so_many_members_and_no_more(count):
    """P4: each costs a copy of what is left."""
    body = gzip.compress(b"x") * count
    if count <= MAX_MEMBERS:
        assert inflate(body, "gzip", 1000) == b"x" * count
    else:
        with pytest.raises(Malformed, match=f"more than {MAX_MEMBERS} gzip members"):
            inflate(body, "gzip", 1000)


@pytest.mark.parametrize("size", [99, 100, 101])
@pytest.mark.parametrize(("encoding", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
def test_the_limit_counts_what_a_body_inflates_to(encoding, pack, size):
    """P4."""
    if size <= 100:
        assert inflate(pack(b"x" * size), encoding, 100) == b"x" * size
    else:
        with pytest.raises(TooLarge):
            inflate(pack(b"x" * size), encoding, 100)


@pytest.mark.parametrize(("encoding", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
def test_a_bomb_is_refused_before_it_takes_memory(encoding, pack):
    """P4."""
    bomb = pack(bytes(64 << 20))
    tracemalloc.start()
    with pytest.raises(TooLarge):
        inflate(bomb, encoding, 1 << 20)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 << 20


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"x",
        gzip.compress(b"whole", mtime=0)[:-1],
        gzip.compress(b"whole", mtime=0) + b"junk",
        gzip.compress(b"whole", mtime=0) + gzip.compress(b"half", mtime=0)[:10],
        zlib.compress(b"zlib"),
    ],
)
def test_what_is_not_whole_gzip_is_malformed(body):
    """P7."""
    with pytest.raises(Malformed):
        inflate(body, "gzip", 100)
