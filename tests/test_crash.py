"""P1 and P2 across SIGKILL of the real program, with the judge of `tests.checker`."""

import pytest

from tests.crash import CrashRun


@pytest.mark.gen_test(timeout=120)
@pytest.mark.parametrize("seed", range(2))
async def test_nothing_acknowledged_is_lost_when_the_process_is_killed_under_load(tmp_path, seed):
    """P1, P2."""
    report = await CrashRun(tmp_path, seed=seed).run(rounds=3, acknowledged=300, in_flight=20)
    print(report)
    assert report.violations == []
    assert report.kills == 3 and report.min_in_flight >= 20 and report.retried > 0
