"""Every row of the matrix, and why it ends where it ends."""

from __future__ import annotations

from tests.networks.proxied import PROXIED
from tests.networks.row import (
    CHROMIUM,
    LONG_POLL,
    NONE,
    PYTHON,
    SHORT_POLL,
    TO_LONG_POLL_SECONDS,
    TO_SHORT_POLL_SECONDS,
    Phase,
    Row,
    lasting,
    sudden,
)

Expected = dict[str, object]


def long_poll(why: str, within: float = TO_LONG_POLL_SECONDS, **more: object) -> Expected:
    """Return what is expected where streams cannot be."""
    return {"tier": LONG_POLL, "within": within, "allows": LONG_POLL, "why": why} | more


def short_poll(why: str, within: float = TO_SHORT_POLL_SECONDS, **more: object) -> Expected:
    """Return what is expected where nothing may be held."""
    return {"tier": SHORT_POLL, "within": within, "allows": SHORT_POLL, "why": why} | more


def nothing(why: str) -> Expected:
    """Return what is expected where nothing passes."""
    return {"tier": NONE, "within": 1, "allows": NONE, "why": why}


BUFFERED = "what a stream says does not arrive while it is open"
LATE = "what a stream says arrives in bursts, later than a long poll brings it"
REFUSED = "streams are refused"
EARLY = "streams are cut before they have lasted 20 s, again and again"
# Two silences of a watchdog, what comes before each, and the waiting between them.
TWO_SILENCES = 2 * (65 + 30) + 25
# A page that has begun with nothing waits for the network.
WHENEVER = {"first_data": 300.0}
STEADY: Expected = {}

BUFFERS = (
    lasting("Responses held back to their end, head and all", "buffer-whole", long_poll(BUFFERED)),
    lasting("Bodies held back to their end", "buffer-body", long_poll(BUFFERED)),
    lasting("Bodies in blocks of 4 KB", "buffer-blocks:4096", long_poll(BUFFERED)),
    lasting("Bodies held back until 4 KB are together", "buffer-until:4096", long_poll(BUFFERED)),
    lasting("Bodies in bursts, every 5 s", "bursts:5", long_poll(LATE)),
    lasting("What is not complete drips, a byte a second", "trickle:1", long_poll(BUFFERED)),
    lasting(
        "Streams held back after 30 good seconds, again and again",
        "buffer-after:30",
        long_poll(BUFFERED, TWO_SILENCES),
        TWO_SILENCES,
    ),
    sudden("Streams held back all at once", "buffer-whole", long_poll(BUFFERED, 90, seconds=90, is_mute=True)),
    lasting("Answers in chunks refused", "refuse-chunked", long_poll("streams come in chunks", 8)),
    lasting("Chunks gathered, with a Content-Length", "dechunk", long_poll(BUFFERED)),
    lasting("Bodies compressed, without flushing", "gzip", long_poll(BUFFERED), clients=(CHROMIUM,)),
    lasting("Bodies compressed, without flushing", "gzip", STEADY, clients=(PYTHON,)),
)

CUTS = (
    lasting("Responses ended after 20 s, as if complete", "cut-at:20", STEADY, 65),
    lasting("Responses reset after 20 s", "cut-at-rst:20", STEADY, 65),
    lasting("Responses broken off after 20 s", "cut-at-truncated:20", STEADY, 65),
    sudden("Responses ended after 20 s, all at once", "cut-at:20", {"seconds": 65, "within": 0.5}),
    lasting("Responses ended after 3 s", "cut-early:3", long_poll(EARLY, 40), 50),
    lasting("Streams reset after 16 s", "reset-stream:16", long_poll(EARLY, 80), 80),
    lasting("Idle connections closed after 15 s", "idle-kill:15", STEADY, 90, publish_every=40),
    lasting("Idle connections closed after 8 s", "idle-kill:8", STEADY, 90, publish_every=40),
    lasting("An answer within 12 s, or a page saying 504", "cap:12", long_poll(EARLY, 78), 80),
    lasting(
        "A black hole after 30 s, again and again",
        "black-hole:30",
        long_poll("streams fall silent after 30 s", TWO_SILENCES),
        TWO_SILENCES,
    ),
    sudden(
        "A black hole for all that is held, all at once",
        "hold-nothing",
        short_poll("nothing that is held is answered", 130, seconds=120, is_mute=True),
    ),
    sudden("A server that is away for 5 s", "restart:5", {"seconds": 30, "within": 0.5}, 20),
    sudden("A server that is away for 30 s", "gone", {"seconds": 30, "within": 0.5}, 20),
    sudden("Nothing passes for 40 s, then all of it", "freeze:40", {"seconds": 60, "within": 0.5}, 20),
)

