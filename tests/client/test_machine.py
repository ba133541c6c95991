"""The state machine walks the table that it shares with the browser's, row by row."""

import json
from itertools import product
from pathlib import Path

import pytest

from rtserver.client.errors import Misused
from rtserver.client.machine import MAX_FAILURES, MAX_STRIKES, Action, Event, Machine, State, Tier, start_with
from rtserver.client.stream import CUT_EARLY_SECONDS, LASTING_SECONDS

TABLE = json.loads((Path(__file__).parent / "transitions.json").read_text())


def as_list(value):
    return value if isinstance(value, list) else [value]


def walks():
    """Yield each row with one state and one tier."""
    for number, row in enumerate(TABLE["rows"]):
        row = TABLE["defaults"] | row
        for state, tier in product(as_list(row["state"]), as_list(row["tier"])):
            yield pytest.param(row | {"state": state, "tier": tier}, id=f"{number}-{state}-{tier}-{row['event']}")


def machine(row):
    tiers = tuple(Tier(tier) for tier in row["tiers"])
    return Machine(State(row["state"]), Tier(row["tier"]), tiers, row["verified"], row["failures"], row["strikes"])


@pytest.mark.parametrize("row", list(walks()))
def test_the_machine_does_what_the_table_says(row):
    before = machine(row)

    after, actions = before.step(Event(row["event"]))

    changes_tier = row.get("next_tier", row["tier"]) != row["tier"]
    expected = {
        "state": row.get("next", row["state"]),
        "tier": row.get("next_tier", row["tier"]),
        "tiers": row["tiers"],
        "verified": row.get("next_verified", False if changes_tier else row["verified"]),
        "failures": row.get("next_failures", 0 if changes_tier else row["failures"]),
        "strikes": row.get("next_strikes", row["strikes"]),
    }
    assert after == machine(expected)
    assert [str(action) for action in actions] == row["actions"]


TOLD = {(state, row["event"]) for row in TABLE["rows"] for state in as_list(row["state"])}
UNTOLD = [(state, event) for state, event in product(State, Event) if (state, event) not in TOLD]


@pytest.mark.parametrize(("state", "event"), UNTOLD, ids=str)
def test_what_is_not_in_the_table_changes_nothing_and_wants_nothing(state, event):
    for tier, verified in product(Tier, (False, True)):
        before = Machine(state, tier, verified=verified, failures=3)

        assert before.step(event) == (before, ())


def test_the_table_and_the_machine_speak_of_the_same_things():
    assert set(TABLE["events"]) == set(Event)
    assert set(TABLE["actions"]) == set(Action)
    assert set(TABLE["people"]) == set(State)
    assert TABLE["limits"]["failures"] == MAX_FAILURES
    assert TABLE["limits"]["strikes"] == MAX_STRIKES
    assert TABLE["limits"]["cut_early_seconds"] == CUT_EARLY_SECONDS
    assert TABLE["limits"]["lasting_seconds"] == LASTING_SECONDS
    assert TABLE["defaults"]["tiers"] == list(Tier)


@pytest.mark.parametrize("tier", Tier)
def test_the_only_tier_is_tried_for_ever(tier):
    machine = Machine(State.CHECKING, tier, (tier,))

    assert machine.step(Event.OK) == (Machine(State.RECONNECTING, tier, (tier,)), (Action.WAIT_RETRY,))
    waiting = Machine(State.RECONNECTING, tier, (tier,), verified=True, failures=MAX_FAILURES)
    assert waiting.step(Event.OK)[0].tier == tier


def test_tiers_are_tried_best_first_whatever_order_they_are_named_in():
    assert start_with((Tier.SHORT_POLL, Tier.SSE)) == Machine(tiers=(Tier.SSE, Tier.SHORT_POLL))
    assert start_with((Tier.SHORT_POLL,)).tier == Tier.SHORT_POLL
    with pytest.raises(Misused):
        start_with(())
