"""A session in memory: what a cursor is worth, what a commit changes, and what passes."""

from __future__ import annotations

from dataclasses import asdict, replace

import pytest

from rtserver.changes import Change, Create, Delete, Describe, Gate, Join, Remove, Rename, Sealed, Trim
from rtserver.cursor import MAX_SEQUENCE, Cursor, encode_id, parse_cursor
from rtserver.event import Event, Transient
from rtserver.readers import Poll, Stream
from rtserver.records import Status
from rtserver.ring import Ring
from rtserver.session import Session
from rtserver.sse import ResetReason
from tests.builders import EPOCH, NOW_US, SECOND_US, event, new_session, person, record, session


def time_of(sequence: int) -> int:
    """Return the time at which the events of these tests happened."""
    return NOW_US + sequence * SECOND_US


def id_of(sequence: int, *, epoch: int = EPOCH, offset_us: int = 0) -> str:
    return encode_id(time_of(sequence) + offset_us, epoch, sequence)


def cursor(text: str) -> Cursor:
    parsed = parse_cursor(text, "lastEventId")
    assert isinstance(parsed, Cursor)
    return parsed


def with_events(count: int, *, trimmed: int = 0, ring_events: int = 1000) -> Session:
    """Return a session with events 1 to ``count``, the first ``trimmed`` of them forgotten by retention."""
    made = session(ring_events=ring_events)
    apply(made, *[event(sequence) for sequence in range(1, count + 1)])
    if trimmed:
        apply(made, edit=Trim(trimmed, time_of(trimmed)))
    return made


def reloaded(loaded: Session) -> Session:
    """Return the session as it comes back from the store."""
    row = loaded.record()
    return Session(row, list(loaded.participants.values()), Ring(1000, 1 << 20, evicted_through=row.last_sequence))


def apply(to: Session, *items: Event | Transient, edit=None, moment_us: int = NOW_US) -> None:
    events = [item for item in items if isinstance(item, Event)]
    states = [item for item in items if isinstance(item, Transient)]
    to.apply(Sealed(Change(to, Gate.SERVER, edit=edit), moment_us, events, states))


def typing(who: str = "alice", at_us: int = NOW_US, text: bytes = b"true") -> Transient:
    return Transient("typing_indicator", who, at_us, b'{"isTyping":%b}' % text)


def progress(who: str = "ava", at_us: int = NOW_US, text: bytes = b"x") -> Transient:
    return Transient("ai_progress", who, at_us, b'{"status":"%b"}' % text)


class Socket:
    """A far end that takes nothing and is asked nothing."""

    is_paused = is_closed = False


def stream() -> Stream:
    return Stream(
        Socket(),
        connection_id="c",
        subject="alice",
        is_participant=True,
        types=None,
        heartbeat_seconds=30,
        ends_at=0,
        expires_at=0,
        opened_at=0,
    )


# What a cursor is worth


@pytest.mark.parametrize("sequence", range(1, 6))
def test_id_of_an_event_that_is_kept_can_be_continued(sequence):
    """P2."""
    assert with_events(5).judge(cursor(id_of(sequence))) is None


@pytest.mark.parametrize("sequence", [2, 3, 4, 5])
def test_plain_sequence_that_is_kept_can_be_continued(sequence):
    assert with_events(5, trimmed=2).judge(cursor(str(sequence))) is None


@pytest.mark.parametrize("count", [0, 1, 5])
def test_zero_cursor_can_be_continued_while_nothing_was_trimmed(count):
    """P2."""
    assert with_events(count).judge(cursor(encode_id(NOW_US, EPOCH, 0))) is None


@pytest.mark.parametrize("text", [id_of(6), encode_id(NOW_US, EPOCH, MAX_SEQUENCE), "6", "1000000"])
def test_cursor_beyond_the_end_is_ahead(text):
    """P3."""
    assert with_events(5).judge(cursor(text)) is ResetReason.AHEAD


