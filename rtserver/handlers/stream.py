"""``GET /api/sessions/{id}/events``: the event stream (DESIGN 4.4)."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager, nullcontext

from rtserver.access import using
from rtserver.errors import NotAcceptable, ReaderGone
from rtserver.handlers.base import SessionHandler
from rtserver.handlers.flow import framing, response_head, take_socket
from rtserver.handlers.negotiation import accepts, accepts_gzip
from rtserver.limits import Limiter
from rtserver.sse import Ending

HEADERS = {
    "Content-Type": "text/event-stream",
    "Cache-Control": "no-cache, no-store, no-transform, private",
    "X-Accel-Buffering": "no",
    "X-Content-Type-Options": "nosniff",
}
MIN_HEARTBEAT, MAX_HEARTBEAT = 5, 60


class Stream(SessionHandler):
    async def get(self, *path: str) -> None:
        self._check_accept()
        query = self.query
        types = query.event_types()
        heartbeat = query.integer("heartbeat", 0, MIN_HEARTBEAT, MAX_HEARTBEAT)
        start = query.start()
        session = await self.session()
        with using(session), self._place():
            opening = await self.hub.open_at(session, start)
            if opening is None:
                self.set_status(204)
            elif self.request.method == "HEAD":
                self.set_headers(self._stream_headers())
                self.end(says_length=False)
            else:
                try:
                    sink = await take_socket(self)
                except ReaderGone:
                    return
                if self.hub.is_draining:
                    self.hub.streams.refuse(sink, Ending.SHUTDOWN, preamble=self._head())
                    return
                self.hub.streams.open(
                    session,
                    sink,
                    subject=self.principal.subject,
                    is_participant=self.principal.is_participant,
                    expires_in_seconds=self.principal.expires_at - time.time(),
                    start=opening.start,
                    reset=opening.reset,
                    types=types,
                    heartbeat_seconds=heartbeat or None,
                    is_gzip=self._is_gzip,
                    preamble=self._head(),
                )

    def _place(self) -> AbstractContextManager[None]:
        """Keep a place for the stream; none is needed for one that is only told to go elsewhere."""
        if self.hub.is_draining or self.request.method == "HEAD":
            return nullcontext()
        return self.hub.streams.place(self.principal.subject, is_participant=self.principal.is_participant)

    def limiter(self) -> Limiter:
        is_new_stream = self.request.method == "GET"
        return self.api.stream_limiter if is_new_stream else super().limiter()

    def _check_accept(self) -> None:
        accept = self.request.headers.get("Accept", "")
        if not accepts(accept, "text/event-stream"):
            raise NotAcceptable(f"Accept is {accept[:100]!r}; this address offers text/event-stream")

    @property
    def _is_gzip(self) -> bool:
        # Who is only told to go elsewhere is told in plain words.
        is_wanted = self.config.sse_gzip and accepts_gzip(self.request.headers.get("Accept-Encoding", ""))
        return is_wanted and not self.hub.is_draining

    def _stream_headers(self) -> dict[str, str]:
        headers = HEADERS | ({"Content-Encoding": "gzip"} if self._is_gzip else {})
        return headers | framing(self.request.version)

    def _head(self) -> bytes:
        return response_head(self, self._stream_headers(), self._headers["Vary"])
