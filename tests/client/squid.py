"""Squid, the proxy of many a bank, in a process of its own: basic authentication, absolute-form and CONNECT."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote

SQUID = shutil.which("squid") or shutil.which("squid", path="/usr/sbin")
# What squid asks about users and passwords, a line each, percent-encoded.
ASKED_FOR_PASSWORDS = """\
#!/bin/sh
while read -r line; do [ "$line" = '{user} {password}' ] && echo OK || echo ERR; done
"""
ACCOUNT = "proxy"
START_SECONDS = 20

CONFIGURATION = """\
http_port 127.0.0.1:{port}
pid_filename {directory}/squid.pid
cache deny all
cache_log {directory}/cache.log
access_log stdio:{directory}/access.log
cache_store_log none
coredump_dir {directory}
shutdown_lifetime 0 seconds
auth_param basic program {directory}/passwords
auth_param basic children 1
acl known proxy_auth REQUIRED
acl here dst 127.0.0.0/8
http_access allow known here
http_access deny all
cache_effective_user {account}
hosts_file {directory}/hosts
"""


@contextlib.asynccontextmanager
async def squid(user: str, password: str) -> AsyncIterator[tuple[int, Path]]:
    """Run squid until the end; gives its port and its log of what was asked."""
    with tempfile.TemporaryDirectory(prefix="rtserver-squid-") as name:
        directory = Path(name)
        directory.chmod(0o755)
        if os.getuid() == 0:
            # It refuses to be root.
            shutil.chown(directory, ACCOUNT)
        async with _running(directory, user, password) as port:
            yield port, directory / "access.log"


@contextlib.asynccontextmanager
async def _running(directory: Path, user: str, password: str) -> AsyncIterator[int]:
    assert SQUID is not None
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (directory / "hosts").write_text("127.0.0.1 rt.example\n")
    program = directory / "passwords"
    program.write_text(ASKED_FOR_PASSWORDS.format(user=quote(user), password=quote(password, safe=":")))
    program.chmod(0o755)
    configuration = directory / "squid.conf"
    settings = {"port": port, "directory": directory, "account": ACCOUNT}
    configuration.write_text(CONFIGURATION.format(**settings))
    process = await asyncio.create_subprocess_exec(
        # Its own name: what it shares in memory has that in front.
        *(SQUID, "-N", "-n", f"rtserver{port}", "-f", str(configuration)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        await _answers(port, process)
        yield port
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.communicate()


async def _answers(port: int, process: asyncio.subprocess.Process) -> None:
    """Return when it takes connections."""
    async with asyncio.timeout(START_SECONDS):
        while True:
            if process.returncode is not None:
                raise AssertionError(f"squid did not start: {(await process.communicate())[0].decode()[-2000:]}")
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.transport.abort()
                await asyncio.sleep(0)
                return
            await asyncio.sleep(0.05)