@pytest.mark.parametrize("text", [id_of(0), id_of(1), "1"])
def test_cursor_before_what_is_kept_is_trimmed(text):
    """P3: n-1 of the edge; the edge itself is below."""
    assert with_events(5, trimmed=2).judge(cursor(text)) is ResetReason.TRIMMED


@pytest.mark.parametrize("sequence", [2, 3])
def test_cursor_at_the_edge_of_what_is_kept_misses_nothing(sequence):
    """P3: its next event is there, so there is no gap to tell of."""
    trimmed = with_events(5, trimmed=2)

    assert trimmed.judge(cursor(id_of(sequence))) is None
    assert trimmed.judge(cursor(str(sequence))) is None


@pytest.mark.parametrize("load", [lambda kept: kept, reloaded], ids=["in memory", "reloaded"])
def test_idle_reader_is_not_told_of_a_gap_when_its_last_event_was_trimmed(load):
    """P3: the row remembers the last id, though no event is left."""
    trimmed = load(with_events(5, trimmed=5))

    assert trimmed.judge(cursor(id_of(5))) is None
    assert trimmed.judge(cursor(id_of(4))) is ResetReason.TRIMMED


def test_idle_reader_is_not_told_of_a_gap_when_its_session_was_evicted_from_memory():
    """P3."""
    assert reloaded(with_events(5)).judge(cursor(id_of(5))) is None


@pytest.mark.parametrize("epoch", [0, EPOCH - 1, EPOCH + 1])
@pytest.mark.parametrize("sequence", [0, 1, 3, 5, 6])
def test_cursor_of_another_life_is_of_another_epoch(epoch, sequence):
    """P3: whatever its sequence; numbers of another life say nothing here."""
    assert with_events(5, trimmed=2).judge(cursor(id_of(sequence, epoch=epoch))) is ResetReason.EPOCH


@pytest.mark.parametrize("offset_us", [-1, 1, 1000, -3600 * SECOND_US])
@pytest.mark.parametrize("sequence", [0, 2, 3, 5])
def test_cursor_whose_time_is_not_that_events_is_of_another_session(sequence, offset_us):
    """P3: two sessions may share an epoch by chance; edges, ring and zero cursor are compared to the microsecond."""
    there = with_events(5, trimmed=2 if sequence else 0)

    assert there.judge(cursor(id_of(sequence, offset_us=offset_us))) is ResetReason.EPOCH


@pytest.mark.parametrize(
    "text",
    [
        "0b7a1c1e-6d0f-4a4e-9a5c-3c1d2b4e5f60",
        "00000000-0000-0000-0000-000000000000",
        "019b7a4f-1c00-7fff-aabc-de0123456789",
    ],
)
def test_other_uuid_is_foreign(text):
    """P3."""
    assert with_events(5).judge(cursor(text)) is ResetReason.FOREIGN


@pytest.mark.parametrize("offset_us", [0, 1])
def test_time_of_an_event_that_is_not_in_memory_is_asked_of_the_caller(offset_us):
    """P3: below the ring, the store knows."""
    evicted = with_events(5, ring_events=2)
    presented = cursor(id_of(2, offset_us=offset_us))

    assert evicted.timestamp_of(2) is None
    assert evicted.judge(presented) is None, "without the time there is nothing against it"
    assert evicted.judge(presented, time_of(2)) is (ResetReason.EPOCH if offset_us else None)


def test_what_memory_knows_is_believed_before_the_caller():
    kept = with_events(5)

    assert kept.judge(cursor(id_of(3)), time_of(3) + 1) is None


def test_judging_changes_nothing():
    judged = with_events(5, trimmed=2)
    before = judged.record(), len(judged.ring)

    for text in (id_of(0), id_of(5), id_of(9), "3", id_of(3, epoch=1)):
        judged.judge(cursor(text))

    assert (judged.record(), len(judged.ring)) == before


@pytest.mark.parametrize(
    ("sequence", "expected"),
    [(0, NOW_US), (1, None), (2, time_of(2)), (3, None), (4, time_of(4)), (5, time_of(5)), (6, None)],
)
def test_times_that_memory_knows_are_edges_and_ring(sequence, expected):
    edges = with_events(5, trimmed=2, ring_events=2)

    assert edges.timestamp_of(sequence) == expected


