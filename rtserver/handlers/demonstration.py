"""The pages of ``rtserver demo``, and its sign-in: whoever opens the demonstration may be anybody in it.

Served by nothing else than ``rtserver demo``, on data that are thrown away.
"""

from __future__ import annotations

from pathlib import Path

from rtserver.auth import Role, make_token, read_secret
from rtserver.errors import Malformed
from rtserver.handlers.base import BaseHandler
from rtserver.handlers.files import FolderHandler, files_of
from rtserver.publication import parse_object

# Short, so that a page that stays open shows how tokens are renewed.
TOKEN_SECONDS = 15 * 60
PEOPLE = ("alice", "bob")


class DemoFile(FolderHandler):
    folder = "demo"


class DemoPage(FolderHandler):
    """The chat."""

    folder = "demo"

    async def get(self, *path: str) -> None:
        self.send_file(files_of(self.folder)["index.html"])


class DemoToken(BaseHandler):
    """``POST {"participantId": "alice"}``: a token for one of the two people of the demonstration."""

    needs_token = False

    async def post(self) -> None:
        name = parse_object(self.body()).get("participantId")
        if name not in PEOPLE:
            raise Malformed(f"participantId must be one of {', '.join(PEOPLE)}")
        secret = read_secret(Path(self.config.data_dir))
        self.answer({"token": make_token(secret, str(name), Role.PARTICIPANT, TOKEN_SECONDS)}, 201)


def demo_routes(base_path: str) -> list[tuple[str, type[BaseHandler]]]:
    """Return the addresses that only the demonstration has."""
    return [
        (f"{base_path}/", DemoPage),
        (f"{base_path}/demo/token", DemoToken),
        (f"{base_path}/demo/([^/]+)", DemoFile),
    ]
