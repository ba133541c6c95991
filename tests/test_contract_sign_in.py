"""Signing in by cookie and by ticket, where no header can be sent (DESIGN 4.1)."""

from __future__ import annotations

import asyncio
import logging
import time
from datetime import datetime
from email.utils import parsedate_to_datetime
from http.cookies import SimpleCookie

import pytest
from tornado.httputil import HTTPHeaders, HTTPServerRequest, RequestStartLine

from rtserver.auth import Principal, Role
from rtserver.handlers import credentials
from rtserver.handlers import sign_in as sign_in_routes
from rtserver.tickets import Tickets
from tests.contract import assert_problem
from tests.http import Connection, request

MESSAGE = {"type": "message_added", "data": {"content": "m"}}


async def sign_in(api, who="alice", headers=None, ttl_seconds=3600):
    """Return the answer of a sign-in, and its cookie."""
    sent = api.headers(who, ttl_seconds=ttl_seconds) | (headers or {})
    answer = await request(api.port, "POST", "/api/auth/cookie", sent, None)
    assert answer.status == 204, answer
    (morsel,) = SimpleCookie(answer.headers["set-cookie"]).values()
    return answer, morsel


def with_cookie(morsel, **headers):
    return {"Cookie": f"theme=dark; rt_token={morsel.value}"} | {k.replace("_", "-"): v for k, v in headers.items()}


# The cookie


async def test_a_token_becomes_a_cookie_that_scripts_cannot_read(api):
    _, morsel = await sign_in(api)
    assert morsel.key == "rt_token"
    assert (morsel["httponly"], morsel["samesite"], morsel["path"], morsel["secure"]) == (True, "Strict", "/", "")
    assert morsel["domain"] == ""
    assert abs(parsedate_to_datetime(morsel["expires"]).timestamp() - time.time() - 3600) < 5
    # A browser whose clock is wrong goes by this one (RFC 6265 section 5.3).
    assert abs(int(morsel["max-age"]) - 3600) < 5


async def test_under_a_base_path_the_cookie_stays_there(start_server):
    api = await start_server(base_path="/rt")
    answer = await request(api.port, "POST", "/rt/api/auth/cookie", api.headers("alice"), None)
    assert "Path=/rt" in answer.headers["set-cookie"].split("; ")


@pytest.mark.parametrize("headers", [{"X-Forwarded-Proto": "https"}, {"Origin": "https://app.example.com"}])
async def test_over_tls_the_cookie_is_secure(api, headers):
    _, morsel = await sign_in(api, headers=headers)
    assert morsel["secure"] is True


@pytest.mark.parametrize(
    ("peer", "headers", "expected"),
    [
        ("127.0.0.1", {"X-Forwarded-Proto": "https"}, True),
        ("127.0.0.1", {"X-Forwarded-Proto": "HTTPS, http"}, True),
        ("::1", {"X-Forwarded-Proto": "https"}, True),
        ("0.0.0.0", {"X-Forwarded-Proto": "https"}, True),  # what Tornado calls the peer of a unix socket
        ("127.0.0.1", {"X-Forwarded-Proto": "http"}, False),
        ("127.0.0.1", {}, False),
        ("192.0.2.7", {"X-Forwarded-Proto": "https"}, False),
        ("2001:db8::7", {"X-Forwarded-Proto": "https"}, False),
        ("192.0.2.7", {"Origin": "https://chat.example"}, True),
        ("192.0.2.7", {"Origin": "http://chat.example"}, False),
        ("nowhere", {"X-Forwarded-Proto": "https"}, False),
    ],
)
def test_what_is_forwarded_is_believed_of_a_proxy_on_this_machine_alone(peer, headers, expected):
    head = HTTPHeaders({"Host": "chat.example"} | headers)
    sign_in = HTTPServerRequest(start_line=RequestStartLine("POST", "/", "HTTP/1.1"), headers=head)
    sign_in.remote_ip = peer
    assert credentials.is_over_tls(sign_in) is expected