# What a commit changes


def test_events_become_visible_in_ring_and_row():
    """P1, P2."""
    shown = session()

    apply(shown, event(1), event(2))

    assert [each.sequence for each in shown.ring.after(0)] == [1, 2]
    assert (shown.last_sequence, shown.last_timestamp_us, shown.ring.last) == (2, time_of(2), 2)
    assert shown.last_event_id == id_of(2)


def test_before_the_first_event_the_end_is_the_zero_cursor():
    assert session().last_event_id == encode_id(NOW_US, EPOCH, 0)


def test_created_session_takes_its_times_from_the_commit():
    created, creation = new_session(person("alice", joined_at_us=0), person("bob", joined_at_us=0))

    created.apply(Sealed(creation, NOW_US, [event(1)]))

    assert isinstance(creation.edit, Create)
    assert (created.created_at_us, created.updated_at_us, created.trimmed_timestamp_us) == (NOW_US, NOW_US, NOW_US)
    assert {who: each.joined_at_us for who, each in created.participants.items()} == {"alice": NOW_US, "bob": NOW_US}
    assert created.judge(cursor(encode_id(NOW_US, EPOCH, 0))) is None


def test_joining_and_renaming_and_leaving():
    """P6."""
    there = session(person("alice"))

    apply(there, edit=Join(person("bob", joined_at_us=0)), moment_us=NOW_US + 5)
    assert there.participants["bob"] == person("bob", joined_at_us=NOW_US + 5)
    assert there.updated_at_us == NOW_US + 5

    renamed = person("bob", display_name="Robert", joined_at_us=NOW_US + 5)
    apply(there, edit=Rename(renamed), moment_us=NOW_US + 6)
    assert there.participants["bob"] == renamed

    apply(there, edit=Remove("bob"), moment_us=NOW_US + 7)
    assert list(there.participants) == ["alice"]
    assert there.updated_at_us == NOW_US + 7


@pytest.mark.parametrize(
    ("edit", "status", "metadata"),
    [
        (Describe(Status.CLOSED, None), Status.CLOSED, b"{}"),
        (Describe(None, b'{"a":1}'), Status.ACTIVE, b'{"a":1}'),
        (Describe(Status.PAUSED, b'{"a":1}'), Status.PAUSED, b'{"a":1}'),
    ],
)
def test_description_changes_what_it_names_and_no_more(edit, status, metadata):
    there = session(person("alice"))
    before = there.record()

    apply(there, edit=edit, moment_us=NOW_US + 5)

    assert there.record() == replace(before, status=status, metadata=metadata, updated_at_us=NOW_US + 5)
    assert list(there.participants) == ["alice"]


def test_deletion_is_remembered():
    there = with_events(2)

    apply(there, edit=Delete())

    assert there.is_deleted


def test_trimming_moves_the_edge_and_keeps_the_end():
    """P3."""
    there = with_events(5)

    apply(there, edit=Trim(3, time_of(3)))

    assert (there.trimmed_sequence, there.trimmed_timestamp_us) == (3, time_of(3))
    assert there.ring.evicted_through == 3 and len(there.ring) == 2
    assert there.last_event_id == id_of(5)


def test_event_out_of_order_is_refused():
    """P2: a defect elsewhere must not be shown to readers."""
    there = with_events(2)

    with pytest.raises(AssertionError, match="sequence 4 after 2"):
        apply(there, event(4))

    assert there.last_sequence == 2 and len(there.ring) == 2


def test_record_is_the_row_it_came_from():
    row = record(last_sequence=7, last_timestamp_us=time_of(7), trimmed_sequence=3, trimmed_timestamp_us=time_of(3))

    assert session(**asdict(row)).record() == row


# News


def test_nothing_is_collected_for_streams_that_are_not_there():
    """P4: but the order goes on."""
    there = session()

    apply(there, event(1), typing())

    assert there.news == []
    assert there.live_index == 2


