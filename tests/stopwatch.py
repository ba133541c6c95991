"""The real program with a stopwatch inside: ``python -m tests.stopwatch serve ...`` is ``rtserver serve ...``.

Writes each turn in which the event loop was held for long to the file that ``STOPWATCH`` names, as a line: when it
ended, by the monotonic clock of this machine, and how many seconds it took.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

from rtserver import turns
from rtserver.cli import main

# Shorter turns are not worth a line.
LONG_SECONDS = 0.01


class Stopwatch(turns.ShortTurns):
    """A selector that sees how long the loop was away between two looks at the sockets."""

    _file = open(os.environ.get("STOPWATCH", os.devnull), "a", buffering=1)  # noqa: SIM115, for the life of the process
    _back_at: float | None = None

    def select(self, timeout: float | None = None) -> list[Any]:
        now = time.monotonic()
        if self._back_at is not None and now - self._back_at > LONG_SECONDS:
            self._file.write(f"{now} {now - self._back_at}\n")
        try:
            return super().select(timeout)
        finally:
            self._back_at = time.monotonic()


def longest_hold(file: Path, began_at: float, ended_at: float) -> float:
    """Return the longest turn of the loop in seconds, of those that ended between two moments."""
    turns = [tuple(map(float, line.split())) for line in file.read_text().splitlines()]
    return max((seconds for at, seconds in turns if began_at <= at <= ended_at), default=0.0)


if __name__ == "__main__":
    turns.ShortTurns = Stopwatch  # type: ignore[misc]
    sys.exit(main())