async def test_the_cookie_reads(api):
    """P6."""
    _, morsel = await sign_in(api)
    assert (await api.get("/sessions/s", who=None, headers=with_cookie(morsel))).status == 200
    async with api.stream(who=None, headers=with_cookie(morsel)) as stream:
        assert stream.status == 200
    _, other = await sign_in(api, who="carol")
    assert_problem(await api.get("/sessions/s", who=None, headers=with_cookie(other)), 403)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Sec-Fetch-Site": "same-origin"}, 201),
        ({"Origin": "http://{host}"}, 201),
        ({"Origin": "https://{host}"}, 201),  # TLS ended on the way
        ({"Sec-Fetch-Site": "same-origin", "Origin": "http://elsewhere"}, 201),
        ({}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "none"}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Origin": "http://{host}"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "http://[::1"}, 403),  # no address at all
        ({"Origin": "http://{host}.evil.example"}, 403),
        ({"Referer": "http://{host}/"}, 403),
        ({"Origin": "chrome-extension://{host}"}, 403),  # no page of a server
        ({"Origin": "{host}"}, 403),
        ({"Origin": "http://"}, 403),
    ],
)
async def test_a_write_by_cookie_must_come_from_a_page_of_this_server(api, headers, status):
    """P6."""
    _, morsel = await sign_in(api)
    before = (await api.get("/sessions/s")).json["lastSequence"]
    sent = {name: value.format(host=f"127.0.0.1:{api.port}") for name, value in headers.items()}
    answer = await api.post("/sessions/s/events", MESSAGE, who=None, headers=with_cookie(morsel) | sent)
    if status == 403:
        assert_problem(answer, 403)
        assert answer.json["type"] == "/problems/cross-site-write"
    assert answer.status == status
    assert (await api.get("/sessions/s")).json["lastSequence"] == before + (status == 201)


