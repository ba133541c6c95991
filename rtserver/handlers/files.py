"""Files for browsers: the client's modules under ``/client/``, and the pages that come with the server.

Owns reading them from the package once, their types, tags and headers.  A name is looked up among the files that are
there; no path is made of it.
"""

from __future__ import annotations

import functools
import json
import time
from pathlib import Path
from typing import NamedTuple

from rtserver import diagnosis
from rtserver.conditional import Validators, is_not_modified, make_etag
from rtserver.errors import NotFound
from rtserver.handlers.base import BaseHandler

WEB = Path(__file__).parent.parent / "web"
TYPES = {
    ".js": "text/javascript; charset=utf-8",
    ".ts": "text/plain; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".svg": "image/svg+xml",
}
# Nothing inline, nothing from elsewhere, no text that becomes markup, and nobody's frame.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
)


class File(NamedTuple):
    body: bytes
    type: str
    etag: str


@functools.cache
def files_of(folder: str) -> dict[str, File]:
    """Return the files of one folder of `WEB` by name."""
    found = {}
    for path in sorted((WEB / folder).iterdir()):
        if path.suffix in TYPES:
            body = path.read_bytes()
            found[path.name] = File(body, TYPES[path.suffix], make_etag(body))
    return found


class FolderHandler(BaseHandler):
    """One folder of files; subclasses name it."""

    needs_token = False
    folder: str

    async def get(self, *path: str) -> None:
        name = path[0]
        file = files_of(self.folder).get(name)
        if file is None:
            raise NotFound(f"there is no file {name[:64]!r} here")
        self.send_file(file)

    def send_file(self, file: File) -> None:
        """Answer with a file, or with 304; browsers ask every time, so that an update of the server is one of all."""
        self.set_header("Cache-Control", "no-cache")
        self.set_header("ETag", file.etag)
        self.set_header("Cross-Origin-Resource-Policy", "cross-origin" if self.config.cors_origins else "same-origin")
        validators = Validators(file.etag, 0, None, int(time.time()))
        if is_not_modified(validators, self.request.headers.get_list("If-None-Match"), []):
            self.set_status(304)
            return
        self.set_header("Content-Type", file.type)
        if file.type.startswith("text/html"):
            self.set_header("Content-Security-Policy", POLICY)
            self.set_header("Referrer-Policy", "no-referrer")
        self.send(file.body)


class ClientFile(FolderHandler):
    """The browser client: ``/client/rtclient.js`` and the modules that it imports."""

    folder = "client"


class CheckFile(FolderHandler):
    """What the network check is made of."""

    folder = "diagnostics"

    async def get(self, *path: str) -> None:
        if path == ("causes.js",):
            self.send_file(causes_file())
        else:
            await super().get(*path)


class CheckPage(FolderHandler):
    """The network check, for people: ``/diagnostics``."""

    folder = "diagnostics"

    async def get(self, *path: str) -> None:
        self.send_file(files_of(self.folder)["index.html"])


@functools.cache
def causes_file() -> File:
    """Return what can be wrong, as a module: it comes with the page, since later nothing else may come through."""
    body = f"export const CAUSES = {json.dumps(diagnosis.templates(), indent=1)};\n".encode()
    return File(body, TYPES[".js"], make_etag(body))
