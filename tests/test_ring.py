"""The ring is a window over a session's events: bounded, without holes, and it says what it does not have."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtserver.ring import Ring
from tests.builders import event

ROOMY = 1 << 20
SIZE = event(1).size


def ring_of(count: int, max_events: int = 1000, max_bytes: int = ROOMY, *, evicted_through: int = 0) -> Ring:
    ring = Ring(max_events, max_bytes, evicted_through=evicted_through)
    for sequence in range(evicted_through + 1, evicted_through + count + 1):
        ring.extend([event(sequence)])
    return ring


def sequences(events) -> list[int]:
    return [each.sequence for each in events]


def state(ring: Ring) -> tuple[int, int, int, int]:
    return len(ring), ring.size, ring.last, ring.evicted_through


def test_reader_at_the_end_is_up_to_date():
    ring = ring_of(5)

    assert ring.holds_all_after(5)
    assert ring.after(5) == []


def test_empty_ring_serves_the_beginning():
    ring = Ring(10, ROOMY)

    assert ring.holds_all_after(0)
    assert ring.after(0) == []
    assert state(ring) == (0, 0, 0, 0)


def test_reader_just_at_the_edge_misses_nothing():
    """P2."""
    ring = ring_of(15, max_events=5)

    assert ring.evicted_through == 10
    assert ring.holds_all_after(10)
    assert sequences(ring.after(10)) == [11, 12, 13, 14, 15]


def test_reader_behind_the_edge_is_told_of_the_gap():
    """P3: the ring never serves a reader the rest of what it cannot serve whole."""
    ring = ring_of(15, max_events=5)
    before = state(ring)

    assert not ring.holds_all_after(9)
    with pytest.raises(AssertionError, match="evicted"):
        ring.after(9)
    assert state(ring) == before


@pytest.mark.parametrize("sequence", [4, 6, 7])
def test_skipped_or_reused_sequence_is_refused(sequence):
    """P2."""
    ring = ring_of(5)
    before = state(ring)
    expected = sequence == 6

    if expected:
        ring.extend([event(sequence)])
        assert ring.last == 6
    else:
        with pytest.raises(AssertionError, match=f"sequence {sequence} after 5"):
            ring.extend([event(sequence)])
        assert state(ring) == before


@pytest.mark.parametrize(("count", "kept"), [(2, [1, 2]), (3, [1, 2, 3]), (4, [2, 3, 4])])
def test_count_bound_evicts_the_oldest(count, kept):
    """P4."""
    ring = ring_of(count, max_events=3)

    assert sequences(ring.after(ring.evicted_through)) == kept
    assert len(ring) == len(kept)


@pytest.mark.parametrize(
    ("max_bytes", "kept"), [(3 * SIZE - 1, [2, 3]), (3 * SIZE, [1, 2, 3]), (3 * SIZE + 1, [1, 2, 3])]
)
def test_bytes_bound_evicts_too(max_bytes, kept):
    """P4."""
    ring = ring_of(3, max_bytes=max_bytes)

    assert sequences(ring.after(ring.evicted_through)) == kept
    assert ring.size == len(kept) * SIZE


def test_large_event_pushes_out_as_many_small_ones_as_it_needs():
    """P4."""
    ring = ring_of(5, max_bytes=5 * SIZE)
    large = event(6, data=b'"' + b"x" * SIZE + b'"')

    ring.extend([large])

    assert large.size == 4 * SIZE
    assert sequences(ring.after(ring.evicted_through)) == [5, 6]
    assert ring.size == 5 * SIZE


def test_oversized_event_stays_alone_until_the_next():
    ring = ring_of(3, max_bytes=2 * SIZE)
    large = event(4, data=b'"' + b"x" * 10 * SIZE + b'"')

    ring.extend([large])
    assert (sequences(ring.after(3)), ring.size) == ([4], large.size)

    ring.extend([event(5)])
    assert (sequences(ring.after(4)), ring.size) == ([5], SIZE)


def test_restart_carries_on_the_sequence():
    """P2: a session from the store has an empty ring at its last sequence."""
    ring = Ring(10, ROOMY, evicted_through=41)

    assert state(ring) == (0, 0, 41, 41)
    assert ring.holds_all_after(41) and not ring.holds_all_after(40)
    ring.extend([event(42)])
    assert sequences(ring.after(41)) == [42]


@pytest.mark.parametrize("limit", [0, 1, 2, 3, 4, None])
@pytest.mark.parametrize("sequence", range(4, 11))
def test_limit_returns_the_oldest_first(sequence, limit):
    """Both halves of the window: the near end is taken from behind."""
    ring = ring_of(6, evicted_through=4)

    assert sequences(ring.after(sequence, limit)) == list(range(sequence + 1, 11))[:limit]


@pytest.mark.parametrize(("sequence", "is_kept"), [(0, False), (2, False), (3, True), (5, True), (6, False)])
def test_event_is_got_by_its_sequence_while_it_is_kept(sequence, is_kept):
    ring = ring_of(5, max_events=3)

    found = ring.get(sequence)

    assert (found is not None) == is_kept
    assert found is None or found.sequence == sequence


@pytest.mark.parametrize(
    ("through", "kept", "evicted_through"),
    [(0, [3, 4, 5], 2), (2, [3, 4, 5], 2), (3, [4, 5], 3), (4, [5], 4), (5, [], 5), (9, [], 5)],
)
def test_trimming_drops_what_it_names_and_no_more(through, kept, evicted_through):
    ring = ring_of(5, max_events=3)

    ring.evict_through(through)

    assert sequences(ring.after(ring.evicted_through)) == kept
    assert state(ring) == (len(kept), len(kept) * SIZE, 5, evicted_through)


def test_emptied_ring_goes_on_with_the_next_event():
    ring = ring_of(5)
    ring.evict_through(5)

    ring.extend([event(6)])

    assert sequences(ring.after(5)) == [6]
    assert not ring.holds_all_after(4)


operations = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.integers(0, 2000)),
        st.tuples(st.just("evict"), st.integers(0, 60)),
        st.tuples(st.just("after"), st.integers(0, 60)),
    ),
    max_size=60,
)


@settings(deadline=None, max_examples=150)
@given(operations, st.integers(1, 12), st.integers(1, 12 * SIZE), st.integers(0, 5), st.integers(0, 8))
def test_ring_is_the_newest_part_of_a_list(steps, max_events, max_bytes, begin, limit):
    """P2, P4: whatever happens, the ring equals the end of everything ever appended, within its bounds."""
    ring = Ring(max_events, max_bytes, evicted_through=begin)
    everything, kept = [], []
    for step, number in steps:
        if step == "append":
            appended = event(begin + len(everything) + 1, data=b'"%b"' % (b"x" * number))
            ring.extend([appended])
            everything.append(appended)
            kept.append(appended)
            while len(kept) > 1 and (len(kept) > max_events or sum(each.size for each in kept) > max_bytes):
                del kept[0]
        elif step == "evict":
            ring.evict_through(number)
            kept = [each for each in kept if each.sequence > number]

        oldest = begin + len(everything) - len(kept)
        assert state(ring) == (len(kept), sum(each.size for each in kept), begin + len(everything), oldest)
        if step == "after" and oldest <= number <= ring.last:
            assert ring.after(number, limit) == everything[number - begin :][:limit]
            assert ring.after(number) == everything[number - begin :]
        assert ring.get(number) is next((each for each in kept if each.sequence == number), None)
        assert ring.holds_all_after(number) == (number >= oldest)
