"""Every row of the matrix, and why it ends where it ends."""

from __future__ import annotations

from tests.networks.row import (
    LONG_POLL,
    NONE,
    SHORT_POLL,
    TO_LONG_POLL_SECONDS,
    TO_SHORT_POLL_SECONDS,
    Row,
    clean,
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


BUFFERED = "what a stream says does not arrive while it is open"
LATE = "what a stream says arrives in bursts, later than a long poll would bring it"
REFUSED = "streams are refused"
# Two silences of a watchdog, what comes before each, and the waiting between them.
TWO_SILENCES = 2 * (65 + 30) + 25
STEADY: Expected = {}

BUFFERS = (
    lasting("Responses held back to their end, head and all", "buffer-whole", long_poll(BUFFERED), is_quick=True),
    lasting("Bodies held back to their end", "buffer-body", long_poll(BUFFERED)),
    lasting("Bodies in blocks of 4 KB", "buffer-blocks:4096", long_poll(BUFFERED)),
    lasting("Bodies held back until 4 KB are together", "buffer-until:4096", long_poll(BUFFERED)),
    lasting("Bodies in bursts, every 5 s", "bursts:5", long_poll(LATE)),
    lasting(
        "Streams held back after 30 good seconds, again and again",
        "buffer-after:30",
        long_poll(BUFFERED, TWO_SILENCES, is_mute=False),
        TWO_SILENCES,
    ),
    sudden("Streams held back all at once", "buffer-whole", long_poll(BUFFERED, 90, seconds=90, is_mute=True)),
)

CUTS = (
    lasting("Responses ended after 20 s, as if complete", "cut-at:20", STEADY, 65, is_quick=True),
    lasting("Responses reset after 20 s", "cut-at-rst:20", STEADY, 65),
    lasting("Responses broken off after 20 s", "cut-at-truncated:20", STEADY, 65),
    sudden("Responses ended after 20 s, all at once", "cut-at:20", {"seconds": 65, "within": 0.5}),
    lasting("Responses ended after 3 s", "cut-early:3", long_poll("streams are cut before they are of use", 35), 50),
    lasting("Idle connections closed after 15 s", "idle-kill:15", STEADY, 90, publish_every=40),
    lasting("Idle connections closed after 8 s", "idle-kill:8", STEADY, 90, publish_every=40),
    lasting(
        "An answer within 12 s, or a page saying 504",
        "cap:12",
        long_poll("streams are cut after 12 s, again and again", 80),
        80,
    ),
    lasting(
        "A black hole after 30 s, again and again",
        "black-hole:30",
        long_poll("streams fall silent after 30 s", TWO_SILENCES),
        TWO_SILENCES,
    ),
    sudden("A black hole, all at once", "black-hole:0.1", short_poll("nothing passes", 0.5, seconds=75, is_mute=True)),
)

REFUSALS = (
    lasting("Streams refused with a page", "block-streams", long_poll(REFUSED, 3), is_quick=True),
    lasting(
        "A page in place of every answer",
        "block-page",
        {"tier": NONE, "within": 1, "allows": NONE, "why": "nothing passes"},
        first_data=200,
    ),
    lasting("A page in place of one answer in five", "block-page:1in5", STEADY, 60),
)

ROWS: tuple[Row, ...] = (clean("A clean path", is_quick=True), *BUFFERS, *CUTS, *REFUSALS)
