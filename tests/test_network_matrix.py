"""The matrix in two minutes: the networks that matter most, both clients behind each, all of them at once.

All of it is ``make networks``.  Real time: what a watchdog, a probe and a stream that is cut at 20 s take, they take.
"""

from __future__ import annotations

import asyncio

from tests.browser import CHROMIUM as CHROMIUM_PATH
from tests.networks.judge import judge
from tests.networks.row import CHROMIUM, CLIENTS
from tests.networks.rows import QUICK, ROWS
from tests.networks.runner import run_all
from tests.networks.table import table

HEARTBEAT_SECONDS = 5


def test_clients_behind_the_networks_that_matter_most_find_their_tier_and_lose_nothing(tmp_path):
    """P2.  One test, because all of them run at once."""
    clients = [client for client in CLIENTS if client != CHROMIUM or CHROMIUM_PATH is not None]
    pairs = [(row, client) for row in QUICK for client in clients]

    records = asyncio.run(run_all(pairs, tmp_path, heartbeat_seconds=HEARTBEAT_SECONDS))

    assert [found for record in records for found in judge(record)] == []
    made = table(records)
    assert made.count("   * - ") == len(QUICK) + 1
    assert all(row.name in made for row in QUICK)


def test_every_lesser_tier_is_explained():
    lesser = [phase for row in ROWS for phase in row.phases if phase.tier != "sse"]

    assert lesser
    assert all(phase.why for phase in lesser)
    assert len({(row.name, client) for row in ROWS for client in row.clients}) == sum(len(row.clients) for row in ROWS)
