"""The load generator, run on the core that the server does not have."""

from __future__ import annotations

import json
import subprocess
from types import TracebackType
from typing import Any

from bench.servers import ROOT, Server

LOAD_CORE = "1"
TIMEOUT_SECONDS = 240


class Load:
    """One run of `bench/load.c`: open everything, let the caller look at the server, go, and report."""

    def __init__(self, server: Server, kind: str = "streams", **parameters: object) -> None:
        given = [f"{name}={value}" for name, value in ({"port": server.port} | parameters).items()]
        overridden = {name.partition("=")[0] for name in given}
        own = [each for each in server.load if each.partition("=")[0] not in overridden]
        self._command = ["taskset", "-c", LOAD_CORE, str(ROOT / "build/load"), kind, *own, *given]

    def __enter__(self) -> Load:
        self._process = subprocess.Popen(
            ["timeout", str(TIMEOUT_SECONDS), *self._command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._expect("open")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def run(self) -> dict[str, Any]:
        """Let it go, and return what it found; everything stays open until this is left."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write("go\n")
        self._process.stdin.flush()
        found: dict[str, Any] = json.loads(self._process.stdout.readline() or "{}")
        self._expect("done")
        return found

    def _expect(self, line: str) -> None:
        assert self._process.stdout is not None
        found = self._process.stdout.readline().strip()
        if found != line:
            raise RuntimeError(f"the load did not get to {line!r}: {found!r}")
