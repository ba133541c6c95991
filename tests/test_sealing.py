"""Numbering: no holes, times that only grow, repeats answered as the first time, and each change for itself."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtserver.changes import Create, Delete, Describe, Gate, Remove, Rename, Sealed, Trim
from rtserver.cursor import encode_id, parse_cursor
from rtserver.errors import IdempotencyMismatch, SessionClosed, SessionNotFound, SessionPaused
from rtserver.event import format_timestamp
from rtserver.records import SessionRecord, Status
from rtserver.sealing import Batch, seal_all
from tests.builders import (
    EPOCH,
    NOW_US,
    SECOND_US,
    change,
    error_of,
    in_memory,
    keyed,
    message,
    note,
    person,
    progress,
    publish,
    record,
    sealed_of,
    typing,
)

quickly = settings(deadline=None, max_examples=150)

BODY = {"type": "note", "data": {"a": 1}}


def seal(*changes, found=None, now_us: int = NOW_US) -> list[Sealed]:
    """Seal changes in one batch, none of which may be refused."""
    return [sealed_of(result) for result in seal_all(list(changes), found or {}, now_us)[1]]


def found_after(row: SessionRecord, *sealed: Sealed) -> dict:
    """Return the keys that the store knows once these are written."""
    return {(row.number, digest): key for each in sealed for digest, key in each.keys.items()}


def after(row: SessionRecord, *sealed: Sealed) -> SessionRecord:
    """Return the session's row once these are written."""
    for each in sealed:
        for event in each.events:
            row = replace(row, last_sequence=event.sequence, last_timestamp_us=event.timestamp_us)
    return row


def numbers(*sealed: Sealed) -> list[int]:
    return [event.sequence for each in sealed for event in each.events]


def times(*sealed: Sealed) -> list[int]:
    return [event.timestamp_us for each in sealed for event in each.events]


# Sequences and times


def test_first_event_of_a_session_has_the_sequence_1():
    (sealed,) = seal(change(record(), note()))

    assert numbers(sealed) == [1]


def test_batch_goes_on_where_the_session_ends():
    """P2."""
    row = record(last_sequence=41)

    sealed = seal(change(row, note(), note()), change(row, note()))

    assert numbers(*sealed) == [42, 43, 44]
    assert row.last_sequence == 41, "the session itself keeps its place until the batch is written"


def test_batch_that_is_forgotten_gives_its_numbers_back():
    """P1: a failed batch leaves no trace; the next one has the same numbers."""
    row = record(last_sequence=41)
    failed = seal(change(row, note(), note()))

    again = seal(change(row, note(), note()))

    assert numbers(*again) == numbers(*failed) == [42, 43]


def test_sessions_in_one_batch_are_numbered_apart():
    """P2."""
    one, other = record(number=1, session_id="a", last_sequence=5), record(number=2, session_id="b")

    sealed = seal(change(one, note()), change(other, note()), change(one, note()), change(other, note()))

    assert [numbers(each) for each in sealed] == [[6], [1], [7], [2]]


@pytest.mark.parametrize(
    ("last_us", "expected_us"),
    [
        (NOW_US - 2, NOW_US),
        (NOW_US - 1, NOW_US),
        (NOW_US, NOW_US + 1),
        (NOW_US + 1, NOW_US + 2),
        (NOW_US + 3600 * SECOND_US, NOW_US + 3600 * SECOND_US + 1),
    ],
)
def test_time_moves_on_by_at_least_a_microsecond(last_us, expected_us):
    """P8: also when the clock stands still, and when it has stepped back by an hour."""
    (sealed,) = seal(change(in_memory(last_sequence=1, last_timestamp_us=last_us, updated_at_us=0), note()))

    assert times(sealed) == [expected_us]


def test_events_of_one_moment_are_a_microsecond_apart():
    """P8."""
    row = in_memory()
    sealed = seal(change(row, note(), note()), change(row, note()), now_us=NOW_US + 5)

    assert times(*sealed) == [NOW_US + 5, NOW_US + 6, NOW_US + 7]


def second(number: float) -> int:
    """Return a moment by its seconds after `NOW_US`, which is the start of a second."""
    return NOW_US + round(number * SECOND_US)


