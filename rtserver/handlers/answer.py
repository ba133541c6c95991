"""The frame of every answer: its headers, JSON, gzip, and 304 for who has it already (DESIGN 4).

Knows nothing of who asks, nor of refusals.
"""

from __future__ import annotations

import functools
import gzip
from typing import Any

import msgspec
from tornado.httputil import HTTPConnection

from rtserver.conditional import Validators, is_not_modified, make_etag, validate
from rtserver.config import Config
from rtserver.handlers.api import Api
from rtserver.handlers.cors import cors_headers
from rtserver.handlers.exchange import Exchange, Headers, http_date
from rtserver.handlers.negotiation import accepts_gzip
from rtserver.hub import Hub
from rtserver.session import Session

# Above this, text hardly shrinks further and each level doubles the time.
GZIP_LEVEL = 5

# What every answer says.  It may be one with a body, which is gzipped for some.
COMMON = {
    "Server": "rtserver",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Vary": "Accept-Encoding",
}
PERSONAL = COMMON | {"Vary": "Accept-Encoding, Authorization, Cookie"}

_encode = msgspec.json.Encoder().encode


# Polls that waited at one cursor are sent the same bytes; looking them up costs a hundredth of compressing them.
@functools.lru_cache(maxsize=16)
def _gzipped(body: bytes) -> bytes:
    return gzip.compress(body, GZIP_LEVEL, mtime=0)


class AnsweringHandler(Exchange):
    """One answer."""

    needs_token = True

    def __init__(self, api: Api, connection: HTTPConnection, path_args: tuple[str, ...]) -> None:
        self.api = api
        super().__init__(connection, path_args)

    @property
    def hub(self) -> Hub:
        return self.api.hub

    @property
    def config(self) -> Config:
        return self.api.config

    def default_headers(self) -> Headers:
        headers = Headers(PERSONAL if self.needs_token else COMMON)
        if self.config.cors_origins:
            found = self.cors_headers()
            headers |= found | {"Vary": f"{found['Vary']}, {headers['Vary']}"}
        return headers

    def cors_headers(self) -> dict[str, str]:
        return cors_headers(self.config.cors_origins, self.request.headers.get("Origin"))

    def set_headers(self, headers: dict[str, str]) -> None:
        self._headers.update(headers)

    def vary_on(self, name: str) -> None:
        """Say that the answer depends on this request header (RFC 9110 section 12.5.5)."""
        others = self._headers.get("Vary", "")
        if name not in others.split(", "):
            self.set_header("Vary", f"{others}, {name}" if others else name)

    def answer(self, document: Any, status: int = 200) -> None:
        """Answer with a JSON document."""
        self.answer_json(_encode(document), status)

    def answer_json(self, body: bytes, status: int = 200) -> None:
        self.set_status(status)
        self.set_header("Content-Type", "application/json")
        self.send(body)

    def send(self, body: bytes) -> None:
        """End with a body, gzipped if that is worth it and wanted."""
        accepted = self.request.headers.get("Accept-Encoding")
        if accepted and len(body) > self.config.gzip_min_bytes and accepts_gzip(accepted):
            self.set_header("Content-Encoding", "gzip")
            body = _gzipped(body)
        self.end(body)

    def answer_if_changed(self, document: Any, session: Session) -> None:
        """Answer with a document about a session, or with 304 if the client has it."""
        body = _encode(document)
        self.set_header("Cache-Control", "no-cache, private")
        validators = validate(
            make_etag(body),
            session.modified_at_us,
            self.hub.writer.shown_until_us,
            # A removal that the disk has not taken yet has no time.
            by_etag_only=bool(session.unsaved_removals),
        )
        if not self.is_fresh(validators):
            self.answer_json(body)

    def is_fresh(self, validators: Validators) -> bool:
        """Send the validators, and say whether the client has this answer already: then it is a 304 (DESIGN 4.6)."""
        self.set_header("ETag", validators.etag)
        self.set_header("Date", http_date(validators.date_at))
        self.set_header("Last-Modified", http_date(validators.last_modified_at))
        headers = self.request.headers
        if is_not_modified(validators, headers.get_list("If-None-Match"), headers.get_list("If-Modified-Since")):
            self.set_status(304)
            return True
        return False
