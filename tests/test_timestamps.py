"""Times as clients write them (RFC 3339)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtserver.errors import Malformed
from rtserver.event import format_timestamp
from rtserver.timestamps import parse_timestamp

NOON_US = 1_767_268_800_000_000  # 2026-01-01T12:00:00Z


@pytest.mark.parametrize(
    ("text", "offset_us"),
    [
        ("2026-01-01T12:00:00Z", 0),
        ("2026-01-01t12:00:00z", 0),
        ("2026-01-01 12:00:00Z", 0),
        ("2026-01-01T12:00:00", 0),  # without an offset it is UTC
        ("2026-01-01T12:00:00.5Z", 500_000),
        ("2026-01-01T12:00:00.000001Z", 1),
        ("2026-01-01T12:00:00.0000019Z", 1),  # cut, not rounded
        ("2026-01-01T12:00:00.999999999999999999Z", 999_999),
        ("2026-01-01T13:30:00+01:30", 0),
        ("2026-01-01T13:30:00 01:30", 0),  # a + that was not escaped
        ("2026-01-01T07:00:00-05:00", 0),
        ("2026-01-01T12:00:00-00:00", 0),
        ("2026-01-02T11:59:00+23:59", 0),
        ("2025-12-31T23:59:60Z", -12 * 3600 * 1_000_000),  # a leap second
        ("1970-01-01T00:00:00Z", -NOON_US),
        ("0001-01-01T00:00:00Z", -62_135_596_800_000_000 - NOON_US),
    ],
)
def test_every_form_of_a_time_is_understood(text, offset_us):
    assert parse_timestamp(text, "since") == NOON_US + offset_us


@pytest.mark.parametrize(
    "text",
    [
        *("", "now", "0", "1767268800", "2026-01-01", "2026-01-01T12:00Z", "2026-01-01T12Z", "12:00:00Z"),
        *("2026-13-01T12:00:00Z", "2026-02-29T12:00:00Z", "2026-01-01T24:00:00Z", "2026-01-01T12:60:00Z"),
        *("2026-01-01T12:00:61Z", "2026-01-01T12:00:00.Z", "2026-01-01T12:00:00+1:00", "2026-01-01T12:00:00+0100"),
        *("2026-01-01T12:00:00+24:00", "2026-01-01T12:00:00+01:60", "2026-01-01T12:00:00Z ", " 2026-01-01T12:00:00Z"),
        *("2026-01-01T12:00:00ZZ", "0000-01-01T00:00:00Z", "0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00"),
        *("+2026-01-01T12:00:00Z", "2026-1-1T12:00:00Z", "\uff12026-01-01T12:00:00Z", "2026-01-01T12:00:00\u2212"),
    ],
)
def test_what_is_no_time_is_refused_with_an_example(text):
    """P7."""
    with pytest.raises(Malformed, match=r"since is .* like 2026-01-31T12:00:00\.000001Z"):
        parse_timestamp(text, "since")


@given(st.integers(0, 253_402_300_799_999_999))
def test_what_this_server_writes_is_read_back_exactly(timestamp_us):
    assert parse_timestamp(format_timestamp(timestamp_us), "since") == timestamp_us