@pytest.mark.parametrize(
    ("newest", "now", "latest", "expected"),
    [
        (0.2, 0.3, 0.3, 0.3),  # an ordinary clock
        (0.2, 0.3, 0.999999, 0.3),  # stepped back, but what was sent by then was at most the second it is in
        (0.2, 0.3, 1, 1),  # the clock has been where a 304 may be given to what was sent
        (0.2, 0.3, 3600, 1),
        (0.2, 1.1, 3600, 1.1),  # past that already
        (0.999999, 0.1, 1, 1),
        (0.2, 0.2, 0.2, 0.200001),
    ],
)
def test_what_comes_after_the_clock_stepped_back_is_past_every_last_modified(newest, now, latest, expected):
    """P8, and DESIGN 4.6: no date that was sent may hide it."""
    row = in_memory(last_sequence=1, last_timestamp_us=second(newest))
    _, (sealed,) = seal_all([change(row, note())], {}, second(now), second(latest))

    assert times(sealed) == [second(expected)]


def test_a_session_from_the_store_goes_on_past_what_may_have_been_sent_before():
    """DESIGN 4.6: an earlier process may have seen a later clock."""
    row = record(last_sequence=1, last_timestamp_us=second(0.2))

    assert times(*seal(change(row, note()), now_us=second(0.3))) == [second(1)]
    assert times(*seal(change(row, note()), now_us=second(1.3))) == [second(1.3)]


@pytest.mark.parametrize("edit", [Describe(None, b'{"a":1}'), Rename(person())], ids=["metadata", "name"])
def test_an_edit_without_an_event_is_past_every_last_modified_too(edit):
    """DESIGN 4.6."""
    row = in_memory(last_sequence=1, last_timestamp_us=second(0.2), updated_at_us=second(0.4))
    _, (sealed, following) = seal_all([change(row, edit=edit), change(row, note())], {}, second(0.3), second(1))

    assert sealed.moment_us == second(1)
    assert times(following) == [second(1) + 1]


def test_id_holds_what_the_event_has():
    (sealed,) = seal(change(in_memory(last_sequence=6), note()), now_us=NOW_US + 5)
    (event,) = sealed.events

    assert event.id == encode_id(NOW_US + 5, EPOCH, 7)
    assert parse_cursor(event.id, "id").timestamp_us == event.timestamp_us


def test_message_carries_the_time_of_its_event():
    (sealed,) = seal(change(record(), message()), now_us=NOW_US + 5)
    (event,) = sealed.events

    assert json.loads(event.data)["timestamp"] == format_timestamp(event.timestamp_us)


drafts = st.sampled_from([note(), message(), message("a", "m1"), message("b", "m2"), typing(), progress()])
bodies = st.lists(drafts, min_size=1, max_size=4)
clock_steps = st.integers(-3600 * SECOND_US, 3600 * SECOND_US)


@quickly
@given(st.lists(st.tuples(clock_steps, st.lists(st.tuples(st.integers(1, 2), bodies), max_size=4)), max_size=5))
def test_whatever_the_clock_does_sequences_have_no_holes_and_times_only_grow(batches):
    """P2, P8: over many batches and two sessions, with a clock that steps forward and back."""
    rows = {1: record(number=1, session_id="a"), 2: record(number=2, session_id="b", last_sequence=7)}
    begin = dict(rows)
    events = {1: [], 2: []}
    keys, now_us = {}, NOW_US
    for step_us, publishes in batches:
        now_us += step_us
        sealed = seal(*(change(rows[number], *drafts) for number, drafts in publishes), found=keys, now_us=now_us)
        for each in sealed:
            row = each.change.session
            events[row.number] += each.events
            keys |= found_after(row, each)
            rows[row.number] = after(rows[row.number], each)

    for number, seen in events.items():
        first = begin[number].last_sequence + 1
        assert [event.sequence for event in seen] == list(range(first, first + len(seen)))
        moments = [begin[number].last_timestamp_us, *(event.timestamp_us for event in seen)]
        assert all(earlier < later for earlier, later in pairwise(moments))
        ids = [event.id for event in seen]
        assert ids == sorted(ids)


# What is answered


def test_answer_lists_the_events_and_where_the_session_ends():
    row = in_memory(last_sequence=6)

    (sealed,) = seal(change(row, note(), message("x", "m1")), now_us=NOW_US + 5)

    assert sealed.status == 201
    assert json.loads(sealed.answer) == {
        "events": [
            {
                "id": encode_id(NOW_US + 5, EPOCH, 7),
                "sequence": 7,
                "type": "note",
                "timestamp": format_timestamp(NOW_US + 5),
            },
            {
                "id": encode_id(NOW_US + 6, EPOCH, 8),
                "sequence": 8,
                "type": "message_added",
                "timestamp": format_timestamp(NOW_US + 6),
            },
        ],
        "lastEventId": encode_id(NOW_US + 6, EPOCH, 8),
    }


