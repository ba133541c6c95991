"""The way from a client to the server: the hostile hop, alone or behind a real proxy, that also counts what passes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from tests.hostile import Hop
from tests.networks.row import Row


@dataclass
class Way:
    """``url`` is the server as seen through the network; ``proxy_url`` is what has to be asked, if anything has."""

    url: str
    hop: Hop
    proxy_url: str = ""

    def behave(self, behaviours: tuple[str, ...]) -> None:
        self.hop.set(*(behaviours or ("pass",)))

    def requests(self) -> list[float]:
        """Return when the requests came that the client sent to the API."""
        return [exchange.began_at for exchange in self.hop.exchanges if "/api/" in exchange.path]


@contextlib.asynccontextmanager
async def way(row: Row, server_port: int, directory: Path) -> AsyncIterator[Way]:
    """The network of a row, as it is at first."""
    async with Hop(server_port, *(row.phases[0].network or ("pass",))) as hop:
        if not row.proxy:
            yield Way(hop.url, hop)
            return
        async with _proxy(row.proxy, hop.port, directory) as (url, proxy_url):
            yield Way(url, hop, proxy_url)


@contextlib.asynccontextmanager
async def _proxy(name: str, upstream_port: int, directory: Path) -> AsyncIterator[tuple[str, str]]:
    from tests.networks.proxies import PROXIES

    product, kind = name.split()
    is_forward = product == "squid"
    product = product.partition("-")[0]
    directory.mkdir(parents=True)
    proxy = PROXIES[product](upstream_port, directory, kind=kind)
    await asyncio.to_thread(proxy.__enter__)
    try:
        yield (f"http://127.0.0.1:{upstream_port}", proxy.proxy_url) if is_forward else (proxy.url, "")
    finally:
        await asyncio.to_thread(proxy.__exit__, None, None, None)