def test_news_are_in_order_and_passing_states_queue_behind_the_events_of_their_publish():
    """P2: a passing state never overtakes what was published before or with it."""
    there = session()
    there.streams[stream()] = None
    first, second, state, third = event(1), event(2), typing(), event(3)

    apply(there, first)
    apply(there, second, state)
    apply(there, third)

    assert there.news == [first, second, state, third]
    assert there.live_index == 4


# Passing states


def test_newest_state_of_a_kind_and_participant_counts():
    there = session()
    old, new, other, kind = typing(), typing(text=b"false"), typing("bob"), progress("alice")

    apply(there, old, other, kind)
    apply(there, new)

    assert there.current_states(NOW_US) == [other, kind, new]


@pytest.mark.parametrize(("state", "seconds"), [(typing(), 10), (progress(), 60)])
@pytest.mark.parametrize(("offset_us", "is_there"), [(-1, True), (0, False), (1, False)])
def test_state_counts_for_its_time(state, seconds, offset_us, is_there):
    """10 s of typing, 60 s of AI progress, to the microsecond."""
    there = session()
    apply(there, state)

    assert there.current_states(NOW_US + seconds * SECOND_US + offset_us) == ([state] if is_there else [])


def test_state_that_is_renewed_counts_from_then_on():
    there = session()
    apply(there, typing())
    renewed = typing(at_us=NOW_US + 9 * SECOND_US)

    apply(there, renewed)

    assert there.current_states(NOW_US + 18 * SECOND_US) == [renewed]
    assert there.current_states(NOW_US + 19 * SECOND_US) == []


def test_expired_states_leave_nothing_behind():
    """P4."""
    there = session()
    apply(there, typing(), progress())

    there.drop_expired_states(NOW_US + 10 * SECOND_US)
    assert [passing.event for passing in there.passing.values()] == [progress()]

    there.drop_expired_states(NOW_US + 60 * SECOND_US)
    assert there.passing == {}


@pytest.mark.parametrize("how", [lambda there: apply(there, edit=Remove("alice")), lambda there: there.remove("alice")])
def test_participant_that_leaves_is_not_typing_any_more(how):
    """P6."""
    there = session(person("alice"), person("bob"))
    apply(there, typing("alice"), progress("alice"), typing("bob"))

    how(there)

    assert there.current_states(NOW_US) == [typing("bob")]
    assert list(there.participants) == ["bob"]


def test_removing_twice_is_removing_once():
    there = session(person("alice"), person("bob"))

    there.remove("alice")
    there.remove("alice")

    assert list(there.participants) == ["bob"]


def test_states_are_neither_events_nor_part_of_the_row():
    there = with_events(2)
    before = there.record()

    apply(there, typing(), progress())

    assert there.record() == before
    assert len(there.ring) == 2


# Idleness


def test_fresh_session_is_idle():
    assert session().is_idle
    assert not session().is_deleted


@pytest.mark.parametrize(
    "use",
    [
        lambda there: there.streams.update({stream(): None}),
        lambda there: there.polls.update(
            {
                Poll(
                    cursor("1"), subject="a", is_participant=True, timeout_seconds=1, expires_in_seconds=1, limit=1
                ): None
            }
        ),
        lambda there: setattr(there, "pins", 1),
        lambda there: there.unsaved_removals.add("alice"),
        lambda there: apply(there, typing()),
    ],
    ids=["stream", "poll", "pin", "unsaved removal", "passing state"],
)
def test_session_in_use_is_not_idle(use):
    """P1, P6: dropping it would lose what only memory knows."""
    there = session()

    use(there)

    assert not there.is_idle


async def test_session_that_is_being_edited_is_not_idle():
    there = session()

    async with there.editing:
        assert not there.is_idle
    assert there.is_idle


def test_session_does_not_begin_with_a_ring_of_another_place():
    """P2."""
    with pytest.raises(AssertionError):
        Session(record(last_sequence=5), [], Ring(10, 1000, evicted_through=4))
