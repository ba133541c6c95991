"""P7 by thousands of generated requests at the real program; ``make accept`` does ten thousand."""

import pytest

from tests.generated import run


@pytest.mark.gen_test(timeout=120)
@pytest.mark.parametrize("seed", range(2))
async def test_no_generated_request_breaks_or_changes_anything_it_should_not(tmp_path, seed):
    """P7."""
    figures = await run(tmp_path, 1500, seed)
    print(figures)
    assert figures.violations == []
    assert figures.requests == 1500
    assert {200, 201, 204, 400, 401, 403, 404, 405} <= set(figures.statuses)
    assert figures.grown_descriptors <= 2
