"""Every trouble has its plain words, its request and its meaning for each tier."""

import re

import pytest

from rtserver.diagnosis import CAUSES, MAX_SKEW_MS, TIERS, asks, catalogue, fields_of, judge, seen_by_server, templates

SOUND = {"version": "HTTP/1.1", "stripped": [], "skew_ms": 0, "round_trip_ms": 20}


@pytest.mark.parametrize("code", CAUSES)
def test_a_cause_is_told_in_whole_sentences(code):
    cause = CAUSES[code]
    assert re.fullmatch(r"[a-z0-9.]+(-[a-z0-9.]+)*", code)
    assert cause.title[0].isupper() and cause.title[-1] not in ".!"
    assert cause.words[0].isupper() and cause.words.endswith(".")
    # Of what is the server's own nobody else is to be asked.
    assert cause.request == "" or (cause.request.startswith("Please ") and cause.request.endswith("."))
    assert set(cause.fails + cause.limits) <= set(TIERS) and not set(cause.fails) & set(cause.limits)
    assert cause.fails or cause.limits


def test_no_two_causes_share_a_title():
    assert len({cause.title for cause in CAUSES.values()}) == len(CAUSES)


def test_a_request_names_the_server():
    for code, cause in catalogue("chat.example", "https").items():
        assert "{" not in cause["request"]
        assert "chat.example" in cause["request"] or code == "clock-skew" or not cause["request"]


@pytest.mark.parametrize(
    ("host", "protocol", "hostname", "port", "service"),
    [
        ("chat.example", "https", "chat.example", "443", "HTTPS"),
        ("chat.example", "http", "chat.example", "80", "HTTP"),
        ("chat.example:8443", "https", "chat.example", "8443", "HTTPS"),
        ("[2001:db8::1]", "https", "2001:db8::1", "443", "HTTPS"),
        ("[2001:db8::1]:8080", "http", "2001:db8::1", "8080", "HTTP"),
        ("chat.example:", "https", "chat.example", "443", "HTTPS"),
        ("what:is:this", "https", "what:is:this", "443", "HTTPS"),
    ],
)
def test_a_request_names_the_port_that_is_used(host, protocol, hostname, port, service):
    assert fields_of(host, protocol) == {
        "host": host, "protocol": protocol, "hostname": hostname, "port": port, "service": service
    }  # fmt: skip
    told = catalogue(host, protocol)
    assert f"outbound {service} (TCP port {port}) to {hostname}, " in told["unreachable"]["request"]
    assert f"connections to {hostname}, TCP port {port}, in" in told["silent-connection"]["request"]


def test_who_fills_in_the_address_gets_the_fields():
    told = templates()
    assert list(told) == list(CAUSES)
    assert told["unreachable"]["request"] == CAUSES["unreachable"].request
    fields = {field for cause in told.values() for field in re.findall(r"\{(\w+)\}", cause["request"])}
    assert fields == set(fields_of("chat.example", "https"))


def test_nothing_wrong_is_found_where_nothing_is():
    assert seen_by_server(**SOUND) == []
    assert seen_by_server(version="HTTP/1.1", stripped=[], skew_ms=None, round_trip_ms=None) == []
    assert [(verdict.tier, verdict.verdict, verdict.causes) for verdict in judge([])] == [
        (tier, "works", []) for tier in TIERS
    ]


@pytest.mark.parametrize(
    ("facts", "cause"),
    [
        ({"version": "HTTP/1.0"}, "http-1.0"),
        ({"stripped": ["Accept"]}, "stripped-headers"),
        ({"skew_ms": MAX_SKEW_MS}, "clock-skew"),
        ({"skew_ms": -MAX_SKEW_MS}, "clock-skew"),
        ({"round_trip_ms": 1000}, "slow"),
    ],
)
def test_what_one_request_shows(facts, cause):
    assert seen_by_server(**SOUND | facts) == [cause]


@pytest.mark.parametrize("facts", [{"skew_ms": MAX_SKEW_MS - 1}, {"skew_ms": 1 - MAX_SKEW_MS}, {"round_trip_ms": 999}])
def test_what_is_within_bounds_is_no_trouble(facts):
    assert seen_by_server(**SOUND | facts) == []


def test_a_tier_fails_by_what_fails_it_and_names_all_of_it():
    sse, long_poll, short_poll = judge(["buffering", "idle-cut", "slow"])
    assert (sse.verdict, sse.causes) == ("fails", ["buffering", "idle-cut", "slow"])
    assert "held back until they are complete" in sse.reason
    assert (long_poll.verdict, long_poll.causes) == ("limited", ["idle-cut", "slow"])
    assert (short_poll.verdict, short_poll.causes) == ("limited", ["slow"])


def test_requests_come_in_one_order_and_once():
    found = asks(["slow", "buffering", "slow"], "chat.example", "https")
    assert [ask["cause"] for ask in found] == ["buffering", "slow"]


def test_nobody_is_asked_for_what_is_nobodys_to_give():
    assert asks(["unavailable"], "chat.example", "https") == []
