"""nginx as the front of a server under test: a reverse proxy with a pool of one connection, shared by all clients.

Whoever disagrees with the server about where a request ends gives one client another one's answer.
"""

from __future__ import annotations

import asyncio
import json
import socket
from typing import Any, NamedTuple

from tests.networks.proxies import Nginx

NGINX = Nginx.program
MISSING = Nginx.missing()

# Whether nginx reads a request to its end before it sends it on, or sends it on as it comes.
MODES = {"whole": "on", "as it comes": "off"}

CONFIGURATION = """
log_format requests escape=json
    '{{"asked": ["$request_method", "$request_uri", "$request_body"], "upstream": "$upstream_status"}}';
access_log {place}/requests requests;
client_header_timeout 2s;
client_body_timeout 2s;
keepalive_timeout 2s;
client_body_buffer_size 128k;
client_header_buffer_size 80k;
large_client_header_buffers 4 80k;
upstream server {{
    server 127.0.0.1:{port};
    keepalive 1;
}}
server {{
    listen unix:{place}/front;
    location / {{
        proxy_pass http://server;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        proxy_set_header Host $http_host;
        proxy_request_buffering {buffering};
        proxy_next_upstream off;
    }}
}}
"""


class Forwarded(NamedTuple):
    """What nginx says of one request: method, target and body as it read them, and what it was answered."""

    asked: list[str]
    upstream: str  # the status; empty if the request was not sent on

    @property
    def is_answered(self) -> bool:
        return self.upstream == "200"


class Front(Nginx):
    """``with Front(port, mode) as front``: nginx before the server on a port, at a unix socket."""

    def __init__(self, port: int, mode: str) -> None:
        super().__init__(port)
        self._mode = mode
        self._read = 0

    def configuration(self) -> str:
        return CONFIGURATION.format(place=self.directory, port=self.upstream_port, buffering=MODES[self._mode])

    def _connect(self) -> None:
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(self.directory / "front"))

    async def connect(self) -> socket.socket:
        """Return a new connection to nginx."""
        client = socket.socket(socket.AF_UNIX)
        client.setblocking(False)
        await asyncio.get_running_loop().sock_connect(client, str(self.directory / "front"))
        return client

    async def exchange(self, sent: bytes) -> bytes:
        """Send on a connection of its own, and return all that comes until nginx closes it."""
        loop, written = asyncio.get_running_loop(), b""
        with await self.connect() as client:
            await loop.sock_sendall(client, sent)
            while data := await asyncio.wait_for(loop.sock_recv(client, 1 << 16), 15):
                written += data
        return written

    async def requests(self, last: str) -> list[Forwarded]:
        """Return what nginx says of the requests since it was asked before this, up to that for ``last``."""
        found: list[Forwarded] = []
        async with asyncio.timeout(10):
            while not found or found[-1].asked[1] != last:
                lines = (self.directory / "requests").read_text("latin1").splitlines()
                more: list[dict[str, Any]] = [json.loads(line) for line in lines[self._read :]]
                self._read += len(more)
                found += [Forwarded(**each) for each in more]
                if not more:
                    await asyncio.sleep(0.002)
        return found
