"""How long a client waits: before it tries again, before it polls again, before it probes a better tier.

Numbers of DESIGN section 5.  Randomness is an argument: a number of at least 0 and below 1.

No I/O, no clock, no event loop.
"""

from __future__ import annotations

from rtserver.client.machine import Tier

FIRST_RETRY_SECONDS = 5.0
FIRST_RETRY_LONG_POLL_SECONDS = 2.0
MAX_RETRY_SECONDS = 60.0
PROMOTION_MINUTES = (1, 5, 15, 30, 60)
MIN_POLL_SECONDS, MAX_POLL_SECONDS, DEFAULT_POLL_SECONDS = 3.0, 10.0, 5.0
# What networks let be held differs: most allow half a minute, and those that do not say so by cutting.
FIRST_HOLD_SECONDS, MIN_HOLD_SECONDS, MAX_HOLD_SECONDS = 10, 5, 25
GOOD_HOLDS = 5
# Silences of about the same length before a cut, and longer than messages leave between them.
SAME_SILENCE_SECONDS, MIN_SILENCE_SECONDS = 1.0, 5.0
# What a server takes (DESIGN 4.4).
MIN_HEARTBEAT_SECONDS, MAX_HEARTBEAT_SECONDS = 5, 60


class Retries:
    """The delays of attempts that follow each other; `settle` begins anew."""

    def __init__(self) -> None:
        self._count = 0
        self._told_seconds: float | None = None
        self._floor_seconds = 0.0

    def settle(self) -> None:
        self._count = 0
        self._floor_seconds = 0.0

    def tell(self, retry_ms: int | None) -> None:
        """Take a ``retry:`` of a stream: the first delay from now on."""
        if retry_ms is not None:
            self._told_seconds = min(retry_ms / 1000, MAX_RETRY_SECONDS)

    def floor(self, seconds: float | None) -> None:
        """Take a ``Retry-After``: the next delay is not shorter."""
        self._floor_seconds = max(self._floor_seconds, seconds or 0.0)

    def next(self, tier: Tier, random: float) -> float:
        """Return the next delay in seconds: doubled every time, up to a minute, never the same for everybody."""
        first = FIRST_RETRY_SECONDS if self._told_seconds is None else self._told_seconds
        if tier is Tier.LONG_POLL:
            first = FIRST_RETRY_LONG_POLL_SECONDS
        seconds = min(MAX_RETRY_SECONDS, max(first, 0.1) * float(1 << self._count))
        self._count = min(self._count + 1, 20)
        floor, self._floor_seconds = self._floor_seconds, 0.0
        # What was told is waited for, and who was told the same does not come back in one wave.
        return max(seconds * (0.8 + 0.4 * random), floor * (1 + 0.2 * random))


class Promotions:
    """When a better tier is probed again, the first time, the second time, and in the end every hour.

    `settle` begins anew: one was found, and if it is lost that is soon over, perhaps.
    """

    def __init__(self) -> None:
        self._count = 0

    def settle(self) -> None:
        self._count = 0

    def next(self, random: float) -> float:
        minutes = PROMOTION_MINUTES[min(self._count, len(PROMOTION_MINUTES) - 1)]
        self._count += 1
        return minutes * 60 * (0.8 + 0.4 * random)


class Heartbeat:
    """Which heartbeat to ask for, ``seconds``: None is the server's own, until the network closes what is silent."""

    def __init__(self) -> None:
        self.seconds: int | None = None
        self._silent_seconds: float | None = None

    def was_cut(self, silent_seconds: float) -> None:
        """A stream was cut after so much silence: twice after the same is no accident."""
        before, self._silent_seconds = self._silent_seconds, silent_seconds
        is_same = before is not None and abs(silent_seconds - before) <= SAME_SILENCE_SECONDS
        if is_same and silent_seconds >= MIN_SILENCE_SECONDS:
            self.seconds = max(
                MIN_HEARTBEAT_SECONDS, min(int(silent_seconds / 2), self.seconds or MAX_HEARTBEAT_SECONDS)
            )


class Hold:
    """For how many seconds a long poll asks to be held: less where the network cuts, more where it does not."""

    def __init__(self) -> None:
        self.seconds = FIRST_HOLD_SECONDS
        self._good = 0
        self._cut_seconds = MAX_HOLD_SECONDS + 1

    def lasted(self) -> None:
        """A poll was held to its end."""
        self._good += 1
        if self._good >= GOOD_HOLDS:
            self._good = 0
            self.seconds = min(self.seconds + 5, MAX_HOLD_SECONDS, max(self.seconds, self._cut_seconds - 1))

    def was_cut(self, after_seconds: float) -> None:
        """A poll was cut, or answered by something on the way, after so long."""
        if after_seconds >= MIN_HOLD_SECONDS:
            self._cut_seconds = min(self._cut_seconds, round(after_seconds))
        self._good = 0
        self.seconds = max(MIN_HOLD_SECONDS, min(self.seconds, int(0.7 * after_seconds)))


def slow_retry_seconds(random: float) -> float:
    """Return the delay while the network blocks us, or is said to be off."""
    return 30 + 30 * random


def poll_seconds(told: object) -> float:
    """Return after how long to poll again, from what the server suggests."""
    try:
        seconds = float(str(told))
    except ValueError:
        return DEFAULT_POLL_SECONDS
    return min(max(seconds, MIN_POLL_SECONDS), MAX_POLL_SECONDS) if seconds == seconds else DEFAULT_POLL_SECONDS
