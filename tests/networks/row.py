"""A row of the matrix: a network, as it is and as it changes, and what is expected of a client behind it.

Knows no client and no proxy; `rows` says which there are.
"""

from __future__ import annotations

from dataclasses import dataclass

SSE, LONG_POLL, SHORT_POLL = "sse", "long-poll", "short-poll"
# No tier at all: nothing passes.
NONE = "none"
BEST_FIRST = (SSE, LONG_POLL, SHORT_POLL, NONE)
CHROMIUM, PYTHON = "Chromium", "Python"
CLIENTS = (CHROMIUM, PYTHON)

# A better tier is probed after a minute, give or take a fifth; it proves itself in two seconds.  The rest is the time
# of a busy machine.
ONE_PROBE_SECONDS = 72 + 2 + 6
# A stream is given up after 10 s, a long poll after 15 s, and the plain request in between takes a moment.
TO_LONG_POLL_SECONDS = 10 + 3
TO_SHORT_POLL_SECONDS = 10 + 15 + 4
# `connected` comes at once, `probe` two seconds later.
TO_SSE_SECONDS = 2 + 4
# A stream that was lost is opened again after 5 s, give or take the half of it.
RETRY_SECONDS = 7.5 + 2 + 4


@dataclass(frozen=True)
class Phase:
    """How the network behaves for at least ``seconds``, and where the client is to be at their end.

    ``tier`` is the one it ends on, not later than ``within`` seconds after the beginning; ``allows`` the best one that
    the network lets through, and ``why`` explains the difference.  ``is_mute`` says that a stream which worked falls
    silent with this phase: the watchdog has to notice.  ``is_tried``: somebody presses "Try now" when it begins.
    """

    network: tuple[str, ...] = ()
    seconds: float = 40
    tier: str = SSE
    within: float = TO_SSE_SECONDS
    allows: str = SSE
    why: str = ""
    is_mute: bool = False
    is_tried: bool = False

    @property
    def is_clean(self) -> bool:
        return not self.network


@dataclass(frozen=True)
class Row:
    """A network by its ``name``, and what happens in it.

    ``proxy`` is a real one (``nginx recommended``) where there is one; behaviours are those of the hostile hop.
    ``publish_every`` is in seconds.  ``first_data`` and ``held`` are bounds: seconds until the first event, and
    connections held at the same time (two while a better tier is probed beside the running one).
    """

    name: str
    phases: tuple[Phase, ...]
    proxy: str = ""
    clients: tuple[str, ...] = CLIENTS
    publish_every: float = 2.0
    first_data: float = 3.0
    held: int = 2
    with_token: bool = False


def lasting(
    name: str,
    behaviours: str,
    fault: dict[str, object],
    seconds: float = 40,
    *,
    back: float = 0,
    tried: bool = False,
    **options: object,
) -> Row:
    """Return a row of a network that is so from the beginning, until the fault is lifted; ``back`` within so long."""
    bad = Phase(tuple(behaviours.split()), seconds, **fault)  # type: ignore[arg-type]
    good = Phase(seconds=8, within=back or (ONE_PROBE_SECONDS if bad.tier != SSE else RETRY_SECONDS), is_tried=tried)
    return Row(name, (bad, good), **options)  # type: ignore[arg-type]


def sudden(name: str, behaviours: str, fault: dict[str, object], good_seconds: float = 30, **options: object) -> Row:
    """Return a row of a network that is good at first, then not, and good again."""
    bad = Phase(tuple(behaviours.split()), **fault)  # type: ignore[arg-type]
    good = Phase(seconds=8, within=ONE_PROBE_SECONDS)
    return Row(name, (Phase(seconds=good_seconds), bad, good), **options)  # type: ignore[arg-type]
