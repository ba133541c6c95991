"""What answers mean, row by row."""

import json

import pytest

from rtserver.client.answer import Answer
from rtserver.client.errors import Blocked, ProxyRefused, Refused, SignedOut, Unreachable
from rtserver.client.verdict import judge, judge_error, judge_stream, refusal, retry_after_seconds

HTML = ("text/html", b"<html>")
PROBLEM = ("application/problem+json", b'{"type": "/problems/x", "detail": "why"}')
JSON = ("application/json", b"{}")


def answer(status, content, **headers):
    type, body = content
    return Answer(
        status, {"content-type": type} | {name.replace("_", "-"): value for name, value in headers.items()}, body
    )


@pytest.mark.parametrize(
    ("status", "content", "event"),
    [
        (200, JSON, "ok"),
        (204, ("", b""), "ok"),
        (304, ("", b""), "ok"),
        (200, HTML, "page"),
        (200, ("", b""), "page"),
        (302, HTML, "page"),
        (302, JSON, "page"),
        (401, PROBLEM, "sign-in"),
        (401, HTML, "page"),
        (401, JSON, "page"),
        (403, PROBLEM, "forbidden"),
        (403, HTML, "page"),
        (403, JSON, "page"),
        (404, PROBLEM, "gone"),
        (404, HTML, "page"),
        (404, JSON, "page"),
        (410, PROBLEM, "gone"),
        (410, JSON, "page"),
        (400, PROBLEM, "broken"),
        (400, HTML, "page"),
        (408, HTML, "failed"),
        (429, PROBLEM, "busy"),
        (429, HTML, "busy"),
        (500, PROBLEM, "broken"),
        (502, HTML, "broken"),
        (503, PROBLEM, "busy"),
        (503, HTML, "busy"),
        (504, HTML, "broken"),
        (507, PROBLEM, "broken"),
    ],
)
def test_a_status_means_something_only_with_what_the_server_would_send_with_it(status, content, event):
    verdict = judge(answer(status, content))

    assert verdict.event == event
    assert bool(verdict.reason) == (event != "ok")
    assert "<html>" not in verdict.reason


def test_a_401_that_asks_for_a_token_is_the_servers_whatever_became_of_its_body():
    assert judge(answer(401, HTML, www_authenticate='Bearer error="invalid_token"')).event == "sign-in"
    assert judge(answer(401, HTML, www_authenticate="Negotiate")).event == "page"


@pytest.mark.parametrize("content", [HTML, JSON, ("", b"")])
def test_a_401_of_the_networks_own_log_in_ends_no_sign_in(content):
    found = answer(401, content, www_authenticate="NTLM")

    assert judge(found).event == judge_stream(found).event == "page"
    assert "not from the server" in judge(found).reason


@pytest.mark.parametrize(
    ("status", "content", "event"),
    [
        (200, ("text/event-stream", b""), "ok"),
        (200, ("text/event-stream;charset=utf-8", b""), "ok"),
        (200, HTML, "page"),
        (200, JSON, "page"),
        (204, ("", b""), "ended"),
        (403, PROBLEM, "forbidden"),
        (403, HTML, "page"),
        (406, PROBLEM, "broken"),
        (503, PROBLEM, "busy"),
    ],
)
def test_a_stream_is_what_says_that_it_is_one(status, content, event):
    assert judge_stream(answer(status, content)).event == event


@pytest.mark.parametrize(
    ("error", "event"),
    [(Unreachable("x"), "failed"), (ProxyRefused("x", 407), "failed"), (Blocked("x"), "page"),
     (SignedOut(401, "", "x"), "sign-in")],
)  # fmt: skip
def test_no_answer_is_a_failure_and_a_proxy_that_wants_a_password_is_no_sign_in(error, event):
    assert judge_error(error) == (event, "x", None)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7),
        ({"retry-after": "0"}, 0),
        ({"retry-after": "99999999999"}, 600),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "1.5"}, None),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:30 GMT", "date": "Wed, 21 Oct 2026 07:28:00 GMT"}, 30),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT", "date": "Wed, 21 Oct 2026 07:28:30 GMT"}, 0),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:30 GMT"}, None),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:30 GMT", "date": "Wed, 21 Oct 2026 07:28:00"}, None),
    ],
)
def test_retry_after_is_seconds_or_a_date_against_that_of_the_answer(headers, seconds):
    assert retry_after_seconds(headers) == seconds


def test_patience_is_part_of_the_verdict():
    assert judge(answer(503, PROBLEM, retry_after="7")).retry_after_seconds == 7


def test_a_problem_becomes_an_error_that_names_its_cause():
    body = json.dumps({"type": "/rt/problems/session-closed", "detail": "the session is closed"}).encode()
    error = refusal(answer(409, (PROBLEM[0], body), retry_after="3"))

    assert type(error) is Refused
    assert (error.status, error.slug, error.detail, error.retry_after_seconds) == (
        409, "session-closed", "the session is closed", 3,
    )  # fmt: skip
    assert type(refusal(answer(401, PROBLEM))) is SignedOut
    with pytest.raises(Blocked):
        refusal(answer(403, HTML))
