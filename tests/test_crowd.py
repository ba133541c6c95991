"""P4 with a crowd on the real program; ``make accept`` does the same with a thousand."""

import pytest

from tests.crowd import SS, measure

needs_ss = pytest.mark.skipif(SS is None, reason="ss is not installed (Debian package iproute2)")


@needs_ss
@pytest.mark.gen_test(timeout=90)
async def test_streams_that_never_read_cost_little_slow_nobody_and_miss_nothing(tmp_path):
    """P4: in the process and in the kernel."""
    figures = await measure(tmp_path, readers=100, stuck=40, events=100, size=20_000)
    print(figures)
    assert figures.missed == figures.disordered == 0
    assert figures.process_growth / figures.stuck < 200 << 10
    assert 0 < figures.kernel_max < 512 << 10
    # Far from 1 only if delivery waited for them; machines are noisy.
    assert figures.beside.median_ms < 3 * figures.alone.median_ms + 20