def test_passing_states_are_listed_without_id_and_take_no_number():
    row = record(last_sequence=6)

    (sealed,) = seal(change(row, typing(), note(), progress()))

    entries = json.loads(sealed.answer)["events"]
    assert [set(entry) for entry in entries] == [
        {"type", "timestamp"},
        {"id", "sequence", "type", "timestamp"},
        {"type", "timestamp"},
    ]
    assert numbers(sealed) == [7]
    assert [state.type for state in sealed.transients] == ["typing_indicator", "ai_progress"]
    assert sealed.status == 201


def test_passing_states_alone_are_accepted_and_not_created():
    row = record(last_sequence=6)

    (sealed,) = seal(change(row, typing(), progress()))

    assert sealed.status == 202
    assert sealed.events == [] and sealed.keys == {}
    assert json.loads(sealed.answer)["lastEventId"] == row.last_event_id


def test_passing_state_is_not_dated_before_the_event_ahead_of_it():
    """P8: also after the clock stepped back."""
    row = record(last_sequence=1, last_timestamp_us=NOW_US + SECOND_US)

    (sealed,) = seal(change(row, typing()))

    assert sealed.transients[0].timestamp_us == NOW_US + SECOND_US


def test_before_any_event_the_end_is_the_zero_cursor():
    (sealed,) = seal(change(record(), typing()))

    assert json.loads(sealed.answer)["lastEventId"] == encode_id(NOW_US, EPOCH, 0)


# Repeats


def test_repeated_message_answers_with_the_first_event():
    row = record()
    (first,) = seal(change(row, message("one", "m1")))
    row = after(row, first)

    (repeat,) = seal(change(row, message("two", "m1")), found=found_after(row, first), now_us=NOW_US + SECOND_US)

    assert repeat.events == [] and repeat.keys == {}
    entry = json.loads(first.answer)["events"][0]
    assert json.loads(repeat.answer) == {
        "events": [entry | {"replayed": True}],
        "lastEventId": row.last_event_id,
    }
    assert repeat.status == 201


def test_repeats_stand_in_their_place_in_a_batch():
    row = record()
    (first,) = seal(change(row, message("one", "m1"), message("three", "m3")))
    row = after(row, first)

    (repeat,) = seal(
        change(row, message("one", "m1"), message("two", "m2"), message("three", "m3")), found=found_after(row, first)
    )

    entries = json.loads(repeat.answer)["events"]
    assert [(entry["sequence"], entry.get("replayed", False)) for entry in entries] == [
        (1, True),
        (3, False),
        (2, True),
    ]
    assert numbers(repeat) == [3]


@pytest.mark.parametrize("shape", ["one publish", "two publishes"])
def test_message_repeated_within_a_batch_is_one_event(shape):
    row = record()
    first, again = message("one", "m1"), message("again", "m1")

    sealed = seal(change(row, first, again)) if shape == "one publish" else seal(change(row, first), change(row, again))

    assert numbers(*sealed) == [1]
    entries = [entry for each in sealed for entry in json.loads(each.answer)["events"]]
    assert [entry["sequence"] for entry in entries] == [1, 1]
    assert [entry.get("replayed", False) for entry in entries] == [False, True]


def test_same_message_id_of_another_participant_or_session_is_another_message():
    one, other = record(number=1), record(number=2, session_id="other")

    sealed = seal(
        change(one, message("a", "m1", subject="alice")),
        change(one, message("b", "m1", subject="bob")),
        change(other, message("c", "m1", subject="alice")),
    )

    assert [numbers(each) for each in sealed] == [[1], [2], [1]]


def test_repeated_request_is_answered_word_for_word_and_changes_nothing():
    row = record(last_sequence=3)
    (first,) = seal(keyed(row, BODY, "k1"))
    row = after(row, first)

    batch, results = seal_all([keyed(row, BODY, "k1")], found_after(row, first), NOW_US + SECOND_US)
    repeat = sealed_of(results[0])

    assert (repeat.status, repeat.answer, repeat.is_replay) == (first.status, first.answer, True)
    assert repeat.events == [] and repeat.keys == {} and repeat.transients == []
    assert batch.heads[row.number].last_sequence == row.last_sequence
    assert batch.heads[row.number].last_timestamp_us == row.last_timestamp_us
    assert not first.is_replay


def test_request_repeated_in_the_same_batch_is_published_once():
    row = record()

    first, repeat = seal(keyed(row, BODY, "k1"), keyed(row, BODY, "k1"))

    assert numbers(first) == [1]
    assert repeat.is_replay and repeat.answer == first.answer and repeat.events == []


