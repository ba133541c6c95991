"""The load generator, run on the core that the server does not have."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

from bench.servers import ROOT, TICKS, WITH_US, Server

LOAD_CORE = "1"
TIMEOUT_SECONDS = 240
# What else runs on the machine may take so much of a core; a run with more of it is repeated, so many times.
MAX_OTHERS = 0.15
TRIES = 4

Found = dict[str, Any]


class Load:
    """One run of `bench/generator`: open everything, let the caller look at the server, go, and report."""

    def __init__(self, server: Server, kind: str = "streams", **parameters: object) -> None:
        self._server = server
        given = [f"{name}={value}" for name, value in ({"port": server.port} | parameters).items()]
        overridden = {name.partition("=")[0] for name in given}
        own = [each for each in server.load if each.partition("=")[0] not in overridden]
        self._command = ["taskset", "-c", LOAD_CORE, str(ROOT / "build/load"), kind, *own, *given]

    def __enter__(self) -> Load:
        self._process = subprocess.Popen(
            [*WITH_US, "timeout", str(TIMEOUT_SECONDS), *self._command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            self._expect("open")
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.terminate()  # `timeout` passes it on
            self._process.wait()
        self._process.stdout.close()

    def run(self) -> Found:
        """Let it go, and return what it found; everything stays open until this is left.

        Beside what the load says: ``server_cpu``, the server's seconds meanwhile, and ``others``, the share of one core
        that neither the server nor the load nor this process had.
        """
        assert self._process.stdin is not None and self._process.stdout is not None
        server, machine, own = self._server.cpu_seconds(), machine_cpu_seconds(), time.process_time()
        began_at = time.monotonic()
        self._process.stdin.write("go\n")
        self._process.stdin.flush()
        found: Found = json.loads(self._process.stdout.readline() or "{}")
        self._expect("done")
        found["server_cpu"] = self._server.cpu_seconds() - server
        others = machine_cpu_seconds() - machine - found["server_cpu"] - found["cpu"] - (time.process_time() - own)
        found["others"] = max(0.0, others / (time.monotonic() - began_at))
        return found

    def _expect(self, line: str) -> None:
        assert self._process.stdout is not None
        found = self._process.stdout.readline().strip()
        if found != line:
            raise RuntimeError(f"the load did not get to {line!r}: {found!r}")


def machine_cpu_seconds() -> float:
    """Return what all cores have worked until now, what the host took from them included."""
    user, nice, system, _idle, _waiting, *interrupts_and_steal = (
        int(ticks) for ticks in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]
    )
    return (user + nice + system + sum(interrupts_and_steal)) / TICKS


def undisturbed(run: Callable[[], Found]) -> Found:
    """Return what ``run`` finds when nothing else was busy on the machine; after so many tries, what it then found."""
    for tries in range(1, TRIES + 1):
        found = run()
        if found["others"] <= MAX_OTHERS:
            break
        again = "measured again" if tries < TRIES else "kept, since it will not stop"
        print(f"bench: something else took {found['others']:.0%} of a core: {again}", file=sys.stderr, flush=True)
    return found
