"""The matrix in two minutes: the networks that matter most, both clients behind each, all of them at once.

All of it is ``make networks``.  Real time: what a watchdog, a probe and a stream that is cut at 20 s take, they take.
"""

from __future__ import annotations

import asyncio

import pytest

from tests.browser import CHROMIUM as CHROMIUM_PATH
from tests.networks.judge import judge
from tests.networks.row import CHROMIUM, CLIENTS
from tests.networks.rows import QUICK, ROWS
from tests.networks.runner import run_all
from tests.networks.table import table

HEARTBEAT_SECONDS = 5


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory):
    """Run the quick rows with every client there is."""
    clients = [client for client in CLIENTS if client != CHROMIUM or CHROMIUM_PATH is not None]
    pairs = [(row, client) for row in QUICK for client in clients]
    running = run_all(pairs, tmp_path_factory.mktemp("matrix"), heartbeat_seconds=HEARTBEAT_SECONDS)
    return {(record.row.name, record.client): record for record in asyncio.run(running)}


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("name", [row.name for row in QUICK])
def test_a_client_behind_a_network_finds_its_tier_and_loses_nothing(records, name, client):
    if (name, client) not in records:
        pytest.skip("chromium is not installed (Debian package chromium)")

    assert judge(records[name, client]) == []


def test_the_table_has_a_line_for_each_network(records):
    made = table(list(records.values()))

    assert made.count("   * - ") == len(QUICK) + 1
    assert all(row.name in made for row in QUICK)


def test_every_lesser_tier_is_explained():
    lesser = [phase for row in ROWS for phase in row.phases if phase.tier != "sse"]

    assert lesser
    assert all(phase.why for phase in lesser)
    assert len({(row.name, client) for row in ROWS for client in row.clients}) == sum(len(row.clients) for row in ROWS)