def test_repeated_request_of_passing_states_is_still_a_202():
    row = record()
    body = {"type": "ai_progress", "data": {"status": "x"}}
    (first,) = seal(keyed(row, body, "k1"))

    (repeat,) = seal(keyed(row, body, "k1"), found=found_after(row, first))

    assert (repeat.status, repeat.answer, repeat.transients) == (202, first.answer, [])


@pytest.mark.parametrize("where", ["store", "batch"])
def test_other_body_under_the_same_key_is_refused(where):
    """P7: and changes nothing."""
    row = record()
    (first,) = seal(keyed(row, BODY, "k1"))
    other = keyed(row, {"type": "note", "data": {"a": 2}}, "k1")

    if where == "store":
        batch, results = seal_all([other], found_after(row, first), NOW_US)
        ends_at = 0
    else:
        batch, results = seal_all([keyed(row, BODY, "k1"), other], {}, NOW_US)
        ends_at = 1

    assert error_of(results[-1], IdempotencyMismatch).status == 422
    assert batch.heads[row.number].last_sequence == ends_at


def test_key_of_one_session_means_nothing_in_another():
    one, other = record(number=1), record(number=2, session_id="other")

    sealed = seal(keyed(one, BODY, "k1"), keyed(other, {"type": "note", "data": {"a": 2}}, "k1"))

    assert [numbers(each) for each in sealed] == [[1], [1]]


def test_key_lives_as_long_as_the_newest_event_it_stands_for():
    row = record(last_sequence=3)
    body = {"events": [{"type": "note", "data": {}, "messageId": "m1"}, {"type": "note", "data": {}}]}

    (sealed,) = seal(keyed(row, body, "k1"), now_us=NOW_US + SECOND_US)

    by_kind = {key.type: key for key in sealed.keys.values()}
    assert by_kind["note"].sequence == 4
    assert by_kind[None].sequence == 5
    assert by_kind[None].timestamp_us == sealed.events[-1].timestamp_us


@quickly
@given(st.lists(st.tuples(st.sampled_from("kl"), bodies.map(tuple)), max_size=8))
def test_idempotent_repeats_change_nothing(publishes):
    """P2: whatever is published under a few keys, each key publishes once."""
    row, keys, published = record(), {}, {}
    for key, chosen in publishes:
        # The first body under a key is repeated from then on.
        published.setdefault(key, {"events": [{"type": d.type, "data": json.loads(d.data)} for d in chosen]})
        (sealed,) = seal(keyed(row, published[key], key), found=keys)
        keys |= found_after(row, sealed)
        row = after(row, sealed)

    once, once_keys = record(), {}
    for key, body in published.items():
        (sealed,) = seal(keyed(once, body, key), found=once_keys)
        once_keys |= found_after(once, sealed)
        once = after(once, sealed)
    assert row.last_sequence == once.last_sequence
    assert {digest: key.sequence for digest, key in keys.items()} == {
        digest: key.sequence for digest, key in once_keys.items()
    }


# Who may write in which state


@pytest.mark.parametrize(
    ("status", "gate", "refusal"),
    [
        (Status.ACTIVE, Gate.PARTICIPANT, None),
        (Status.ACTIVE, Gate.SERVICE, None),
        (Status.ACTIVE, Gate.SERVER, None),
        (Status.PAUSED, Gate.PARTICIPANT, SessionPaused),
        (Status.PAUSED, Gate.SERVICE, None),
        (Status.PAUSED, Gate.SERVER, None),
        (Status.CLOSED, Gate.PARTICIPANT, SessionClosed),
        (Status.CLOSED, Gate.SERVICE, SessionClosed),
        (Status.CLOSED, Gate.SERVER, None),
    ],
)
@pytest.mark.parametrize("draft", [note(), typing()])
def test_status_lets_some_publish_and_not_others(status, gate, refusal, draft):
    """P7."""
    row = record(status=status, last_sequence=3)

    batch, (result,) = seal_all([change(row, draft, gate=gate)], {}, NOW_US)

    if refusal:
        assert error_of(result, refusal).status == 409
        assert batch.heads[row.number].last_sequence == 3
    else:
        assert sealed_of(result).answer


def test_refused_change_leaves_its_neighbours_alone():
    """P7."""
    row = record(status=Status.PAUSED)
    changes = [
        change(row, note(n=1)),
        change(row, message("no", "m1"), gate=Gate.PARTICIPANT),
        change(row, message("yes", "m1")),
    ]

    _, results = seal_all(changes, {}, NOW_US)

    assert numbers(sealed_of(results[0]), sealed_of(results[2])) == [1, 2]
    error_of(results[1], SessionPaused)
    assert "replayed" not in sealed_of(results[2]).answer.decode(), "what was refused is not remembered"


