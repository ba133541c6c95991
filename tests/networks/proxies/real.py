"""One real proxy as a process: its directory, its port, when it is ready, what it said, its end.

Owns what all of them have in common.  It knows no directive of any proxy: what is written for whom, and in which file,
is in `programs` and in the files themselves.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import ClassVar, Self

from tests.peers import free_port

ROOT = Path(__file__).parents[3]
# Where the configuration of each kind is; the recommended ones are those that the documentation shows.
KINDS = {"default": Path(__file__).parent / "default", "recommended": ROOT / "docs" / "proxies"}
# What the files call the server behind the proxy.
SERVER = "127.0.0.1:8080"
START_SECONDS = 30
# They have nothing to lose, and some wait for streams, which have no end.
STOP_SECONDS = 0.5
# Whoever else looks for a free port may take the one that was found.
ATTEMPTS = 3


def find(program: str) -> str | None:
    """Return where a program is, or None; daemons are where few people's PATH leads."""
    return shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin")


def read(kind: str, file: str, own: dict[str, str]) -> str:
    """Return the file of a kind, with what a test has in place of the ports that people read there."""
    text = (KINDS[kind] / file).read_text()
    for literal, replacement in own.items():
        assert literal in text, f"{file} ({kind}) has no {literal!r}"
        text = text.replace(literal, replacement)
    return text


class RealProxy:
    """``with Nginx(port, kind="default") as proxy``: the server at ``port`` is then at ``proxy.url``, too.

    ``kind`` is "default", what the proxy does for those who set nothing, or "recommended", the file of docs/proxies.
    What it writes goes into ``directory``, or into one of its own that goes when it stops.
    """

    name: ClassVar[str]  # as people call it, and its file in ``default`` and docs/proxies
    file: ClassVar[str]
    package: ClassVar[str]  # of Debian
    program: ClassVar[str | None]
    asks_version: ClassVar[str] = "-v"
    listens: ClassVar[tuple[str, str]]  # the address in the file, and what stands there in a test

    def __init__(self, upstream_port: int, directory: Path | None = None, kind: str = "recommended") -> None:
        self.upstream_port = upstream_port
        self.kind = kind
        self.port = 0
        self._given_directory = directory
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """What a client is given instead of the server's own address."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def server(self) -> str:
        return f"127.0.0.1:{self.upstream_port}"

    @classmethod
    def missing(cls) -> str:
        return f"{cls.name} is not installed (Debian package {cls.package})"

    @classmethod
    def version(cls) -> str:
        """Return the version that is installed, as the program itself writes it."""
        assert cls.program is not None, cls.missing()
        told = subprocess.run([cls.program, cls.asks_version], capture_output=True, text=True, check=True)
        words = f"{told.stdout} {told.stderr}".replace("/", " ").split()
        return next(word for word in words if word[0].isdigit() and "." in word)

    def configuration(self) -> str:
        """Return the file of this kind, for the ports of this test."""
        literal, own = self.listens
        return read(self.kind, self.file, {literal: own.format(port=self.port), SERVER: self.server})

    def command(self) -> list[str]:
        """Return what to run; files that it names have been written to ``self.directory`` by now."""
        raise NotImplementedError

    def output(self) -> str:
        """Return the end of what it said and logged."""
        logs = [self.directory / "output", *sorted(self.directory.glob("*.log"))]
        return "\n".join(f"{log.name}:\n{log.read_text(errors='replace')[-2000:]}" for log in logs if log.exists())

    def start(self) -> None:
        """Return when it takes connections."""
        assert self.program is not None, self.missing()
        self.directory = self._given_directory or Path(tempfile.mkdtemp(prefix="rtserver-proxy-"))
        self.directory.mkdir(parents=True, exist_ok=True)
        for attempt in range(1, ATTEMPTS + 1):
            self.port = free_port()
            self._write()
            with (self.directory / "output").open("wb") as output:
                self._process = subprocess.Popen(
                    # A group of its own: some have children.
                    self.command(), stdout=output, stderr=subprocess.STDOUT, start_new_session=True
                )  # fmt: skip
            if self._is_ready():
                return
            said = self.output()
            self._end()
            if attempt == ATTEMPTS:
                self._clean()
                raise AssertionError(f"{self.name} did not start: {said}")

    def stop(self) -> None:
        self._end()
        self._clean()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *details: object) -> None:
        self.stop()

    def _write(self) -> None:
        (self.directory / self.file).write_text(self.configuration())

    def _connect(self) -> None:
        """Raise an OSError unless it takes connections."""
        socket.create_connection(("127.0.0.1", self.port), 5).close()

    def _is_ready(self) -> bool:
        assert self._process is not None
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                self._connect()
                # If it has ended, somebody else listens there.
                return self._process.poll() is None
            if self._process.poll() is not None:
                return False
            time.sleep(0.02)
        return False

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        # Children that their parent left.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)

    def _clean(self) -> None:
        if self._given_directory is None:
            shutil.rmtree(self.directory, ignore_errors=True)
