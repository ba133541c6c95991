"""The Python client: ``rtserver.client.connect`` (DESIGN section 5, docs/python-client.rst).

The same contract as the browser's: all tiers, fallback, one cursor, an outbox; through HTTP proxies, too.  It knows
nothing of the server in the same package but how a cursor is read.
"""

from rtserver.client.client import Client, connect
from rtserver.client.errors import (
    Blocked,
    ClientError,
    Closed,
    Misused,
    ProxyRefused,
    Refused,
    SignedOut,
    TimedOut,
    Unreachable,
)
from rtserver.client.machine import Tier
from rtserver.client.position import Event, Reset
from rtserver.client.status import Status
from rtserver.client.tokens import TokenSource

__all__ = [
    "Blocked",
    "Client",
    "ClientError",
    "Closed",
    "Event",
    "Misused",
    "ProxyRefused",
    "Refused",
    "Reset",
    "SignedOut",
    "Status",
    "Tier",
    "TimedOut",
    "TokenSource",
    "Unreachable",
    "connect",
]