def test_status_changes_for_those_behind_it_in_the_batch():
    row = record()
    close = change(row, note(), gate=Gate.SERVER, edit=Describe(Status.CLOSED, None))
    reopen = change(row, note(), gate=Gate.SERVER, edit=Describe(Status.ACTIVE, None))

    _, results = seal_all([change(row, note()), close, change(row, note()), reopen, change(row, note())], {}, NOW_US)

    error_of(results[2], SessionClosed)
    assert numbers(*(sealed_of(result) for result in results if result is not results[2])) == [1, 2, 3, 4]


def test_metadata_alone_do_not_change_the_status():
    row = record(status=Status.PAUSED)

    batch, _ = seal_all([change(row, gate=Gate.SERVER, edit=Describe(None, b"{}"))], {}, NOW_US)

    assert batch.heads[row.number].status is Status.PAUSED


@pytest.mark.parametrize("status", [Status.PAUSED, Status.CLOSED])
def test_repeats_are_answered_even_after_the_session_closed(status):
    row = record()
    (first,) = seal(keyed(row, message_body("m1"), "k1", gate=Gate.PARTICIPANT))
    found = found_after(row, first)
    row = replace(after(row, first), status=status)

    by_key, by_message = seal(
        keyed(row, message_body("m1"), "k1", gate=Gate.PARTICIPANT),
        change(row, *publish(message_body("m1")).drafts, gate=Gate.PARTICIPANT),
        found=found,
    )

    assert by_key.answer == first.answer
    assert json.loads(by_message.answer)["events"][0]["replayed"] is True
    assert by_message.events == []


def message_body(message_id: str) -> dict[str, object]:
    return {"type": "message_added", "data": {"content": "x", "messageId": message_id}}


def test_batch_with_something_new_is_refused_whole_in_a_closed_session():
    """P7: all or nothing."""
    row = record()
    (first,) = seal(change(row, message("one", "m1")))
    found = found_after(row, first)
    row = replace(after(row, first), status=Status.CLOSED)

    batch, (result,) = seal_all([change(row, message("one", "m1"), message("two", "m2"))], found, NOW_US)

    error_of(result, SessionClosed)
    assert batch.heads[row.number].last_sequence == 1


def test_what_comes_behind_a_deletion_is_refused():
    row = record(last_sequence=3)

    batch, results = seal_all(
        [change(row, note()), change(row, gate=Gate.SERVER, edit=Delete()), change(row, note())], {}, NOW_US
    )

    assert error_of(results[2], SessionNotFound).status == 404
    assert batch.heads[row.number].last_sequence == 4


# Edits


def test_created_session_begins_at_the_moment_it_is_sealed():
    """P8: its zero cursor holds createdAt, and its first event comes after that."""
    row = record(created_at_us=0, updated_at_us=0, last_timestamp_us=0, trimmed_timestamp_us=0)
    creation = change(row, note(), note(), gate=Gate.SERVER, edit=Create(row, (person(),)))

    batch = Batch({}, NOW_US)
    sealed = batch.seal(creation)

    assert sealed.moment_us == NOW_US
    assert times(sealed) == [NOW_US + 1, NOW_US + 2]
    assert batch.heads[row.number].last_event_id == sealed.events[-1].id


def test_session_created_without_events_ends_at_its_zero_cursor():
    row = record(created_at_us=0, updated_at_us=0, last_timestamp_us=0, trimmed_timestamp_us=0)

    batch = Batch({}, NOW_US)
    sealed = batch.seal(change(row, gate=Gate.SERVER, edit=Create(row, ())))

    assert sealed.answer == b"" and sealed.events == []
    assert batch.heads[row.number].last_event_id == encode_id(NOW_US, EPOCH, 0)


def test_edit_happens_when_its_event_does():
    row = in_memory(last_sequence=1, last_timestamp_us=NOW_US + SECOND_US)

    (sealed,) = seal(change(row, note(), gate=Gate.SERVER, edit=Remove("alice")))

    assert sealed.moment_us == times(sealed)[0] == NOW_US + SECOND_US + 1


def test_edit_without_an_event_is_not_dated_before_the_session():
    """P8."""
    row = record(last_sequence=1, last_timestamp_us=NOW_US + SECOND_US)

    (sealed,) = seal(change(row, gate=Gate.SERVER, edit=Trim(1, NOW_US + SECOND_US)))

    assert sealed.moment_us == NOW_US + SECOND_US
    assert sealed.events == [] and sealed.answer == b""
