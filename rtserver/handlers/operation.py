"""How the server is (DESIGN 4.9)."""

from __future__ import annotations

import time

from rtserver import __version__
from rtserver.errors import StorageFull
from rtserver.handlers.base import BaseHandler


class Alive(BaseHandler):
    """The process lives and its loop turns; for whoever restarts processes."""

    needs_token = False

    async def get(self) -> None:
        self.answer({"status": "ok"})


class Health(BaseHandler):
    """Whether this server should get traffic; for load balancers and monitors."""

    needs_token = False
    started_at = time.monotonic()

    async def get(self) -> None:
        trouble = self.hub.writer.trouble
        storage = "ok" if trouble is None else "full" if isinstance(trouble, StorageFull) else "failing"
        status = "draining" if self.hub.is_draining else "ok" if trouble is None else "degraded"
        self.answer(
            {
                "status": status,
                "checks": {"storage": storage, "draining": self.hub.is_draining},
                "version": __version__,
                "uptime": round(time.monotonic() - self.started_at, 3),
            },
            503 if self.hub.is_draining else 200,
        )
