"""``GET /api/openapi.json``: the API, described for programs."""

from __future__ import annotations

from rtserver.handlers.base import BaseHandler
from rtserver.openapi import document


class Description(BaseHandler):
    needs_token = False

    async def get(self) -> None:
        self.set_header("Cache-Control", "no-cache")
        self.answer(document(self.config))
