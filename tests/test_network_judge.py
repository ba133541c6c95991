"""The judge of the matrix: what it lets pass, and what it does not."""

from __future__ import annotations

from tests.checker import Stored
from tests.networks.judge import judge, watchdog_seconds
from tests.networks.record import Moment, Record
from tests.networks.row import CHROMIUM, LONG_POLL, NONE, PYTHON, SSE, Phase, Row, lasting, sudden

BUFFERED: dict[str, object] = {"tier": LONG_POLL, "within": 13, "allows": LONG_POLL, "why": "streams are held back"}
FAULT = lasting("held back", "buffer-whole", BUFFERED)


def a_record(row: Row, *moments: tuple[float, str, str | None], phases: tuple[float, ...] = (0.0,)) -> Record:
    """Return the record of a client that saw all five messages, the first one at once."""
    record = Record(row, CHROMIUM)
    record.reader.began(0)
    for number in range(1, 6):
        event = Stored(number, f"id-{number}", str(number))
        record.stored.append(event)
        record.history.attempted.add(event.uid)
        record.history.acknowledge(event.uid, event.sequence, event.id)
        record.saw(event.sequence, event.id, event.uid)
    record.moments = [Moment(*moment) for moment in moments]
    record.phase_began = list(phases)
    record.ended_at = phases[-1] + 60
    return record


def recovered() -> Record:
    """Return the record of a client that fell to long poll, and came back when the fault was over."""
    return a_record(
        FAULT, (0.1, "connecting", None), (10.2, "delayed", LONG_POLL), (75, "live", SSE), phases=(0.0, 40.0)
    )


def test_a_client_that_falls_back_and_returns_is_found_well() -> None:
    assert judge(recovered()) == []


def test_a_lost_event_is_found() -> None:
    record = recovered()
    del record.reader.steps[3]

    assert any("saw 4 after 2" in found for found in judge(record))


def test_an_event_that_came_twice_is_found() -> None:
    record = recovered()
    record.saw(5, "id-5", "5")

    assert any("saw 5 after 5" in found for found in judge(record))


def test_a_gap_that_nothing_explains_is_found() -> None:
    record = recovered()
    record.reader.told_of_gap("trimmed", 5)

    assert any("told of a gap" in found for found in judge(record))


def test_another_tier_than_the_one_expected_is_found() -> None:
    record = a_record(Row("clean", (Phase(),)), (0.1, "connecting", None), (10.2, "delayed", LONG_POLL))

    assert "clean (Chromium): a clean path: ended on long-poll, expected is sse" in judge(record)


def test_no_tier_at_all_is_found() -> None:
    record = a_record(Row("clean", (Phase(),)), (0.1, "connecting", None))

    assert "clean (Chromium): a clean path: ended on none, expected is sse" in judge(record)


def test_a_lesser_tier_that_nothing_explains_is_found() -> None:
    row = Row("odd", (Phase(("trickle",), tier=LONG_POLL, within=13, allows=SSE),))
    record = a_record(row, (10.2, "delayed", LONG_POLL))

    assert judge(record) == [
        "odd (Chromium): trickle: ended on long-poll, the network allows sse, and nothing explains it"
    ]


def test_a_fallback_that_takes_too_long_is_found() -> None:
    record = recovered()
    record.moments[1] = Moment(20.0, "delayed", LONG_POLL)

    assert judge(record) == ["held back (Chromium): buffer-whole: on long-poll after 20.0 s, allowed are 13"]


def test_a_recovery_that_takes_longer_than_one_probe_is_found() -> None:
    record = recovered()
    record.moments[2] = Moment(125.0, "live", SSE)
    record.ended_at = 130.0

    assert judge(record) == ["held back (Chromium): a clean path: on sse after 85.0 s, allowed are 80"]


def test_a_pause_on_the_same_tier_is_no_change_of_tiers() -> None:
    row = Row("cut", (Phase(("cut-at:20",), seconds=60),))
    record = a_record(
        row, (2.1, "live", SSE), (20, "reconnecting", None), (25, "live", SSE), (45, "reconnecting", None)
    )

    assert judge(record) == []
    assert record.settled_after(0) == 2.1


def test_going_to_and_fro_is_found() -> None:
    moments = [(10.0 * number, "live", (SSE, LONG_POLL)[number % 2]) for number in range(1, 7)]
    record = a_record(Row("unsteady", (Phase(seconds=60, within=60),)), *moments)

    assert judge(record) == ["unsteady (Chromium): a clean path: changed the tier 6 times"]


def test_silence_has_to_be_noticed_within_the_watchdogs_time() -> None:
    row = sudden("hole", "black-hole:0", BUFFERED | {"is_mute": True, "within": 100})
    late = (30 + watchdog_seconds(CHROMIUM, 30) + 5, "reconnecting", None)
    moments = [(2.1, "live", SSE), late, (120.0, "delayed", LONG_POLL), (190.0, "live", SSE)]

    assert judge(a_record(row, *moments, phases=(0.0, 30.0, 130.0))) == [
        "hole (Chromium): black-hole:0: noticed after 70.0 s, allowed are 69"
    ]
    del moments[1:3]
    assert any("was never noticed" in found for found in judge(a_record(row, *moments, phases=(0.0, 30.0, 130.0))))


def test_each_client_has_its_own_watchdog() -> None:
    assert watchdog_seconds(CHROMIUM, 30) == 65
    assert watchdog_seconds(PYTHON, 30) == 60


def test_too_many_requests_are_found() -> None:
    record = recovered()
    record.requests = [second * 0.5 for second in range(250)]

    (found,) = judge(record)
    assert "requests a second, allowed is 1" in found
    record.requests = [0.01 * number for number in range(30)]
    assert judge(record) == ["held back (Chromium): sent 30 requests in ten seconds, allowed are 24"]


def test_too_many_held_connections_are_found() -> None:
    record = recovered()
    record.most_held = 3

    assert judge(record) == ["held back (Chromium): held 3 connections, allowed are 2"]


def test_history_that_waits_for_a_tier_is_found() -> None:
    record = recovered()
    record.first_data_at = 10.5

    assert judge(record) == ["held back (Chromium): saw the first event after 10.5 s, allowed are 3"]


def test_a_row_that_failed_says_why() -> None:
    record = recovered()
    record.error = "AssertionError: not ready"

    assert judge(record) == ["held back (Chromium): did not run to its end: AssertionError: not ready"]


def test_what_nothing_passes_through_ends_on_no_tier() -> None:
    row = Row("blocked", (Phase(("block-page",), tier=NONE, within=1, allows=NONE),))

    assert judge(a_record(row, (0.2, "blocked", None))) == []


def test_what_the_page_complains_of_is_found() -> None:
    record = recovered()
    record.problems.append("TypeError: undefined")

    assert judge(record) == ["held back (Chromium): the page complains: TypeError: undefined"]
