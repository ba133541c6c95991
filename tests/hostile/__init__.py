"""A network that is not on one's side: one proxy, each of its ports with its own ways to spoil what passes.

``Hop`` and ``HopThread`` are used by tests, ``python -m tests.hostile --help`` by hand.  In reading order: `messages`
(HTTP), `behaviour` (what one is), `way` (through them) and `hop` (the port), and the behaviours by what they touch:
`bodies`, `connections`, `timing`, `contents`, `answers`, `sharing`.
"""

from tests.hostile import answers, bodies, connections, contents, sharing, timing
from tests.hostile.behaviour import BEHAVIOURS, Behaviour, Exchange
from tests.hostile.hop import Hop
from tests.hostile.thread import HopThread

__all__ = [
    "BEHAVIOURS",
    "Behaviour",
    "Exchange",
    "Hop",
    "HopThread",
    "answers",
    "bodies",
    "connections",
    "contents",
    "sharing",
    "timing",
]
