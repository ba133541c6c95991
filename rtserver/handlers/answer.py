"""The frame of every answer: its headers, JSON, gzip, and 304 for who has it already (DESIGN 4).

Knows nothing of who asks, nor of refusals.
"""

from __future__ import annotations

import gzip
from typing import Any

import msgspec
from tornado.httputil import format_timestamp
from tornado.web import RequestHandler

from rtserver.conditional import Validators, is_not_modified, make_etag, validate
from rtserver.config import Config
from rtserver.handlers.api import Api
from rtserver.handlers.cors import cors_headers
from rtserver.handlers.negotiation import accepts_gzip
from rtserver.hub import Hub
from rtserver.session import Session

# Above this, text hardly shrinks further and each level doubles the time.
GZIP_LEVEL = 5

_encode = msgspec.json.Encoder().encode


class AnsweringHandler(RequestHandler):
    """One answer."""

    application: Api
    needs_token = True

    @property
    def hub(self) -> Hub:
        return self.application.hub

    @property
    def config(self) -> Config:
        return self.application.config

    def set_default_headers(self) -> None:
        self.set_header("Server", "rtserver")
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Cache-Control", "no-store")
        self._set_headers(self.cors_headers())
        # Every answer may be one with a body, which is gzipped for some.
        self.vary_on("Accept-Encoding")
        if self.needs_token:
            self.vary_on("Authorization")
            self.vary_on("Cookie")

    def cors_headers(self) -> dict[str, str]:
        return cors_headers(self.config.cors_origins, self.request.headers.get("Origin"))

    def _set_headers(self, headers: dict[str, str]) -> None:
        for name, value in headers.items():
            self.set_header(name, value)

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
        """Finish with a body, gzipped if that is worth it and wanted."""
        if len(body) > self.config.gzip_min_bytes and accepts_gzip(self.request.headers.get("Accept-Encoding", "")):
            self.set_header("Content-Encoding", "gzip")
            body = gzip.compress(body, GZIP_LEVEL, mtime=0)
        self.finish(body)

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
        self.set_header("Date", format_timestamp(validators.date_at))
        self.set_header("Last-Modified", format_timestamp(validators.last_modified_at))
        headers = self.request.headers
        if is_not_modified(validators, headers.get_list("If-None-Match"), headers.get_list("If-Modified-Since")):
            self.set_status(304)
            return True
        return False

    def compute_etag(self) -> str | None:
        # Tornado would hash every answer and send 304 on its own; validators here have rules (DESIGN 4.6).
        return None
