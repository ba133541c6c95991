"""What a poll asks for is read once for all that ask the same, and never taken for what another asks."""

from __future__ import annotations

import pytest

from rtserver.errors import Malformed
from rtserver.framing import Fields
from rtserver.handlers import asked as module
from rtserver.handlers.asked import read_asked

LONGEST = 30


class Request:
    def __init__(self, query: str, **headers: str) -> None:
        self.query = query
        self.headers = Fields({name.replace("_", "-").lower(): [value] for name, value in headers.items()})


def test_the_same_address_is_read_once(monkeypatch):
    found = [read_asked(Request("since=2026-01-01T00:00:00Z&limit=7"), LONGEST) for _ in range(2)]
    assert found[0] is found[1] and found[0].limit == 7


@pytest.mark.parametrize(
    ("headers", "field", "value"),
    [({"Save_Data": "on"}, "is_compact", True), ({"RTT": "700"}, "round_trip_ms", 700)],
)
def test_the_same_address_with_other_hints_asks_for_something_else(headers, field, value):
    query = "since=2026-01-01T00:00:00Z&limit=8"
    plain, hinted = read_asked(Request(query), LONGEST), read_asked(Request(query, **headers), LONGEST)
    assert getattr(hinted, field) == value != getattr(plain, field)


def test_the_cursor_in_the_header_is_part_of_what_is_asked():
    first, second = (read_asked(Request("timeout=1", Last_Event_ID=cursor), LONGEST).start for cursor in ("1", "2"))
    assert (first.sequence, second.sequence) == (1, 2)


def test_what_is_malformed_is_refused_every_time():
    for _ in range(2):
        with pytest.raises(Malformed, match="limit"):
            read_asked(Request("limit=0"), LONGEST)


@pytest.mark.parametrize("excess", [-1, 0, 1])
def test_readings_of_long_addresses_are_not_kept(excess):
    """P4."""
    module._read_known.cache_clear()
    query = "clientId=a&pad="
    read_asked(Request(query + "x" * (module.MAX_KNOWN_BYTES - len(query) + excess)), LONGEST)
    assert module._read_known.cache_info().currsize == (excess <= 0)
