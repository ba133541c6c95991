"""The server's clock, which remembers how late it has been: the system's may step back (P8)."""

from __future__ import annotations

from collections.abc import Callable


class Clock:
    """Called, it gives microseconds since 1970; ``latest_us`` is the latest it ever gave."""

    def __init__(self, source: Callable[[], int]) -> None:
        self._source = source
        self.latest_us = 0

    def __call__(self) -> int:
        now_us = self._source()
        self.latest_us = max(self.latest_us, now_us)
        return now_us
