"""Under siege an ordinary client is served; how fast, with thousands of them, is measured by ``make accept``."""

from __future__ import annotations

import asyncio

from tests import siege


def test_an_ordinary_client_fares_beside_hundreds_that_send_slowly_or_nothing(tmp_path):
    """P4: the real program."""
    figures = asyncio.run(siege.besiege(tmp_path, slow=300, silent=300, seconds=3, alone_seconds=1))

    assert figures.beside.median <= max(siege.MAX_FACTOR * figures.alone.median, siege.MAX_SECONDS)
    # Before their time is over nobody is put out.
    assert (figures.told, figures.closed) == (0, 0)
    assert figures.grown_bytes < 600 * 20_000


def test_all_that_connect_at_once_are_served(tmp_path):
    """P4: the real program."""
    figures = siege.rush(tmp_path, 500)

    assert figures.served == 500
