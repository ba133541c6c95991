"""The judge itself: it must find each kind of violation, or the tests that trust it prove nothing."""

import pytest

from tests.checker import History, Stored, check


def history_of(count: int) -> tuple[History, list[Stored]]:
    """A flawless history: ``count`` events, acknowledged, seen by one reader."""
    history = History()
    reader = history.reader("r")
    reader.began(0)
    stored = [Stored(n, f"id-{n:03}", f"u{n}") for n in range(1, count + 1)]
    for event in stored:
        history.attempted.add(event.uid)
        history.acknowledge(event.uid, event.sequence, event.id)
        reader.saw(*event)
    return history, stored


def test_a_flawless_history_has_no_violation():
    assert check(*history_of(5)) == []


def test_an_acknowledged_event_that_is_gone_is_found():
    history, stored = history_of(5)
    assert any("u5 was acknowledged as 5 and is gone" in found for found in check(history, stored[:4]))


def test_an_acknowledged_event_that_changed_its_place_is_found():
    history, stored = history_of(2)
    history.acknowledge("u2", 7, "id-007")
    assert any("acknowledged as 7" in found for found in check(history, stored))


def test_a_hole_in_the_log_is_found():
    history, stored = history_of(5)
    assert any("where 3 belongs" in found for found in check(history, stored[:2] + stored[3:]))


def test_ids_that_do_not_increase_are_found():
    history, stored = history_of(3)
    assert any("strictly increase" in found for found in check(history, [stored[0], stored[1]._replace(id="id-000")]))


def test_an_event_stored_twice_is_found():
    history, stored = history_of(3)
    assert any("stored 2 times" in found for found in check(history, [*stored, Stored(4, "id-004", "u1")]))


def test_a_refused_event_that_is_stored_is_found():
    history, stored = history_of(3)
    history.refused.add("u3")
    assert any("u3 was refused" in found for found in check(history, stored))


def test_an_event_nobody_sent_is_found():
    history, stored = history_of(3)
    assert any("never sent" in found for found in check(history, [*stored, Stored(4, "id-004", "x")]))


@pytest.mark.parametrize(
    ("kept", "what"),
    [
        ([0, 2, 3], "saw 3 after 1"),
        ([0, 1, 1, 2, 3], "saw 2 after 2"),
        ([1, 0, 2, 3], "saw 1 after 2"),
        ([0, 1, 2], "stopped at 3"),
    ],
    ids=["missing", "twice", "swapped", "not to the end"],
)
def test_what_a_reader_misses_or_repeats_is_found(kept, what):
    history, stored = history_of(4)
    reader = history.readers[0]
    reader.steps = [reader.steps[0], *(reader.steps[1 + index] for index in kept)]
    assert any(what in found for found in check(history, stored))


def test_an_event_seen_that_does_not_exist_is_found():
    history, stored = history_of(3)
    history.readers[0].saw(4, "id-004", "ghost")
    assert any("does not exist" in found for found in check(history, stored))


def test_an_event_seen_with_another_content_is_found():
    history, stored = history_of(1)
    history.readers[0].steps[1] = history.readers[0].steps[1]._replace(uid="other")
    assert any("where u1" in found for found in check(history, stored))


def test_a_cursor_that_skips_is_found():
    history, stored = history_of(3)
    history.readers[0].steps = history.readers[0].steps[:2]
    history.readers[0].began(2)
    history.readers[0].saw(*stored[2])
    assert any("presented 2" in found for found in check(history, stored))


def test_a_gap_that_nothing_explains_is_found():
    history, stored = history_of(3)
    history.readers[0].told_of_gap("epoch", 3)
    assert any("nothing explains" in found for found in check(history, stored))
    assert check(history, stored, allowed_gaps=frozenset({"epoch"})) == []
