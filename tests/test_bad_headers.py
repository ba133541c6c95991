"""P7: whatever an address or a header holds, the answer is a clear refusal that changes nothing, and never a 500."""

from __future__ import annotations

import re
from urllib.parse import quote_from_bytes

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.contract import SESSION_ROUTES, STORM, Route, assert_problem, state

QUERIES = ["/sessions?limit=", "/sessions?after=", "/sessions/s/participants?limit=", "/sessions/s/participants?after="]
POLL = "/sessions/s/updates?timeout=0&"
QUERIES += [POLL + name for name in ("lastEventId=", "limit=", "from=", "eventTypes=", "clientId=")]


@STORM
@given(target=st.sampled_from(QUERIES), value=st.binary(max_size=30) | st.text(max_size=20).map(str.encode))
def test_whatever_a_parameter_holds_is_taken_or_refused(api, io_loop, target, value):
    """P7."""
    run = io_loop.asyncio_loop.run_until_complete
    before = run(state(api))

    response = run(api.get(target + quote_from_bytes(value)))

    if response.status not in (200, 204):
        assert_problem(response, 400)
    assert run(state(api)) == before


@STORM
@given(
    route=st.sampled_from(SESSION_ROUTES),
    name=st.binary(min_size=1, max_size=20),
    who=st.sampled_from(["service", "alice"]),
)
def test_whatever_stands_for_a_session_is_refused_unless_it_is_one(api, io_loop, route, name, who):
    """P6, P7."""
    assume(name != b"s")
    run = io_loop.asyncio_loop.run_until_complete
    before = run(state(api))

    response = run(
        api.request(route.method, f"/sessions/{quote_from_bytes(name, safe='')}{route.path}", route.body, who=who)
    )

    assert_problem(response, response.status)
    # An address that is not UTF-8 may be told as such: no session can have it.
    assert response.status in (400, 404 if who == "service" else 403)
    assert run(state(api)) == before


LONG = "9" * 5000
LONG_NAMES = [Route(route.method, f"/{LONG}{route.path}", route.body) for route in SESSION_ROUTES]
LONG_NAMES += [Route("DELETE", f"/s/participants/{LONG}"), Route("GET", f"/s/events/{LONG}")]


@pytest.mark.parametrize("route", LONG_NAMES, ids=lambda route: str(route).replace(LONG, "long"))
async def test_a_very_long_name_is_not_repeated_in_what_is_said_of_it(api, route):
    """P4, P7."""
    response = await api.request(route.method, f"/sessions{route.path}", route.body)

    assert len(assert_problem(response, 404)["detail"]) < 500


@pytest.mark.parametrize(
    "query",
    [
        *("lastEventId=x", "lastEventId=-1", "lastEventId=1.5", "lastEventId=%00", "lastEventId=" + "9" * 30),
        *("lastEventId=00000000-0000-0000-0000-00000000000", "lastEventId={}", "from=", "from=latest", "from=Now"),
        *(
            "eventTypes=",
            "eventTypes=,",
            "eventTypes=A",
            "eventTypes=a,,b",
            "eventTypes=a%00",
            "eventTypes=" + "x" * 65,
        ),
        *("lastEventId=1&lastEventId=1", "from=now&from=now", "eventTypes=a&eventTypes=a", "lastEventId=%FF"),
    ],
)
async def test_a_reader_that_cannot_be_understood_is_refused_on_every_tier(api, query):
    """P7."""
    for path in ("/sessions/s/events", "/sessions/s/updates"):
        for method in ("GET", "HEAD"):
            response = await api.request(method, f"{path}?timeout=0&{query}", who="alice")
            assert response.status == 400
        assert_problem(await api.get(f"{path}?timeout=0&{query}", who="alice"), 400)


@pytest.mark.parametrize(
    "query",
    [
        *(f"/updates?timeout={value}" for value in ("", "-1", "1.5", "x", "%00", "1&timeout=1", "9" * 101, "-0.1")),
        *(f"/updates?timeout=0&limit={value}" for value in ("", "0", "-1", "101", "1.5", "x", "9" * 30)),
        *(f"/events?heartbeat={value}" for value in ("", "4", "61", "-5", "5.5", "x", "%00", "30&heartbeat=30")),
    ],
)
async def test_a_number_a_reader_cannot_mean_is_refused(api, query):
    """P7."""
    assert_problem(await api.get(f"/sessions/s{query}", who="alice"), 400)


@pytest.mark.parametrize("value", ["%00", "a%0Ab", "a%0D", "%1B[2J", "%7F", "%FF", "%ED%A0%80", "a&clientId=a"])
async def test_a_client_id_that_would_break_a_log_line_is_refused(api, value):
    """P7."""
    problem = assert_problem(await api.poll(f"timeout=0&clientId={value}"), 400)

    assert "clientId" in problem["detail"]


# By header: a request in which it is read, and what may come of it.  The body is never a publish.
REFUSALS = {
    "Authorization": ("POST", "events", {401}),
    "Content-Encoding": ("POST", "events", {400, 415}),
    "Idempotency-Key": ("POST", "events", {400}),
    "Origin": ("POST", "events", {400}),
    "Content-Type": ("POST", "events", {400}),
    "Last-Event-ID": ("GET", "updates?timeout=0", {200, 204, 400}),
    "Accept": ("HEAD", "events", {200, 406}),
}
PRINTABLE = st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_characters="\x7f"), max_size=60)


@STORM
@given(name=st.sampled_from([*REFUSALS]), value=PRINTABLE)
def test_whatever_a_header_holds_is_taken_or_refused(api, io_loop, name, value):
    """P7."""
    run = io_loop.asyncio_loop.run_until_complete
    before = run(state(api))
    method, path, allowed = REFUSALS[name]

    response = run(api.request(method, f"/sessions/s/{path}", b"{}", headers={name: value}))

    if name == "Last-Event-ID":
        # A place in the session is taken, of which 0 and 1 have events behind them; none but a sequence or UUID is one.
        place = value.strip()
        is_place = not place or re.fullmatch(r"[0-9]{1,13}|[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", place)
        assert response.status == ((204 if not place or place == "2" else 200) if is_place else 400), place
    assert response.status in allowed
    if response.status >= 400 and method != "HEAD":
        assert_problem(response, response.status)
    assert run(state(api)) == before


@pytest.mark.parametrize(
    "name", ["If-None-Match", "If-Modified-Since", "Accept-Encoding", "Accept-Language", "Save-Data", "RTT"]
)
async def test_headers_that_http_says_to_ignore_when_invalid_are_ignored(api, name, subtests):
    """P7."""
    for value in ("", "x", '"', "W/", "\xff", "Thu, 99 Foo 2026", "-1", "on" * 2000):
        with subtests.test(value=value[:20]):
            headers = {name: value}
            assert (await api.get("/sessions/s", headers=headers)).status == 200
            assert (await api.poll("lastEventId=1&timeout=0", headers=headers)).status == 200
            assert (await api.get("/healthz", headers=headers)).status == 200
