"""What clients report: read strictly, kept in sums, and bounded."""

import json
import re
from pathlib import Path

import pytest

from rtserver.errors import Malformed
from rtserver.reports import REASONS, Report, Reports, read_report

WHOLE = {
    "clientId": "c1",
    "sessionId": "case-1",
    "tier": "long-poll",
    "previousTier": "sse",
    "reason": "deadline",
    "rttMs": 40,
    "lagMs": 5,
    "attempts": 1,
    "userAgent": "Browser/1.0",
}


def read(**fields) -> Report:
    return read_report(json.dumps(WHOLE | fields).encode())


def report(tier="long-poll", previous_tier="sse", reason="deadline", rtt=None) -> Report:
    return read(tier=tier, previousTier=previous_tier, reason=reason, rttMs=rtt)


def test_a_whole_report_is_read():
    assert read() == Report("long-poll", "sse", "deadline", "c1", "case-1", 40, 5, 1, "Browser/1.0")


def test_a_whole_number_may_be_written_with_a_point():
    assert read(rttMs=40.0).round_trip_ms == 40


def test_tier_and_reason_are_enough():
    found = read_report(b'{"tier": "sse", "reason": "verified"}')
    assert (found.tier, found.previous_tier, found.is_fallback, found.user_agent) == ("sse", None, False, None)


@pytest.mark.parametrize(
    "fields",
    [
        {"tier": None},
        {"tier": "websocket"},
        {"tier": ["sse"]},
        {"previousTier": "none"},
        {"reason": None},
        {"reason": ""},
        {"reason": "Bad luck"},
        {"reason": "a" * 41},
        {"clientId": ""},
        {"clientId": "a" * 129},
        {"clientId": "line\nbreak"},
        {"clientId": 7},
        {"sessionId": ".."},
        {"userAgent": "a" * 513},
        *({name: bad} for name in ("rttMs", "lagMs", "attempts") for bad in (-1, 1.5, "1", True)),
        {"rttMs": 3_600_001},
        {"lagMs": 3_600_001},
        {"attempts": 1_000_001},
    ],
    ids=str,
)
def test_what_is_not_as_it_should_be_is_refused(fields):
    """P7."""
    with pytest.raises(Malformed):
        read(**fields)


@pytest.mark.parametrize(("name", "highest"), [("rttMs", 3_600_000), ("lagMs", 3_600_000), ("attempts", 1_000_000)])
def test_numbers_go_up_to_their_bounds(name, highest):
    """P4."""
    for number in (0, 1, highest - 1, highest):
        read(**{name: number})


@pytest.mark.parametrize(("name", "longest"), [("clientId", 128), ("userAgent", 512), ("reason", 40)])
def test_texts_go_up_to_their_bounds(name, longest):
    """P4."""
    for length in (1, longest - 1, longest):
        read(**{name: "a" * length})


def test_a_reason_that_nobody_knows_is_counted_as_other():
    """P4: nobody makes up labels."""
    assert read(reason="made-up").reason == "other"
    assert [read(reason=reason).reason for reason in REASONS] == list(REASONS)


@pytest.mark.parametrize(
    ("tier", "previous", "expected"),
    [
        ("long-poll", "sse", True),
        ("short-poll", "long-poll", True),
        ("sse", "short-poll", False),
        ("sse", "sse", False),
        ("short-poll", None, False),
    ],
)
def test_a_fallback_is_a_step_to_a_lesser_tier(tier, previous, expected):
    assert report(tier, previous).is_fallback is expected


def test_sums_are_kept_by_network():
    reports = Reports(10)
    reports.add("a", "alice", report(rtt=40))
    reports.add("a", "bob", report("short-poll", "long-poll", "page", rtt=700))
    reports.add("a", "bob", report("sse", "short-poll", "promoted", rtt=20))
    assert reports.document("a") == {
        "reports": 3,
        "tiers": {"long-poll": 1, "short-poll": 1, "sse": 1},
        "fallbacks": {"deadline": 1, "page": 1},
        "slowestRttMs": 700,
    }
    assert reports.document("b") == {"reports": 0, "tiers": {}, "fallbacks": {}, "slowestRttMs": None}
    assert (reports.tier_of("alice"), reports.tier_of("bob"), reports.tier_of("carol")) == ("long-poll", "sse", None)


@pytest.mark.parametrize("networks", [2, 3, 4])
def test_so_many_networks_are_kept_the_least_heard_of_giving_way(networks):
    """P4."""
    reports = Reports(3)
    for number in range(networks):
        reports.add(f"n{number}", "alice", report())
        reports.add("n1", "alice", report())
    assert len(reports) == min(networks, 3)
    assert reports.document("n0")["reports"] == (1 if networks < 4 else 0)
    assert reports.document("n1")["reports"] > 0


@pytest.mark.parametrize("people", [2, 3, 4])
def test_of_so_many_people_the_tier_is_remembered(people):
    """P4."""
    reports = Reports(3, max_people=3)
    for number in range(people):
        reports.add("n", f"p{number}", report())
    assert reports.tier_of("p0") == ("long-poll" if people < 4 else None)
    assert reports.tier_of(f"p{people - 1}") == "long-poll"


def test_every_field_and_reason_is_explained():
    page = (Path(__file__).parent.parent / "docs" / "diagnostics.rst").read_text()
    told = page.partition("What clients report")[2]
    assert set(re.findall(r"^``(\w+)``  ", told, re.MULTILINE)) == set(WHOLE)
    for reason in REASONS:
        assert f"``{reason}``" in told
