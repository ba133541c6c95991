"""The wheel hands out what is due: never early, at most one tick late, each once."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtserver.timers import Wheel

TICK = 0.25


class Entry:
    """Something that waits; two are equal only if they are the same."""

    def __init__(self) -> None:
        self.due_at = math.inf


@pytest.mark.parametrize(("now", "is_due"), [(9.99, False), (10.0, True), (10.01, True)])
def test_entry_is_due_at_its_time(now, is_due):
    wheel, entry = Wheel(TICK, 0), Entry()
    wheel.schedule(entry, 10.0)

    assert wheel.collect(now) == ([entry] if is_due else [])


@pytest.mark.parametrize(("now", "is_due"), [(10.01, False), (10.1, False), (10.24, False), (10.25, True)])
def test_entry_between_ticks_waits_for_the_next_tick(now, is_due):
    wheel, entry = Wheel(TICK, 0), Entry()
    wheel.schedule(entry, 10.01)

    assert wheel.collect(now) == ([entry] if is_due else [])


def test_entry_is_handed_out_once():
    wheel, entry = Wheel(TICK, 0), Entry()
    wheel.schedule(entry, 1)

    assert wheel.collect(1) == [entry]
    assert wheel.collect(1) == []
    assert wheel.collect(100) == []
    assert entry.due_at == math.inf


def test_later_time_replaces_the_earlier_one():
    wheel, entry = Wheel(TICK, 0), Entry()
    wheel.schedule(entry, 1)

    wheel.schedule(entry, 5)

    assert wheel.collect(4.75) == []
    assert wheel.collect(5) == [entry]


def test_earlier_time_replaces_the_later_one():
    wheel, entry = Wheel(TICK, 0), Entry()
    wheel.schedule(entry, 5)

    wheel.schedule(entry, 1)

    assert wheel.collect(1) == [entry]
    assert wheel.collect(5) == []


def test_entry_that_came_back_to_its_first_time_is_handed_out_once():
    wheel, entry = Wheel(TICK, 0), Entry()
    for at in (1, 2, 1, 2, 1, 1):
        wheel.schedule(entry, at)

    assert wheel.collect(1) == [entry]
    assert wheel.collect(2) == []


def test_cancelled_entry_is_forgotten_and_its_neighbour_is_not():
    wheel, entry, neighbour = Wheel(TICK, 0), Entry(), Entry()
    wheel.schedule(entry, 1)
    wheel.schedule(neighbour, 1)

    wheel.cancel(entry)

    assert wheel.collect(10) == [neighbour]


def test_cancelled_entry_can_be_scheduled_again_for_the_same_time():
    wheel, entry = Wheel(TICK, 0), Entry()
    wheel.schedule(entry, 1)
    wheel.cancel(entry)

    wheel.schedule(entry, 1)

    assert wheel.collect(1) == [entry]


def test_time_that_has_passed_is_due_at_the_next_tick():
    wheel, entry = Wheel(TICK, 100), Entry()
    wheel.collect(100)

    wheel.schedule(entry, 3)

    assert wheel.collect(100.2) == []
    assert wheel.collect(100.25) == [entry]


def test_entry_can_be_scheduled_anew_while_it_is_attended_to():
    wheel, entry = Wheel(TICK, 0), Entry()
    wheel.schedule(entry, 1)
    (due,) = wheel.collect(1)

    wheel.schedule(due, 1)

    assert wheel.collect(1.25) == [entry]


def test_long_pause_hands_out_everything_in_order_of_time():
    wheel = Wheel(TICK, 0)
    entries = [Entry() for _ in range(5)]
    for at, entry in zip((40, 10, 30, 20, 50), entries, strict=True):
        wheel.schedule(entry, at)

    assert wheel.collect(45) == [entries[1], entries[3], entries[2], entries[0]]
    assert wheel.collect(50) == [entries[4]]


def test_clock_that_stands_still_hands_out_nothing_twice():
    wheel, entry = Wheel(TICK, 5), Entry()
    wheel.schedule(entry, 5)

    assert wheel.collect(5) == [entry]
    assert wheel.collect(5) == []
    wheel.schedule(entry, 5)
    assert wheel.collect(5) == []


# Multiples of 1/64 s have no rounding, so that the promise can be checked to the letter.
moments = st.integers(0, 64 * 20).map(lambda n: n / 64)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("schedule"), st.integers(0, 4), moments),
        st.tuples(st.just("cancel"), st.integers(0, 4), st.just(0.0)),
        st.tuples(st.just("collect"), st.just(0), st.integers(0, 64 * 3).map(lambda n: n / 64)),
    ),
    max_size=50,
)


@settings(deadline=None, max_examples=300)
@given(steps, moments)
def test_wheel_is_never_early_and_at_most_one_tick_late(operations, begin):
    wheel, now = Wheel(TICK, begin), begin
    entries = [Entry() for _ in range(5)]
    wanted: dict[Entry, float] = {}
    for operation, number, value in operations:
        entry = entries[number]
        if operation == "schedule":
            wheel.schedule(entry, value)
            wanted[entry] = max(value, now)  # what has passed already is due now
        elif operation == "cancel":
            wheel.cancel(entry)
            wanted.pop(entry, None)
        else:
            now += value
            due = wheel.collect(now)
            assert len(set(due)) == len(due)
            for each in due:
                assert wanted.pop(each) <= now, "early, or not asked for"
            for at in wanted.values():
                assert now < at + TICK, "more than a tick late"
