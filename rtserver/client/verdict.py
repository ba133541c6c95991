"""What an answer, or its absence, means for the machine: genuine, busy, blocked by the network, the end.

One table for requests on all tiers.  A status alone proves nothing: filters and proxies answer with their own pages.

No I/O, no clock, no event loop.
"""

from __future__ import annotations

from email.utils import parsedate_to_datetime
from typing import NamedTuple

from rtserver.client.answer import Answer
from rtserver.client.errors import Blocked, ClientError, Refused, SignedOut
from rtserver.client.machine import Event

# An answer that asks for more patience than this is a mistake, or not ours.
MAX_RETRY_AFTER_SECONDS = 600
# The server refuses in this type alone (RFC 9457); what ends a client is believed of nobody else.
PROBLEM_TYPE = "application/problem+json"
_ENDS = {401: Event.SIGN_IN, 403: Event.FORBIDDEN, 404: Event.GONE, 410: Event.GONE}


class Verdict(NamedTuple):
    """``reason`` is for people: what was found, in a few words; empty where all is well."""

    event: Event
    reason: str = ""
    retry_after_seconds: float | None = None


def judge(answer: Answer) -> Verdict:
    """Return what an answer to a plain request or a poll means."""
    status = answer.status
    retry_after = retry_after_seconds(answer.headers)
    if status in (204, 304):
        return Verdict(Event.OK)
    if status in (429, 503):
        reason = "asked too often" if status == 429 else "the server is busy or restarting"
        return Verdict(Event.BUSY, reason, retry_after)
    if status >= 500:
        return Verdict(Event.BROKEN, f"an answer {status}")
    # What a scanner says that gave up on a request which took too long.
    if status == 408:
        return Verdict(Event.FAILED, "something on the way waited too long")
    if status == 401 and "bearer" in answer.headers.get("www-authenticate", "").lower():
        return Verdict(Event.SIGN_IN, "the token is not accepted")
    try:
        document = answer.json()
    except Blocked as blocked:
        return Verdict(Event.PAGE, str(blocked))
    if status == 200:
        return Verdict(Event.OK)
    reason = str(document.get("detail") or document.get("title") or f"an answer {status}")
    if 300 <= status < 400:
        return Verdict(Event.PAGE, f"an answer {status} is not from the server; something on the way answers itself")
    end = _ENDS.get(status)
    if end is not None and answer.head.content_type != PROBLEM_TYPE:
        # A proxy that wants its own log-in, or a gateway that knows no such address, may say so in JSON.
        return Verdict(Event.PAGE, f"an answer {status} is not from the server; something on the way answers itself")
    return Verdict(end or Event.BROKEN, reason)


def judge_stream(answer: Answer) -> Verdict:
    """Return what the answer to a request for a stream means; `Event.OK` is a stream indeed."""
    if answer.status == 200:
        if answer.head.content_type == "text/event-stream":
            return Verdict(Event.OK)
        return Verdict(Event.PAGE, f"a stream was asked for and {answer.head.content_type or 'something'} was sent")
    if answer.status == 204:
        # There is nothing left to stream (DESIGN 4.4).
        return Verdict(Event.ENDED, "the session is closed")
    verdict = judge(answer)
    return verdict if verdict.event is not Event.OK else Verdict(Event.PAGE, f"an answer {answer.status} is no stream")


def judge_error(error: ClientError) -> Verdict:
    """Return what it means that there was no answer, or none of the server."""
    if isinstance(error, SignedOut):
        return Verdict(Event.SIGN_IN, str(error))
    return Verdict(Event.PAGE if isinstance(error, Blocked) else Event.FAILED, str(error))


def refusal(answer: Answer) -> Refused:
    """Return the problem that an answer tells as an error to raise; raises `Blocked` if it is not the server's."""
    document = answer.json()
    slug = str(document.get("type", "")).rpartition("/")[2]
    detail = str(document.get("detail") or document.get("title") or f"the server answered {answer.status}")
    kind = SignedOut if answer.status == 401 else Refused
    return kind(answer.status, slug, detail, retry_after_seconds(answer.headers))


def retry_after_seconds(headers: dict[str, str]) -> float | None:
    """Return ``Retry-After``, seconds or a date against the answer's own ``Date``; None if it cannot be read."""
    text = headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return float(min(int(text[:9]), MAX_RETRY_AFTER_SECONDS))
    try:
        until, now = parsedate_to_datetime(text), parsedate_to_datetime(headers.get("date", ""))
        return min(max(0.0, (until - now).total_seconds()), MAX_RETRY_AFTER_SECONDS)
    except (ValueError, TypeError):
        return None
