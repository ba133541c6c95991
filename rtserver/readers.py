"""Who reads a session right now: an open stream, or a poll that waits.

State only.  What moves it is `rtserver.streams` and `rtserver.polls`.
"""

from __future__ import annotations

import asyncio
import enum
import math
from collections.abc import Callable
from typing import Protocol

from rtserver.cursor import Start
from rtserver.deflate import GzipBody

# After `connected`: a client that receives both apart has a path that does not hold streams back (DESIGN 4.4).
PROBE_SECONDS = 2.0


class Sink(Protocol):
    """Where a stream's bytes go.  Writing never blocks and never raises: a sink that is gone ignores it.

    ``is_paused`` is True while the reader does not take what was written already; then nothing more should be written.
    The sink calls ``on_resume`` when that ends, and ``on_lost`` when the reader has gone.
    """

    is_paused: bool
    is_chunked: bool
    is_closed: bool
    on_resume: Callable[[], None]
    on_lost: Callable[[], None]

    def write(self, payload: bytes) -> None: ...

    def close(self, payload: bytes) -> None:
        """Write the last bytes and close; give up on a reader that does not take them."""


class StreamState(enum.Enum):
    """
    | state     | events come   | socket full   | socket free again     | end |
    |-----------|---------------|---------------|-----------------------|-----|
    | LIVE      | LIVE, written | PAUSED        | -                     | ENDED |
    | PAUSED    | PAUSED        | -             | REPLAYING             | ENDED |
    | REPLAYING | REPLAYING     | PAUSED        | -                     | ENDED |

    REPLAYING becomes LIVE when nothing is left between the stream's cursor and the session's end.
    """

    REPLAYING = "replaying"
    LIVE = "live"
    PAUSED = "paused"
    ENDED = "ended"


class Stream:
    """One open SSE response: a cursor and a sink.

    ``sequence`` is what it has been served up to; while LIVE also ``live_index`` counts, which includes passing states.
    ``told_sequence`` is the newest id the reader was given; a filter makes it fall behind.
    """

    __slots__ = (
        "connection_id", "due_at", "ends_at", "expires_at", "gzip", "heartbeat_at", "heartbeat_seconds",
        "is_participant", "live_index", "paused_at", "probe_at", "sequence", "sink", "state", "subject",
        "told_sequence", "types",
    )  # fmt: skip

    def __init__(
        self,
        sink: Sink,
        *,
        connection_id: str,
        subject: str,
        is_participant: bool,
        types: frozenset[str] | None,
        heartbeat_seconds: float,
        ends_at: float,
        expires_at: float,
        opened_at: float,
        is_gzip: bool = False,
    ) -> None:
        """Moments are in seconds of the event loop's clock."""
        self.sink = sink
        self.connection_id = connection_id
        self.subject = subject
        self.is_participant = is_participant
        self.types = types
        self.heartbeat_seconds = heartbeat_seconds
        self.heartbeat_at = opened_at + heartbeat_seconds
        self.probe_at = opened_at + PROBE_SECONDS
        self.ends_at = ends_at
        self.expires_at = expires_at
        self.paused_at = math.inf
        self.due_at = math.inf
        self.state = StreamState.REPLAYING
        self.sequence = 0
        self.told_sequence = 0
        self.live_index = 0
        self.gzip = GzipBody() if is_gzip else None


class Poll:
    """One long or short poll, from its request to its answer.

    ``client_id`` names the client within its participant: a newer poll of the same client replaces an older one.
    ``linger_seconds`` is how much longer a poll that has waited gathers news, for clients far away.  A short poll has
    ``states_after_us``: it is shown the passing states published after that moment, typing with ``wants_typing``.
    """

    __slots__ = (
        "after", "client_id", "cursor", "deadline", "error", "expires_at", "expires_in_seconds", "is_participant",
        "is_replaced", "limit", "linger_seconds", "live_index", "start", "states_after_us", "subject",
        "timeout_seconds", "types", "until", "wants_typing", "with_progress", "_future", "_woken",
    )  # fmt: skip

    def __init__(
        self,
        start: Start,
        *,
        subject: str,
        is_participant: bool,
        timeout_seconds: float,
        expires_in_seconds: float,
        limit: int,
        types: frozenset[str] | None = None,
        client_id: str | None = None,
        linger_seconds: float = 0,
        states_after_us: int | None = None,
        wants_typing: bool = False,
    ) -> None:
        self.start = start
        self.subject = subject
        self.is_participant = is_participant
        self.timeout_seconds = timeout_seconds
        self.expires_in_seconds = expires_in_seconds
        self.limit = limit
        self.types = types
        self.client_id = client_id
        self.linger_seconds = linger_seconds
        self.states_after_us = states_after_us
        self.wants_typing = wants_typing
        self.live_index = 0  # of the session when the poll began
        self.after, self.cursor = 0, ""  # what it has been served up to
        self.deadline = self.expires_at = math.inf  # by the clock of the event loop
        self.until = math.inf  # when it is to be woken, while it waits; whoever owns it sees to that
        self.with_progress = False
        self.is_replaced = False
        self.error: Exception | None = None
        self._future: asyncio.Future[None] | None = None
        self._woken: Callable[[Poll], None] | None = None

    def renew(self, start: Start, expires_in_seconds: float) -> None:
        """Begin anew from another place, once it has been answered."""
        self.start, self.expires_in_seconds = start, expires_in_seconds
        self.with_progress = self.is_replaced = False
        self.error = None

    @property
    def is_waiting(self) -> bool:
        return self._future is not None or self._woken is not None

    async def wait(self, until: float) -> None:
        """Return at the next `wake`."""
        self._future, self.until = asyncio.get_running_loop().create_future(), until
        try:
            await self._future
        finally:
            self._future, self.until = None, math.inf

    def wait_for(self, until: float, woken: Callable[[Poll], None]) -> None:
        """Have ``woken`` called with the poll at the next `wake`."""
        self._woken, self.until = woken, until

    def wake(self, with_progress: bool = False) -> None:
        """Have the poll look again.  Of no effect while it is looking: it looks before it waits."""
        self.with_progress |= with_progress
        if self._woken is not None:
            woken, self._woken, self.until = self._woken, None, math.inf
            woken(self)
        elif self._future is not None and not self._future.done():
            self._future.set_result(None)

    def replace(self) -> None:
        self.is_replaced = True
        self.wake()

    def fail(self, error: Exception) -> None:
        """End the poll with ``error``."""
        self.error = error
        self.wake()
