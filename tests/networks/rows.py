"""Every row of the matrix, and why it ends where it ends."""

from __future__ import annotations

from tests.networks.row import LONG_POLL, TO_LONG_POLL_SECONDS, Row, clean, lasting

BUFFERED = "the stream is held back: what is written does not arrive while it is open"
STREAMS_BUFFERED: dict[str, object] = {
    "tier": LONG_POLL, "within": TO_LONG_POLL_SECONDS, "allows": LONG_POLL, "why": BUFFERED,
}  # fmt: skip

ROWS: tuple[Row, ...] = (
    clean("A clean path", is_quick=True),
    lasting("Responses held back to their end, head and all", "buffer-whole", STREAMS_BUFFERED, is_quick=True),
)
