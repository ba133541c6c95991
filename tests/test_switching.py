"""P2 for one client that changes its tier all the time; ``make accept`` does a thousand switches."""

import pytest

from tests.switching import Switching


@pytest.mark.gen_test(timeout=90)
async def test_a_client_that_keeps_changing_its_tier_sees_everything_once_and_in_order(tmp_path):
    """P2: also across restarts and kills of the server."""
    report = await Switching(tmp_path).run(switches=150, restarts=3)
    print(report)
    assert report.violations == []
    assert report.switches >= 150 and report.restarts == 3 and min(report.tiers.values()) > 20
    assert report.seen >= report.published > 100
