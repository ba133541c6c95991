"""P1 to P5 and P8 in a simulated world: see `tests.simulation.world`.

A failing seed is printed; ``make simulate FIRST=<seed> COUNT=1`` runs it alone, and it is then added to KNOWN.
"""

import asyncio
import logging

import pytest

from tests.simulation.loop import Endless, SimulatedLoop
from tests.simulation.world import World, migrated_image, quiet

SCHEDULES = 2000
CHUNK = 125
# Seeds that once failed, with what they found.
KNOWN: dict[int, str] = {}


@pytest.fixture(scope="module")
def image():
    log = logging.getLogger("rtserver")
    level = log.level
    quiet()
    yield migrated_image()
    # Tests of what is logged may come after these in the same process.
    log.setLevel(level)


@pytest.mark.parametrize("first", range(0, SCHEDULES, CHUNK))
def test_no_schedule_loses_repeats_or_reorders_an_event(image, first):
    """P1, P2, P3."""
    outcomes = [World(seed, image).run() for seed in range(first, first + CHUNK)]
    failed = {outcome.seed: outcome.violations for outcome in outcomes if outcome.violations}
    assert not failed
    # And the schedules were not idle.
    assert sum(outcome.acknowledged for outcome in outcomes) > 20 * CHUNK
    assert sum(outcome.seen for outcome in outcomes) > 40 * CHUNK
    assert sum(outcome.crashes for outcome in outcomes) > CHUNK / 2
    assert sum(outcome.faults for outcome in outcomes) > CHUNK
    assert sum(outcome.gaps for outcome in outcomes) > CHUNK / 10


def test_the_same_seed_gives_the_same_schedule(image):
    assert [World(7, image).run(), World(11, image).run()] == [World(7, image).run(), World(11, image).run()]


def test_a_world_that_goes_round_in_circles_comes_to_an_end():
    async def circle():
        while True:
            await asyncio.sleep(0.01)

    loop = SimulatedLoop()
    task = loop.create_task(circle())
    with pytest.raises(Endless):
        loop.run_until_complete(task)

    # And can be cleaned up.
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        loop.run_until_complete(task)
    loop.close()


def test_a_world_that_breaks_is_a_violation_of_its_seed(image, monkeypatch):
    monkeypatch.setattr(World, "_judge", lambda world: 1 / 0)
    outcome = World(7, image).run()
    assert outcome.seed == 7
    assert "ZeroDivisionError" in outcome.violations[0]
