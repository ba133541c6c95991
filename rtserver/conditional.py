"""Conditional requests: what validates an answer, and when a client has it already (RFC 9110 section 13, DESIGN 4.6).

A ``Last-Modified`` has one second of resolution and must never hide an event.  Let M be the start of the second
*after* the newest change.  Sent is the earlier of M and ``Date``; a 304 is given only to a date that M itself is not
later than.  So a client that was answered within the second of the newest change asks again once, and what comes later
in that second reaches it.  That M moves past everything sent before, also when the system's clock stepped back, is the
part of `rtserver.sealing`: it numbers no event below it.

No I/O, no clock, no event loop.
"""

from __future__ import annotations

import functools
import hashlib
import re
from datetime import UTC, datetime
from typing import NamedTuple

SECOND_US = 1_000_000

_TAG = re.compile(r'(?:W/)?("[\x21\x23-\x7e\x80-\xff]*")')
_TAGS = re.compile(rf"(?:\s*,)*\s*(?:{_TAG.pattern}\s*(?:,\s*)+)*{_TAG.pattern}(?:\s*,)*\s*")
# RFC 9110 section 5.6.7: what is sent today, and two forms that must be understood.
_DATE_FORMATS = ("%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %d %H:%M:%S %Y")


class Validators(NamedTuple):
    """What an answer is known by.  Times in whole seconds since 1970.

    ``settled_at`` is M; None where a date decides nothing, because something changes without a trace in it.
    """

    etag: str
    last_modified_at: int
    settled_at: int | None
    date_at: int  # when the answer was made


def settled_us(newest_us: int) -> int:
    """Return M for the newest change: the start of the second after it, in microseconds."""
    return (newest_us // SECOND_US + 1) * SECOND_US


def validate(
    etag: str, newest_us: int, now_us: int, *, page_end_us: int | None = None, by_etag_only: bool = False
) -> Validators:
    """Return the validators of an answer that was read at ``now_us``.

    ``newest_us`` is the newest change of what was asked about; ``page_end_us`` the time of the last event of a page
    that is not the last one: then its ``Last-Modified`` is the start of that event's second.
    """
    settled_at = settled_us(newest_us) // SECOND_US
    last_modified_at = settled_at if page_end_us is None else page_end_us // SECOND_US
    date_at = now_us // SECOND_US
    return Validators(etag, min(last_modified_at, date_at), None if by_etag_only else settled_at, date_at)


def make_etag(*facts: object) -> str:
    """Return a weak entity tag that stands for these facts: any change of one of them is another tag."""
    return f'W/"{hashlib.blake2b(repr(facts).encode(), digest_size=12).hexdigest()}"'


def is_not_modified(validators: Validators, if_none_match: list[str], if_modified_since: list[str]) -> bool:
    """Say whether the client has the answer already (RFC 9110 section 13.2.2); the lists are the headers as sent.

    A tag wins over a date, even where it does not match.  A date that is malformed, sent twice or later than now is
    ignored.
    """
    if if_none_match:
        return _matches(validators.etag, ",".join(if_none_match))
    if len(if_modified_since) != 1 or validators.settled_at is None:
        return False
    since = parse_http_date(if_modified_since[0])
    return since is not None and validators.settled_at <= since <= validators.date_at


def _matches(etag: str, field: str) -> bool:
    """Compare weakly (RFC 9110 section 8.8.3.2); a list that is not well-formed matches nothing."""
    if field.strip() == "*":
        return True
    opaque = etag.removeprefix("W/")
    return _TAGS.fullmatch(field) is not None and opaque in _TAG.findall(field)


@functools.lru_cache(maxsize=256)
def parse_http_date(text: str) -> int | None:
    """Return an HTTP-date as seconds since 1970, or None if it is not one."""
    for form in _DATE_FORMATS:
        try:
            return int(datetime.strptime(text.strip(), form).replace(tzinfo=UTC).timestamp())
        except ValueError:
            continue
    return None