@pytest.mark.parametrize(
    ("host", "origin", "status"),
    [
        ("chat.example:443", "https://chat.example", 201),
        ("chat.example:80", "http://chat.example", 201),
        ("Chat.Example", "https://chat.example", 201),
        ("chat.example:8443", "https://chat.example:8443", 201),
        ("[::1]:443", "https://[::1]", 201),
        ("chat.example:443", "http://chat.example", 403),
        ("chat.example:80", "https://chat.example", 403),
        ("chat.example:8443", "https://chat.example", 403),
        ("chat.example", "https://chat.example:8443", 403),
        ("chat.example", "https://chat.example.", 403),
        ("backend:8080", "https://chat.example", 403),  # a proxy that does not pass the Host on
    ],
)
async def test_the_port_that_everybody_knows_may_be_left_out_of_the_host(api, host, origin, status):
    """P6: proxies write it, browsers do not."""
    _, morsel = await sign_in(api)
    body = b'{"type":"message_added","data":{"content":"m"}}'
    headers = {"Host": host, "Origin": origin, "Cookie": f"rt_token={morsel.value}", "Content-Length": str(len(body))}
    lines = ["POST /api/sessions/s/events HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    async with Connection(api.port) as connection:
        connection.writer.write("\r\n".join([*lines, "", ""]).encode() + body)
        assert (await connection.read_response("POST")).status == status


async def test_of_two_cookies_the_one_for_the_longer_path_counts(api):
    """RFC 6265 section 5.4: it comes first; the other is of a server that was or is at a shorter path."""
    _, morsel = await sign_in(api)
    for cookies, status in (
        (f"rt_token={morsel.value}; rt_token=stale", 200),
        (f"a=b;rt_token={morsel.value};rt_token=", 200),
        (f'rt_token="{morsel.value}"', 200),
        (f"rt_token=stale; rt_token={morsel.value}", 401),
        (f"rt_token_2={morsel.value}", 401),
        (f"rt_token; x={morsel.value}", 401),
    ):
        assert (await api.get("/sessions/s", who=None, headers={"Cookie": cookies})).status == status, cookies[:20]


async def test_a_write_by_token_may_come_from_anywhere(api):
    headers = {"Sec-Fetch-Site": "cross-site", "Origin": "http://evil.example"}
    assert (await api.post("/sessions/s/events", MESSAGE, who="alice", headers=headers)).status == 201


async def test_the_first_credential_that_is_there_decides(api):
    """P6: authorization, ticket, cookie; a bad one is not saved by a good one behind it."""
    _, morsel = await sign_in(api)
    bad = {"Authorization": "Bearer x"}
    assert_problem(await api.get("/sessions/s", who=None, headers=with_cookie(morsel) | bad), 401)
    assert_problem(await api.get("/sessions/s?ticket=x", who=None, headers=with_cookie(morsel)), 401)
    assert_problem(await api.get("/sessions/s?ticket=", who=None, headers=with_cookie(morsel)), 401)
    assert (await api.get("/sessions/s?ticket=x", who="alice")).status == 200
    # Another scheme is for somebody on the way.
    basic = {"Authorization": "Basic eDp5"}
    assert (await api.get("/sessions/s", who=None, headers=with_cookie(morsel) | basic)).status == 200


async def test_only_a_bearer_token_becomes_a_cookie(api):
    _, morsel = await sign_in(api)
    same = with_cookie(morsel, Sec_Fetch_Site="same-origin")
    for headers in ({}, same, {"Authorization": "Bearer x"}, {"Authorization": "Basic eDp5"}):
        answer = await api.post("/auth/cookie", who=None, headers=headers)
        assert_problem(answer, 401)
        assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("excess", [-1, 0, 1])
async def test_a_token_too_large_for_a_cookie_is_refused(api, monkeypatch, excess):
    """P7: a browser would drop it without a word."""
    headers = api.headers("alice")
    monkeypatch.setattr(sign_in_routes, "MAX_COOKIE_TOKEN", len(headers["Authorization"]) - len("Bearer ") - excess)
    answer = await api.post("/auth/cookie", who=None, headers=headers)
    assert answer.status == (400 if excess > 0 else 204)


@pytest.mark.parametrize(("method", "path"), [("DELETE", "/auth/cookie"), ("POST", "/auth/logout")])
async def test_signing_out_takes_the_cookie_back_whatever_it_is(api, method, path):
    _, morsel = await sign_in(api)
    for cookie in (f"rt_token={morsel.value}", "rt_token=x", "rt_token="):
        headers = {"Cookie": cookie, "Sec-Fetch-Site": "same-origin"}
        answer = await api.request(method, path, who=None, headers=headers)
        assert answer.status == 204
        (taken,) = SimpleCookie(answer.headers["set-cookie"]).values()
        assert (taken.value, taken["path"]) == ("", "/")
        assert parsedate_to_datetime(taken["expires"]).timestamp() < time.time()
    assert (await api.request(method, path, who=None)).status == 204
    foreign = {"Cookie": f"rt_token={morsel.value}", "Sec-Fetch-Site": "cross-site"}
    refused = await api.request(method, path, who=None, headers=foreign)
    assert_problem(refused, 403)
    assert "set-cookie" not in refused.headers
    # Who signed in with a token from there can sign out with it from there.
    by_token = await api.request(method, path, who="alice", headers=foreign)
    assert by_token.status == 204 and "set-cookie" in by_token.headers


async def test_what_depends_on_who_signs_in_or_out_says_so(api):
    for method, path in (("POST", "/auth/cookie"), ("DELETE", "/auth/cookie"), ("POST", "/auth/logout")):
        for who, headers in (("alice", {}), (None, {"Cookie": "rt_token=x"})):
            answer = await api.request(method, path, who=who, headers=headers)
            assert answer.headers["vary"].split(", ") == ["Accept-Encoding", "Authorization", "Cookie"]
            assert answer.headers["cache-control"] == "no-store"


# Tickets


async def ticket_of(api, who="alice", session_id="s"):
    answer = await api.post(f"/sessions/{session_id}/tickets", who=who)
    assert answer.status == 201
    assert answer.headers["cache-control"] == "no-store"
    return answer.json["ticket"]


async def test_a_ticket_opens_one_stream_once(api):
    answer = await api.post("/sessions/s/tickets", who="alice")
    assert set(answer.json) == {"ticket", "expiresAt"}
    expires_at = datetime.fromisoformat(answer.json["expiresAt"]).timestamp()
    assert 25 < expires_at - time.time() <= 30
    async with api.stream(f"ticket={answer.json['ticket']}", who=None) as stream:
        assert stream.status == 200
        assert (await stream.until("connected")).data["sessionId"] == "s"
    async with api.stream(f"ticket={answer.json['ticket']}", who=None) as stream:
        assert stream.status == 401


async def test_the_same_ticket_at_once_opens_one_stream(api):
    """P6."""
    ticket = await ticket_of(api)
    answers = await asyncio.gather(*[api.poll(f"timeout=0&ticket={ticket}", who=None) for _ in range(5)])
    assert sorted(answer.status for answer in answers) == [204, 401, 401, 401, 401]


async def test_a_ticket_is_of_its_session_alone(api):
    """P6: and it is gone when it was tried elsewhere."""
    await api.create("t")
    ticket = await ticket_of(api)
    answer = await api.get(f"/sessions/t?ticket={ticket}", who=None)
    assert_problem(answer, 401)
    assert answer.json["type"] == "/problems/invalid-ticket"
    assert_problem(await api.get(f"/sessions?ticket={await ticket_of(api)}", who=None), 401)
    assert_problem(await api.get(f"/sessions/s?ticket={ticket}", who=None), 401)


async def test_a_ticket_reads_and_does_not_write(api):
    """P6."""
    before = (await api.get("/sessions/s")).json["lastSequence"]
    ticket = await ticket_of(api)
    assert_problem(await api.post(f"/sessions/s/events?ticket={ticket}", MESSAGE, who=None), 401)
    assert (await api.get("/sessions/s")).json["lastSequence"] == before


async def test_looking_does_not_use_a_ticket_up(api):
    ticket = await ticket_of(api)
    for method in ("HEAD", "OPTIONS", "HEAD"):
        answer = await api.request(method, f"/sessions/s/events?ticket={ticket}", who=None)
        assert answer.status in (200, 204)
    async with api.stream(f"ticket={ticket}", who=None) as stream:
        assert stream.status == 200


async def test_a_ticket_ends_with_what_its_holder_may(api):
    """P6: removal between the ticket and its use."""
    ticket = await ticket_of(api, who="bob")
    await api.request("DELETE", "/sessions/s/participants/bob")
    assert_problem(await api.get(f"/sessions/s?ticket={ticket}", who=None), 403)
    assert_problem(await api.post("/sessions/s/tickets", who="bob"), 403)


async def test_no_ticket_or_token_is_ever_logged_or_repeated(api, caplog):
    """P6."""
    caplog.set_level(logging.DEBUG)
    ticket = await ticket_of(api)
    answer = await api.get(f"/sessions/s/updates?timeout=0&limit=x&ticket={ticket}", who=None)
    assert_problem(answer, 400)
    again = await api.get(f"/sessions/s/updates?ticket={ticket}", who=None)
    for told in (answer, again):
        assert ticket not in told.body.decode() and ticket not in str(told.headers)
    assert ticket not in caplog.text
    assert "/api/sessions/s/updates" in caplog.text


# Tickets, without a server


PRINCIPAL = Principal("alice", Role.PARTICIPANT, expires_at=1e9)


@pytest.mark.parametrize(("seconds", "is_good"), [(0, True), (29.9, True), (30, False), (31, False)])
def test_a_ticket_is_good_for_its_time(seconds, is_good):
    tickets = Tickets(30, 10)
    assert tickets.issue("t", PRINCIPAL, "s", 1000) == 1030
    assert (tickets.redeem("t", "s", 1000 + seconds) is PRINCIPAL) is is_good
    assert len(tickets) == 0


def test_a_ticket_ends_with_its_token():
    tickets = Tickets(30, 10)
    short = Principal("alice", Role.PARTICIPANT, expires_at=1010)
    assert tickets.issue("t", short, "s", 1000) == 1010
    assert tickets.redeem("t", "s", 1010) is None


@pytest.mark.parametrize("count", [9, 10, 11])
def test_so_many_tickets_are_kept_and_the_oldest_give_way(count):
    """P4."""
    tickets = Tickets(30, 10)
    for number in range(count):
        tickets.issue(f"t{number}", PRINCIPAL, "s", 1000)
    assert len(tickets) == min(count, 10)
    assert (tickets.redeem("t0", "s", 1000) is None) is (count > 10)


def test_expired_tickets_are_forgotten_when_new_ones_come():
    """P4."""
    tickets = Tickets(30, 10)
    for number in range(5):
        tickets.issue(f"t{number}", PRINCIPAL, "s", 1000)
    tickets.issue("new", PRINCIPAL, "s", 1030)
    assert len(tickets) == 1
