"""A command and everything it starts: run to its end, or ended as a whole when its time is over."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple


class Ran(NamedTuple):
    """``status`` is None where the time was over first; ``shown`` is what came on both streams."""

    status: int | None
    shown: str

    @property
    def last_line(self) -> str:
        return (self.shown.strip().splitlines() or ["(nothing was shown)"])[-1]


def run(
    command: Sequence[str], seconds: float, cwd: Path, env: Mapping[str, str] | None = None, *, typed: str = ""
) -> Ran:
    """Run one command for at most so long; ``typed`` is what it reads."""
    # Files, not pipes: a grandchild that lives on would keep a pipe open, and the reader waiting.
    with tempfile.TemporaryFile("w+") as keyboard, tempfile.TemporaryFile("w+", errors="replace") as output:
        keyboard.write(typed)
        keyboard.seek(0)
        with subprocess.Popen(
            command, cwd=cwd, env=env, stdin=keyboard, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        ) as running:
            status = None
            try:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    status = running.wait(seconds)
            finally:
                if running.returncode is None:
                    os.killpg(running.pid, signal.SIGKILL)
        output.seek(0)
        return Ran(status, output.read())
