"""The smuggling corpus: requests whose end two readers could see in different places, and sound ones beside them.

Each entry is what a client sends and what must come of it.  `FOLLOWER` is sent behind every one: it is answered where
the entry leaves the connection open, and never where it does not.  Everything else about HTTP is in test_framing.py.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import NamedTuple

from rtserver.framing import MAX_CHUNK_LINE_BYTES, MAX_FIELDS, MAX_HEAD_BYTES, MAX_TARGET_BYTES, MAX_TRAILER_BYTES

FOLLOWER = b"GET /after HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
AFTER = ("GET", "/after", "")


class End(Enum):
    """What becomes of the connection behind an entry that is not refused."""

    GOES_ON = "goes on"
    CLOSES = "closes"
    WAITS = "waits for more"  # what follows is part of the body that was announced


class Entry(NamedTuple):
    name: str
    raw: bytes
    asked: tuple[tuple[str, str, str], ...]  # the requests in it that are answered: method, target, body
    end: End | int  # or the status with which the rest is refused and the connection closed

    @property
    def sent(self) -> bytes:
        return self.raw + FOLLOWER

    @property
    def answers(self) -> list[list[str] | int]:
        """What the server of `tests.echo` answers; an answer to HEAD shows its status alone."""
        asked = self.asked + ((AFTER,) if self.end is End.GOES_ON else ())
        shown: list[list[str] | int] = [200 if each[0] == "HEAD" else list(each) for each in asked]
        return shown + ([self.end] if isinstance(self.end, int) else [])


def head(first: str, *lines: str, host: str | None = "Host: x") -> bytes:
    return "\r\n".join([first, *([host] if host is not None else []), *lines, "", ""]).encode("latin1")


def get(target: str, *lines: str) -> bytes:
    return head(f"GET {target} HTTP/1.1", *lines)


def post(*lines: str, body: bytes = b"abc", host: str | None = "Host: x") -> bytes:
    return head("POST /p HTTP/1.1", *lines, host=host) + body


def chunked(body: bytes) -> bytes:
    return post("Transfer-Encoding: chunked", body=body)


ABC = ("POST", "/p", "abc")
CHUNKS = b"3\r\nabc\r\n0\r\n\r\n"
INNER = b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
H2C = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__")


Asked = tuple[str, str, str]


def _asked(*asked: Asked, end: End | int = End.GOES_ON) -> tuple[tuple[Asked, ...], End | int]:
    return asked, end


GET_A = _asked(("GET", "/a", ""))
POST_ABC = _asked(ABC)
POST_INNER = _asked(("POST", "/p", INNER.decode()))

# Understood: what is asked, and that the next request begins where it should.
SOUND = {
    "a GET": (get("/a"), GET_A),
    "a HEAD": (head("HEAD /a HTTP/1.1"), _asked(("HEAD", "/a", ""))),
    "three GETs in one": (get("/1") + get("/2") + get("/3"), _asked(*(("GET", f"/{n}", "") for n in (1, 2, 3)))),
    "a GET behind a HEAD": (head("HEAD /a HTTP/1.1") + get("/b"), _asked(("HEAD", "/a", ""), ("GET", "/b", ""))),
    "a GET with a body": (get("/a", "Content-Length: 3") + b"abc", _asked(("GET", "/a", "abc"))),
    "a GET with chunks": (get("/a", "Transfer-Encoding: chunked") + CHUNKS, _asked(("GET", "/a", "abc"))),
    "a DELETE with a body": (head("DELETE /d HTTP/1.1", "Content-Length: 1") + b"x", _asked(("DELETE", "/d", "x"))),
    "what the server can": (head("OPTIONS * HTTP/1.1"), _asked(("OPTIONS", "*", ""))),
    "a method that nobody has": (head("PROPFIND /a HTTP/1.1"), _asked(("PROPFIND", "/a", ""))),
    "a method that begins with a digit": (head("1GET /a HTTP/1.1"), _asked(("1GET", "/a", ""))),
    "a length": (post("Content-Length: 3"), POST_ABC),
    "a length of 0": (post("Content-Length: 0", body=b""), _asked(("POST", "/p", ""))),
    "no length": (post(body=b""), _asked(("POST", "/p", ""))),
    "a length with zeros before": (post("Content-Length: 003"), POST_ABC),
    "a length in lower case": (post("content-length:3"), POST_ABC),
    "a length among spaces": (post("Content-Length:  3 \t"), POST_ABC),
    "a body that looks like a request": (post(f"Content-Length: {len(INNER)}", body=INNER), POST_INNER),
    "a chunk that looks like a request": (chunked(b"%x\r\n%b\r\n0\r\n\r\n" % (len(INNER), INNER)), POST_INNER),
    "chunks": (chunked(CHUNKS), POST_ABC),
    "many chunks": (chunked(b"1\r\na\r\n1\r\nb\r\n1\r\nc\r\n0\r\n\r\n"), POST_ABC),
    "no chunk but the last": (chunked(b"0\r\n\r\n"), _asked(("POST", "/p", ""))),
    "sizes in capitals": (chunked(b"A\r\n0123456789\r\n0\r\n\r\n"), _asked(("POST", "/p", "0123456789"))),
    "sizes with zeros before": (chunked(b"0003\r\nabc\r\n000\r\n\r\n"), POST_ABC),
    "chunked in capitals": (post("TRANSFER-ENCODING: CHUNKED", body=CHUNKS), POST_ABC),
    "chunked behind a tab": (post("Transfer-Encoding:\tchunked", body=CHUNKS), POST_ABC),
    "a chunk extension": (chunked(b"3;name=value\r\nabc\r\n0;x\r\n\r\n"), POST_ABC),
    "a quoted chunk extension": (chunked(b'3; a="b;c" \t\r\nabc\r\n0\r\n\r\n'), POST_ABC),
    "trailers": (chunked(b"3\r\nabc\r\n0\r\nX-Sum: 1\r\nX-More: 2\r\n\r\n"), POST_ABC),
    "a length and a host in the trailer": (chunked(b"3\r\nabc\r\n0\r\nContent-Length: 9\r\nHost: y\r\n\r\n"), POST_ABC),
    "an upgrade to h2c with a body": (post(*H2C, "Content-Length: 3"), POST_ABC),
    "an upgrade to h2c with chunks": (post(*H2C, "Transfer-Encoding: chunked", body=CHUNKS), POST_ABC),
    "an upgrade to a web socket": (get("/a", "Connection: Upgrade", "Upgrade: websocket"), GET_A),
    "a body that waits for leave and comes": (post("Expect: 100-continue", "Content-Length: 3"), POST_ABC),
    "HTTP/1.0": (head("GET /a HTTP/1.0", host=None), _asked(("GET", "/a", ""), end=End.CLOSES)),
    "HTTP/1.0 with a body": (
        head("POST /p HTTP/1.0", "Content-Length: 3", host=None) + b"abc", _asked(ABC, end=End.CLOSES),
    ),
    "HTTP/1.0 that goes on": (
        head("POST /p HTTP/1.0", "Connection: keep-alive", "Content-Length: 3") + b"abc", POST_ABC,
    ),
    "the last request": (get("/a", "Connection: close"), _asked(("GET", "/a", ""), end=End.CLOSES)),
    "the last request with a body": (post("Connection: close", "Content-Length: 3"), _asked(ABC, end=End.CLOSES)),
    "empty lines before": (b"\r\n\r\n" + get("/a") + b"\r\n", GET_A),
    "the absolute form": (head("GET http://x/a HTTP/1.1"), GET_A),
    "the absolute form with another host": (head("GET http://y/a HTTP/1.1"), GET_A),
    "a name with underscores for chunks": (post("Transfer_Encoding: chunked", body=b""), _asked(("POST", "/p", ""))),
    "a name with underscores for a length": (post("Content_Length: 50", "Content-Length: 3"), POST_ABC),
    "a name that begins alike": (post("Content-Length-X: 9", "X-Content-Length: 9", "Content-Length: 3"), POST_ABC),
    "a length that the connection is to drop": (post("Connection: Content-Length", "Content-Length: 3"), POST_ABC),
    "chunks that the client would like": (post("TE: chunked, trailers", "Content-Length: 3"), POST_ABC),
    "another method in a header": (post("X-HTTP-Method-Override: GET", "Content-Length: 3"), POST_ABC),
    "an empty value": (get("/a", "X:"), GET_A),
    "letters beyond ASCII in a value": (get("/a", "X: \xe4\xff"), GET_A),
    "as many fields as are allowed": (get("/a", *(f"X{n}: y" for n in range(MAX_FIELDS - 1))), GET_A),
    "an address as long as is allowed": (
        get(f"/{'a' * (MAX_TARGET_BYTES - 1)}"), _asked(("GET", f"/{'a' * (MAX_TARGET_BYTES - 1)}", "")),
    ),
    "a head as long as is allowed": (
        get("/a", "X: " + "a" * (MAX_HEAD_BYTES - len(get("/a", "X: ")))), GET_A,
    ),
    "a chunk of four gigabytes": (chunked(b"100000003\r\nabc\r\n0\r\n\r\n"), _asked(end=End.WAITS)),
    "a length beyond all limits": (post("Content-Length: 18446744073709551619"), _asked(end=End.WAITS)),
}  # fmt: skip

# Refused with 400 by their lines.
LINES = {
    "two lengths": ("Content-Length: 3", "Content-Length: 4"),
    "two equal lengths": ("Content-Length: 3", "Content-Length: 3"),
    "two lengths far apart": ("Content-Length: 3", *(f"X{n}: y" for n in range(20)), "content-length: 0"),
    "a list of lengths": ("Content-Length: 3, 3",),
    "a length and a comma": ("Content-Length: 3,",),
    "a length with a plus": ("Content-Length: +3",),
    "a length below 0": ("Content-Length: -1",),
    "a length of minus 0": ("Content-Length: -0",),
    "a length in hex": ("Content-Length: 0x3",),
    "a length with a space in it": ("Content-Length: 3 3",),
    "a length with an underscore": ("Content-Length: 1_0",),
    "a length with a fraction": ("Content-Length: 3.0",),
    "a length with an exponent": ("Content-Length: 3e0",),
    "a length with a parameter": ("Content-Length: 3;x",),
    "a length in quotes": ('Content-Length: "3"',),
    "an empty length": ("Content-Length:",),
    "a superscript length": ("Content-Length: \xb3",),
    "a length of a hundred and one digits": (f"Content-Length: {'0' * 100}3",),
    "a length behind a vertical tab": ("Content-Length:\x0b3",),
    "a length and NUL": ("Content-Length: 3\x00",),
    "a space before the colon of a length": ("Content-Length : 3",),
    "a folded length": ("Content-Length:\r\n 3",),
    "a length before chunks": ("Content-Length: 3", "Transfer-Encoding: chunked"),
    "a length behind chunks": ("Transfer-Encoding: chunked", "Content-Length: 3"),
    "a length of 0 before chunks": ("Content-Length: 0", "Transfer-Encoding: chunked"),
    "chunked twice": ("Transfer-Encoding: chunked", "Transfer-Encoding: chunked"),
    "chunked twice in one": ("Transfer-Encoding: chunked, chunked",),
    "chunked and an unknown coding": ("Transfer-Encoding: chunked", "Transfer-Encoding: cow"),
    "an unknown coding and chunked": ("Transfer-Encoding: cow", "Transfer-Encoding: chunked"),
    "identity and chunked": ("Transfer-Encoding: identity, chunked",),
    "chunked and identity": ("Transfer-Encoding: chunked, identity",),
    "identity": ("Transfer-Encoding: identity",),
    "gzip and chunked": ("Transfer-Encoding: gzip, chunked",),
    "a coding that ends in chunked": ("Transfer-Encoding: xchunked",),
    "a coding that begins with chunked": ("Transfer-Encoding: chunkedx",),
    "chunked with a parameter": ("Transfer-Encoding: chunked;q=1",),
    "chunked in quotes": ('Transfer-Encoding: "chunked"',),
    "chunked in single quotes": ("Transfer-Encoding: 'chunked'",),
    "chunked and a comma": ("Transfer-Encoding: chunked,",),
    "a comma and chunked": ("Transfer-Encoding: ,chunked",),
    "no coding": ("Transfer-Encoding:",),
    "chunked behind a vertical tab": ("Transfer-Encoding:\x0bchunked",),
    "chunked before a form feed": ("Transfer-Encoding: chunked\x0c",),
    "chunked behind a byte that is no space": ("Transfer-Encoding: \xa0chunked",),
    "chunked and NUL": ("Transfer-Encoding: chunked\x00",),
    "NUL in the name of the coding": ("Transfer-\x00Encoding: chunked",),
    "a space before the colon of the coding": ("Transfer-Encoding : chunked",),
    "a tab before the colon of the coding": ("Transfer-Encoding\t: chunked",),
    "a space before the name of the coding": (" Transfer-Encoding: chunked",),
    "a folded coding": ("Transfer-Encoding:\r\n chunked",),
    "a coding in a folded line": ("X: y", "\tTransfer-Encoding: chunked"),
    "a coding behind a bare LF": ("X: y\nTransfer-Encoding: chunked",),
    "a coding behind a bare CR": ("X: y\rTransfer-Encoding: chunked",),
    "a bare CR before a line end": ("X: y\r",),
    "a length and a coding behind a bare LF": ("Content-Length: 3\nTransfer-Encoding: chunked",),
    "a folded value": ("X: a", " b"),
    "NUL in a value": ("X: a\x00b",),
    "a line without a colon": ("X",),
    "a line without a name": (": a",),
    "a name with a space": ("X Y: a",),
    "a name with a bracket": ("X[1]: a",),
    "a name beyond ASCII": ("Content-Length\xa0: 3",),
    "two hosts": ("Host: y",),
    "two equal hosts": ("Host: x",),
}

# Refused with 400 by the first line, or for what stands as the host.
FIRST = {
    "no version": "GET /a",
    "HTTP/0.9 in words": "GET /a HTTP/0.9",
    "HTTP/2.0": "GET /a HTTP/2.0",
    "the preface of HTTP/2": "PRI * HTTP/2.0",
    "HTTP/1.2": "GET /a HTTP/1.2",
    "HTTP/1.10": "GET /a HTTP/1.10",
    "a version in lower case": "GET /a http/1.1",
    "two spaces": "GET  /a HTTP/1.1",
    "a tab": "GET\t/a HTTP/1.1",
    "a space before the method": " GET /a HTTP/1.1",
    "a space behind the version": "GET /a HTTP/1.1 ",
    "a space in the address": "GET /a b HTTP/1.1",
    "NUL in the address": "GET /a\x00 HTTP/1.1",
    "a bare CR in the address": "GET /a\rb HTTP/1.1",
    "a bare CR behind the version": "GET /a HTTP/1.1\r",
    "a method with a bracket": "GE(T /a HTTP/1.1",
    "an address that is none": "GET a HTTP/1.1",
    "a tunnel": "CONNECT x:443 HTTP/1.1",
    "the absolute form of something else": "GET ftp://x/a HTTP/1.1",
    "two requests in a first line": "GET /a HTTP/1.1 GET /b HTTP/1.1",
}
HOSTS = {
    "no host": None,
    "a host with a space": "Host: x y",
    "a host with a comma": "Host: x, y",
    "a host with a path": "Host: x/y",
    "a host with a user": "Host: u@x",
    "a host with NUL": "Host: x\x00y",
    "a space before the colon of the host": "Host : x",
    "a folded host": "Host:\r\n x",
}

LONG_TRAILER = b"X: %b\r\n" % (b"y" * 200)
# Refused with 400 for their chunks.
CHUNKED = {
    "a size that is none": b"x\r\nabc\r\n0\r\n\r\n",
    "an empty size": b"\r\nabc\r\n0\r\n\r\n",
    "a size with 0x": b"0x3\r\nabc\r\n0\r\n\r\n",
    "a size with a plus": b"+3\r\nabc\r\n0\r\n\r\n",
    "a size below 0": b"-3\r\nabc\r\n0\r\n\r\n",
    "a size with an underscore": b"0_3\r\nabc\r\n0\r\n\r\n",
    "a size behind a space": b" 3\r\nabc\r\n0\r\n\r\n",
    "two sizes": b"3 3\r\nabc\r\n0\r\n\r\n",
    "a size that a computer cannot count": b"10000000000000003\r\nabc\r\n0\r\n\r\n",
    "a size of a hundred zeros": b"0" * 100 + b"3\r\nabc\r\n0\r\n\r\n",
    "a size that ends in LF": b"3\nabc\r\n0\r\n\r\n",
    "a size that ends in CR": b"3\rabc\r\n0\r\n\r\n",
    "a size that ends in CR CR LF": b"3\r\r\nabc\r\n0\r\n\r\n",
    "a chunk that ends in LF": b"3\r\nabc\n0\r\n\r\n",
    "a chunk that ends in CR": b"3\r\nabc\r0\r\n\r\n",
    "a chunk that ends in two bytes": b"3\r\nabcXX0\r\n\r\n",
    "a chunk longer than its size": b"3\r\nabcd\r\n0\r\n\r\n",
    "a chunk shorter than its size": b"4\r\nabc\r\n0\r\n\r\n",
    "the last size ends in LF": b"3\r\nabc\r\n0\n\r\n",
    "the last line ends in LF": b"3\r\nabc\r\n0\r\n\n",
    "an extension that ends in LF": b"3;a\nabc\r\n0\r\n\r\n",
    "an extension with a line in it": b"3;\nxx\r\nabc\r\n0\r\n\r\n",
    "an extension with a bare CR": b"3;a\rb\r\nabc\r\n0\r\n\r\n",
    "an extension with NUL": b"3;a\x00\r\nabc\r\n0\r\n\r\n",
    "an extension without a semicolon": b"3 a=b\r\nabc\r\n0\r\n\r\n",
    "an extension that is too long": b"3;" + b"a" * MAX_CHUNK_LINE_BYTES + b"\r\nabc\r\n0\r\n\r\n",
    "a trailer that ends in LF": b"3\r\nabc\r\n0\r\nX: y\n\r\n",
    "a trailer without a colon": b"3\r\nabc\r\n0\r\nX\r\n\r\n",
    "a folded trailer": b"3\r\nabc\r\n0\r\nX: y\r\n z\r\n\r\n",
    "a request as the trailer": b"3\r\nabc\r\n0\r\n" + INNER,
    "trailers that are too long": b"3\r\nabc\r\n0\r\n"
    + b"X: %b\r\n" % (b"y" * 200) * (MAX_TRAILER_BYTES // 205 + 1)
    + b"\r\n",
}

# Refused for other reasons, or behind requests that are answered.
OTHERS = {
    "no host in the absolute form": (head("GET http://x/a HTTP/1.1", host=None), _asked(end=400)),
    "all lines end in LF": (get("/a").replace(b"\r\n", b"\n"), _asked(end=400)),
    "the first line ends in LF": (get("/a").replace(b"\r\n", b"\n", 1), _asked(end=400)),
    "the head ends in LF": (get("/a")[:-2] + b"\n", _asked(end=400)),
    "a length and lines that end in LF": (
        post("Content-Length: 3").replace(b"\r\n", b"\n"), _asked(end=400),
    ),
    "chunks in HTTP/1.0": (
        head("POST /p HTTP/1.0", "Transfer-Encoding: chunked") + CHUNKS, _asked(end=400),
    ),
    "chunks in HTTP/1.0 that goes on": (
        head("POST /p HTTP/1.0", "Connection: keep-alive", "Transfer-Encoding: chunked") + CHUNKS, _asked(end=400),
    ),
    "TLS": (b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03", _asked(end=400)),
    "NUL": (b"\x00", _asked(end=400)),
    "a request behind an error": (b"GET /\r\n\r\n" + get("/b"), _asked(end=400)),
    "an error behind a request": (get("/a") + b"GET /\r\n\r\n" + get("/b"), _asked(("GET", "/a", ""), end=400)),
    "a bad chunk behind a request": (get("/a") + chunked(b"x\r\n"), _asked(("GET", "/a", ""), end=400)),
    "two lengths behind a body": (
        post("Content-Length: 3") + post("Content-Length: 3", "Content-Length: 3"), _asked(ABC, end=400),
    ),
    "a body longer than its length": (
        post("Content-Length: 2"), _asked(("POST", "/p", "ab"), ("cGET", "/after", ""), end=End.CLOSES),
    ),
    "a body longer than its length by a line": (
        post("Content-Length: 3", body=b"abc\x00\r\n"), _asked(ABC, end=400),
    ),
    "one field too many": (get("/a", *(f"X{n}: y" for n in range(MAX_FIELDS))), _asked(end=431)),
    "a thousand fields": (get("/a", *(f"X{n}: y" for n in range(1000))), _asked(end=431)),
    "an address one byte too long": (get(f"/{'a' * MAX_TARGET_BYTES}"), _asked(end=414)),
    "an address too long with NUL": (get(f"/{'a' * MAX_TARGET_BYTES}\x00"), _asked(end=414)),
    "a head one byte too long": (
        get("/a", "X: " + "a" * (MAX_HEAD_BYTES + 1 - len(get("/a", "X: ")))), _asked(end=431),
    ),
    "a head too long with LF LF": (get("/a", "X: \n\n" + "a" * MAX_HEAD_BYTES), _asked(end=400)),
    "a method too long": (head("A" * MAX_HEAD_BYTES + " /a HTTP/1.1"), _asked(end=431)),
}  # fmt: skip


def _entries() -> Iterable[Entry]:
    for name, (raw, (asked, end)) in (SOUND | OTHERS).items():
        yield Entry(name, raw, asked, end)
    refused = {name: post(*lines, body=CHUNKS) for name, lines in LINES.items()}
    refused |= {name: head(first) for name, first in FIRST.items()}
    refused |= {name: post("Content-Length: 3", host=host) for name, host in HOSTS.items()}
    refused |= {name: chunked(body) for name, body in CHUNKED.items()}
    for name, raw in refused.items():
        yield Entry(name, raw, (), 400)


CORPUS = {entry.name: entry for entry in _entries()}
assert len(CORPUS) == sum(map(len, (SOUND, OTHERS, LINES, FIRST, HOSTS, CHUNKED))), "each name is there once"