REFUSALS = (
    lasting("Streams refused with a page", "block-streams", long_poll(REFUSED, 3)),
    lasting("Who asks for a stream gets a page", "block-accept:page", long_poll(REFUSED, 3)),
    lasting("Who asks for a stream gets no answer", "block-accept:drop", long_poll(REFUSED, 3)),
    lasting("A page in place of every answer", "block-page", nothing("a page of the network is no answer"), **WHENEVER),
    lasting("A page in place of one answer in five", "block-page:1in5", STEADY, 60),
    lasting("Streams in another type", "retype:text/plain", long_poll("what is no event stream is not read as one", 8)),
    lasting("Streams with a charset", "retype:text/event-stream;charset=utf-8", STEADY),
    lasting(
        "Redirected to a log-in elsewhere",
        "redirect-login",
        nothing("somebody has to sign in"),
        15,
        tried=True,
        back=10,
        **WHENEVER,
    ),
    lasting(
        "Redirected to a log-in on the same host",
        "redirect-same",
        nothing("somebody has to sign in"),
        15,
        tried=True,
        back=10,
        **WHENEVER,
    ),
    lasting("A proxy that wants a log-in", "proxy-auth", nothing("the proxy wants a log-in"), 20, back=30, **WHENEVER),
    lasting(
        "Every token refused", "unauthorised", nothing("somebody has to sign in"), 15, tried=True, back=10, **WHENEVER
    ),
    lasting("Too many requests, wait 5 s", "too-many:5", nothing("the server asks to wait"), 18, back=40, **WHENEVER),
    lasting(
        "Too many requests, wait for a day",
        "too-many:day",
        nothing("the server asks to wait"),
        18,
        tried=True,
        back=10,
        **WHENEVER,
    ),
    lasting(
        "Too many requests, wait for nobody knows",
        "too-many:garbage",
        nothing("the server asks to wait"),
        18,
        back=40,
        **WHENEVER,
    ),
    lasting("Unavailable, wait 5 s", "unavailable:5", nothing("the server asks to wait"), 18, back=40, **WHENEVER),
    lasting(
        "NTLM: each connection is asked twice who it is",
        "ntlm:6",
        {"within": 70, "why": "requests work once a connection has been let through"},
        75,
        clients=(CHROMIUM,),
        first_data=70,
    ),
    lasting(
        "NTLM: each connection is asked twice who it is",
        "ntlm:6",
        nothing("the proxy wants a log-in that the client does not know"),
        40,
        back=70,
        clients=(PYTHON,),
        **WHENEVER,
    ),
)

CHANGES = (
    lasting("HTTP/1.0", "http10", STEADY),
    lasting("HTTP/1.0 with keep-alive", "http10-keep-alive", STEADY),
    lasting("Byte by byte", "rechunk:1", STEADY),
    lasting("Ten pieces in one", "merge:10", STEADY),
    lasting("Last-Event-ID taken out", "strip:last-event-id", STEADY),
    lasting("X- headers taken out", "strip:x-", STEADY),
    lasting("Cache-Control taken out", "strip:cache-control", STEADY),
    lasting(
        "Cookies taken out",
        "strip:cookie",
        nothing("the cookie is who one is"),
        15,
        tried=True,
        back=10,
        clients=(CHROMIUM,),
        **WHENEVER,
    ),
    lasting("Cookies taken out, with a token", "strip:cookie", STEADY, with_token=True),
    lasting("Answers kept for 30 s, by address", "cache:30", STEADY),
    lasting("Answers kept for 30 s, whatever is asked", "cache-path:30", STEADY),
    lasting("Same requests answered as one", "collapse", STEADY),
    lasting("Answers kept, and streams refused", "cache:30 block-streams", long_poll(REFUSED, 3)),
    lasting(
        "Answers kept whatever is asked, and streams refused", "cache-path:30 block-streams", long_poll(REFUSED, 3)
    ),
    lasting("Same requests answered as one, and streams refused", "collapse block-streams", long_poll(REFUSED, 3)),
    lasting("Requests sent twice", "replay", STEADY, held=4),
    lasting("One connection", "one-connection", STEADY),
    lasting("Six connections", "six-connections", STEADY),
    lasting("A third of a second more for each round trip", "latency:0.3", STEADY),
    lasting("Two seconds more for each round trip", "latency:2", {"within": 20}, first_data=10),
    lasting("One piece in twenty 3 s late", "stalls:3", {"within": 20}, 60, first_data=10),
    lasting(
        "A script in what passes",
        "inject",
        nothing("what has something else in it is not read"),
        20,
        back=75,
        **WHENEVER,
    ),
)

# Behind a server whose heartbeats are 5 s apart: two minutes, all of them at once.
QUICK: tuple[Row, ...] = (
    Row("A clean path", (Phase(seconds=12, within=10),)),
    lasting("Responses held back to their end", "buffer-whole", long_poll(BUFFERED, 20), 22),
    lasting("Streams refused with a page", "block-streams", long_poll(REFUSED, 3), 12),
    lasting("Responses ended after 20 s", "cut-at:20", STEADY, 45),
    lasting("Responses ended after 3 s", "cut-early:3", long_poll(EARLY, 40), 40),
    sudden("Streams held back all at once", "buffer-whole", long_poll(BUFFERED, 45, seconds=45, is_mute=True), 8),
    sudden("A server that is away for 5 s", "restart:5", {"seconds": 25, "within": 0.5}, 8),
)

ROWS: tuple[Row, ...] = (
    Row("A clean path", (Phase(seconds=20),)), *BUFFERS, *CUTS, *REFUSALS, *CHANGES, *PROXIED
)  # fmt: skip
