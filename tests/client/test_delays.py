"""How long is waited: doubled, spread, never shorter than was asked for."""

import pytest

from rtserver.client.delays import Heartbeat, Hold, Promotions, Retries, poll_seconds, slow_retry_seconds
from rtserver.client.machine import Tier

SPREAD = (0.0, 0.5, 0.999)


def test_retries_begin_at_five_seconds_double_and_stay_at_a_minute():
    retries = Retries()

    assert [retries.next(Tier.SSE, 0.5) for _ in range(7)] == [5, 10, 20, 40, 60, 60, 60]
    retries.settle()
    assert retries.next(Tier.SSE, 0.5) == 5


def test_long_polls_begin_at_two_seconds():
    retries = Retries()

    assert [retries.next(Tier.LONG_POLL, 0.5) for _ in range(3)] == [2, 4, 8]


def test_what_the_stream_told_is_the_first_delay():
    retries = Retries()
    retries.tell(2500)
    retries.tell(None)

    assert [retries.next(Tier.SSE, 0.5) for _ in range(2)] == [2.5, 5]


def test_delays_are_spread_by_a_fifth_both_ways():
    assert [Retries().next(Tier.SSE, random) for random in SPREAD] == pytest.approx([4, 5, 6], rel=0.001)


@pytest.mark.parametrize("random", SPREAD)
def test_retry_after_is_a_floor_for_once_and_those_who_were_told_the_same_do_not_return_together(random):
    retries = Retries()
    retries.floor(30)
    retries.floor(None)
    retries.floor(10)

    assert retries.next(Tier.SSE, random) == pytest.approx(30 * (1 + 0.2 * random))
    assert retries.next(Tier.SSE, random) < 15


def test_better_tiers_are_probed_less_and_less_often():
    promotions = Promotions()

    assert [promotions.next(0.5) / 60 for _ in range(6)] == pytest.approx([1, 5, 15, 30, 60, 60])
    promotions.settle()
    assert promotions.next(0.5) == 60
    assert [Promotions().next(random) for random in SPREAD] == pytest.approx([48, 60, 72], rel=0.001)


def test_slow_retries_are_half_a_minute_to_a_minute():
    assert [slow_retry_seconds(random) for random in SPREAD] == pytest.approx([30, 45, 60], rel=0.001)


@pytest.mark.parametrize(
    ("told", "seconds"),
    [("5", 5), (7, 7), ("2", 3), ("0", 3), ("11", 10), (None, 5), ("soon", 5), ("nan", 5), ("inf", 10), ("-1", 3)],
)
def test_polls_are_as_often_as_the_server_says_within_three_and_ten_seconds(told, seconds):
    assert poll_seconds(told) == seconds


def test_a_network_that_closes_what_is_silent_gets_heartbeats_in_time():
    heartbeat = Heartbeat()

    for silent_seconds in (15.0, 22.0, 0.3, 0.4, 29.0, 15.2):
        heartbeat.was_cut(silent_seconds)
        assert heartbeat.seconds is None, "by accident"
    heartbeat.was_cut(15.1)
    assert heartbeat.seconds == 7
    for silent_seconds in (6.0, 6.1, 20.0, 20.0):
        heartbeat.was_cut(silent_seconds)
    assert heartbeat.seconds == 5


def test_polls_are_held_longer_where_that_works():
    hold = Hold()
    lengths = []
    for _ in range(4):
        lengths.append(hold.seconds)
        for _ in range(5):
            hold.lasted()

    assert lengths == [10, 15, 20, 25]
    assert hold.seconds == 25


def test_polls_are_held_shorter_than_what_the_network_cuts_at_and_never_as_long_again():
    hold = Hold()
    for _ in range(10):
        hold.lasted()
    hold.was_cut(12.2)
    assert hold.seconds == 8
    for _ in range(50):
        hold.lasted()
    assert hold.seconds == 11
    hold.was_cut(0.1)
    assert hold.seconds == 5
