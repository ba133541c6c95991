"""How requests that come again on a connection were dealt with: taken by what remembers them there, or read."""

from __future__ import annotations

from typing import Any

from tests.http import Connection

TAKEN = "taken"
READ = "read"


def recorded(monkeypatch: Any, handler: type, method: str, memory: type) -> list[str]:
    """Return a list to which each request adds which of the two it was: read by ``handler`` or taken by ``memory``."""
    ways: list[str] = []
    read, take = getattr(handler, method), memory.__call__

    def call(self: Any, request: bytes) -> bool:
        is_taken: bool = take(self, request)
        if is_taken:
            ways.append(TAKEN)
        return is_taken

    monkeypatch.setattr(handler, method, lambda self, *path: ways.append(READ) or read(self, *path))
    monkeypatch.setattr(memory, "__call__", call)
    return ways


class OnOneConnection:
    """A client that asks always in the same words, on one connection; ``who`` is whose token it shows."""

    def __init__(self, api: Any, ways: list[str], who: str | None, headers: dict[str, str] | None) -> None:
        self.api, self.ways = api, ways
        self.headers = api.headers(who) | (headers or {})
        self.connection = Connection(api.port)

    async def __aenter__(self) -> Any:
        await self.connection.__aenter__()
        return self

    async def __aexit__(self, *details: object) -> None:
        await self.connection.close()
