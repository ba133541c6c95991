"""What connections cost that say nothing, and many that come at once."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from bench.load import Load
from bench.runs import Figures
from bench.servers import ROOT, TLS, Server
from tests import siege

TLS_CONNECTIONS = 500
RUSH = 4000


def idle_memory(kind: type[Server]) -> Figures:
    with kind() as server:
        before = server.resident_bytes()
        with Load(server, rate=0, seconds=0, stream_count=10_000, settle=0) as load:
            load.run()
            # Heartbeats and the probe have come by then, and whatever they leave behind.
            time.sleep(3)
            return {
                "bytes": (server.resident_bytes() - before) / 10_000,
                "at_0_mb": before / 1e6,
                "at_10000_mb": server.resident_bytes() / 1e6,
            }


def kept_memory(kind: type[Server]) -> Figures:
    """What a connection costs that was answered and says nothing."""
    with kind() as server:
        question = server.question()
        before = server.resident_bytes()
        with Load(server, "requests", rate=0, seconds=0, connection_count=10_000, **question) as load:
            load.run()
            time.sleep(1)
            return {"bytes_kept": (server.resident_bytes() - before) / 10_000, "at_0_mb": before / 1e6}


def tls_memory(kind: type[Server]) -> Figures:
    """As `kept_memory`, through TLS."""
    with kind() as server:
        assert isinstance(server, TLS)
        # What the first ones cost is not theirs alone.
        few = server.kept_connections(50)
        before = server.resident_bytes()
        many = server.kept_connections(TLS_CONNECTIONS)
        figures = {"bytes_kept": (server.resident_bytes() - before) / TLS_CONNECTIONS, "at_0_mb": before / 1e6}
        for connection in (*few, *many):
            connection.close()
    return figures


def rush(kind: type[Server]) -> Figures:
    """So many connect at once and ask: until all are answered, and how long the server's loop was held meanwhile.

    By the means of ``make accept PART=wire``: a program that watches the loop of the server from within.
    """
    with tempfile.TemporaryDirectory(prefix="bench-", dir=ROOT / "build") as directory:
        found = siege.rush(Path(directory), RUSH)
    if found.served < RUSH:
        raise RuntimeError(f"not everybody was answered: {found}")
    return {"all_s": found.seconds, "loop_held_ms": found.longest_hold * 1000}
