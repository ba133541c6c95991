"""Squid, the proxy of many a bank, in a process of its own: basic authentication, absolute-form and CONNECT."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote

from tests.networks.proxies import Squid

# What squid asks about users and passwords, a line each, percent-encoded.
ASKED_FOR_PASSWORDS = """\
#!/bin/sh
while read -r line; do [ "$line" = '{user} {password}' ] && echo OK || echo ERR; done
"""

CONFIGURATION = """\
http_port 127.0.0.1:{port}
cache deny all
auth_param basic program {directory}/passwords
auth_param basic children 1
acl known proxy_auth REQUIRED
acl here dst 127.0.0.0/8
http_access allow known here
http_access deny all
"""


class SquidWithPasswords(Squid):
    def __init__(self, user: str, password: str) -> None:
        super().__init__(0)
        self._words = {"user": quote(user), "password": quote(password, safe=":")}

    def configuration(self) -> str:
        program = self.directory / "passwords"
        program.write_text(ASKED_FOR_PASSWORDS.format(**self._words))
        program.chmod(0o755)
        return CONFIGURATION.format(port=self.port, directory=self.directory)


@contextlib.asynccontextmanager
async def squid(user: str, password: str) -> AsyncIterator[tuple[int, Path]]:
    """Run squid until the end; gives its port and its log of what was asked."""
    proxy = SquidWithPasswords(user, password)
    await asyncio.to_thread(proxy.start)
    try:
        yield proxy.port, proxy.directory / "access.log"
    finally:
        await asyncio.to_thread(proxy.stop)
