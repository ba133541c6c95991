"""What is said between who reads HTTP and those above: how long things may take, and where a request came from.

No I/O, no clock, no event loop.
"""

from __future__ import annotations

from typing import NamedTuple


class Timeouts(NamedTuple):
    """Seconds: for a whole head from its first byte, for a body, between requests, for a client that does not read."""

    head: float = 15.0
    body: float = 60.0
    idle: float = 75.0
    write: float = 60.0


class Context(NamedTuple):
    """Where a request came from, as Tornado's connections say it."""

    remote_ip: str
    protocol: str
