"""Validators: which request is answered 304, to the second and to the tag (RFC 9110 section 13, DESIGN 4.6)."""

import pytest

from rtserver.conditional import is_not_modified, make_etag, parse_http_date, settled_us, validate

SECOND_US = 1_000_000
NOON = 1_767_268_800  # 2026-01-01T12:00:00Z
NOON_US = NOON * SECOND_US


def http_date(seconds_after_noon):
    return f"Thu, 01 Jan 2026 12:00:{seconds_after_noon:02d} GMT"


def at(seconds):
    return NOON_US + round(seconds * SECOND_US)


@pytest.mark.parametrize(("newest", "settled"), [(0, 1), (0.000001, 1), (0.999999, 1), (1, 2)])
def test_a_change_is_settled_at_the_start_of_the_second_after_it(newest, settled):
    assert settled_us(at(newest)) == at(settled)


@pytest.mark.parametrize(
    ("newest", "now", "sent"),
    [
        (0.2, 0.3, 0),  # within its second: the earlier of M and Date is Date
        (0.2, 0.999999, 0),
        (0.2, 1, 1),
        (0.2, 30, 1),
        (5.2, 0.3, 0),  # the clock stepped back: never a date from the future
    ],
)
def test_sent_is_the_earlier_of_the_settled_second_and_the_date(newest, now, sent):
    assert validate('W/"a"', at(newest), at(now)).last_modified_at == NOON + sent


def test_a_page_with_more_is_dated_by_the_second_of_its_own_last_event():
    validators = validate('W/"a"', at(9.2), at(30), page_end_us=at(3.7))
    assert validators.last_modified_at == NOON + 3


@pytest.mark.parametrize(
    ("newest", "now", "since", "expected"),
    [
        (0.2, 30, 0, False),  # sent within the second of the newest event: another may have come in it
        (0.2, 30, 1, True),
        (0.2, 30, 2, True),
        (0.2, 30, 30, True),
        (0.2, 30, 31, False),  # later than Date: ignored
        (0.999999, 30, 0, False),
        (0.999999, 30, 1, True),
        (1, 30, 1, False),
        (1, 30, 2, True),
        (5.2, 1, 1, False),  # the clock stepped back behind the newest event
    ],
)
def test_a_date_is_enough_only_when_the_newest_change_had_settled_by_then(newest, now, since, expected):
    validators = validate('W/"a"', at(newest), at(now))
    assert is_not_modified(validators, [], [http_date(since)]) is expected


def test_a_date_that_was_sent_within_the_second_of_an_event_never_hides_the_next_in_it():
    """The same-second case, step by step."""
    sent = validate('W/"a"', at(0.2), at(0.3)).last_modified_at
    assert sent == NOON
    later = validate('W/"b"', at(0.4), at(20))
    assert not is_not_modified(later, [], [http_date(sent - NOON)])


@pytest.mark.parametrize("dates", [["yesterday"], [""], [http_date(5), http_date(5)], ["1767268805"], []])
def test_a_date_that_is_none_is_ignored(dates):
    assert not is_not_modified(validate('W/"a"', at(0), at(30)), [], dates)


def test_where_something_changes_without_a_trace_in_dates_only_the_tag_decides():
    validators = validate('W/"a"', at(0), at(30), by_etag_only=True)
    assert not is_not_modified(validators, [], [http_date(20)])
    assert is_not_modified(validators, ['W/"a"'], [])


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (['W/"a"'], True),
        (['"a"'], True),  # weak comparison
        (["*"], True),
        ([' W/"x" , W/"a"'], True),
        (['"x"', '"a"'], True),  # the field twice is one list
        ([',, "x",,"a",'], True),
        (['"b"'], False),
        (["a"], False),
        (['"a'], False),
        (['"a" "b"'], False),
        (['w/"a"'], False),
        (['"x,"a""'], False),
        ([""], False),
        (['""'], False),
    ],
)
def test_a_tag_matches_weakly_in_a_list(fields, expected):
    validators = validate('W/"a"', at(0), at(30))
    assert is_not_modified(validators, fields, []) is expected
    # It wins over a date, whether it matches or not.
    assert is_not_modified(validators, fields, [http_date(20)]) is expected


def test_a_long_list_of_tags_is_read_in_no_time():
    """P7: no pattern that explodes."""
    validators = validate('W/"a"', at(0), at(30))
    assert not is_not_modified(validators, ['"b",' * 5000 + "x"], [])
    assert not is_not_modified(validators, ['" ' * 5000], [])
    assert not is_not_modified(validators, [" ," * 5000 + "x"], [])


@pytest.mark.parametrize(
    "text",
    ["Thu, 01 Jan 2026 12:00:05 GMT", "Thursday, 01-Jan-26 12:00:05 GMT", "Thu Jan  1 12:00:05 2026"],
)
def test_the_three_forms_of_a_date_are_understood(text):
    assert parse_http_date(text) == NOON + 5


@pytest.mark.parametrize("text", ["Thu, 01 Jan 2026 12:00:05 +0100", "Thu, 32 Jan 2026 12:00:05 GMT", "GMT", ""])
def test_other_dates_are_none(text):
    assert parse_http_date(text) is None


def test_a_tag_differs_where_any_fact_does():
    tags = [make_etag("c", True), make_etag("c", False), make_etag("d", True), make_etag("c", True, None), make_etag()]
    assert len(set(tags)) == len(tags)
    assert make_etag("c", True) == make_etag("c", True)
