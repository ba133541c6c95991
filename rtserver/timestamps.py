"""Reading points in time as clients write them (RFC 3339, DESIGN 4.6).

No I/O, no clock, no event loop.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from rtserver.errors import Malformed

# A "+" of an offset that was not escaped arrives as a space.
_DATE_TIME = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d+))?(?:[Zz]|([+\- ])(\d\d):(\d\d))?", re.ASCII
)
_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def parse_timestamp(text: str, name: str) -> int:
    """Return an RFC 3339 date-time as microseconds since 1970; ``name`` is the parameter, for the message.

    Without an offset it is UTC; digits beyond microseconds are cut.  Raises `Malformed`.
    """
    match = _DATE_TIME.fullmatch(text)
    moment = _moment(match) if match else None
    if moment is None:
        raise Malformed(f"{name} is {text[:64]!r}; it must be a date and time like 2026-01-31T12:00:00.000001Z")
    return (moment - _BEGINNING) // _MICROSECOND


def _moment(match: re.Match[str]) -> datetime | None:
    *fields, fraction, sign, hours, minutes = match.groups()
    year, month, day, hour, minute, second = map(int, fields)
    # RFC 3339 section 5.7: a leap second is written :60; it is the same moment as the start of the next minute.
    leap = timedelta(seconds=1) if second == 60 else timedelta()
    try:
        moment = datetime(year, month, day, hour, minute, min(second, 59) if leap else second, tzinfo=UTC) + leap
        moment += timedelta(microseconds=int((fraction or "0")[:6].ljust(6, "0")))
        if sign:
            if int(hours) > 23 or int(minutes) > 59:
                return None
            offset = timedelta(hours=int(hours), minutes=int(minutes))
            moment += offset if sign == "-" else -offset
    except (ValueError, OverflowError):
        return None
    return moment
