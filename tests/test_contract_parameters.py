"""Addresses (DESIGN 4, 4.2): query parameters and the ids in paths."""

from __future__ import annotations

from urllib.parse import quote

import pytest

from tests.contract import SESSION_ROUTES, assert_problem, state
from tests.http import request

LISTS = ["/sessions", "/sessions/s/participants"]
BAD_NUMBERS = [
    *("", "0", "-1", "-0", "+1", "1.0", "1e1", "0x10", "abc", "1,2", "NaN", "true", "null", "%D9%A3"),
    *(
        "%EF%BC%93",
        "99999999999999999999",
        "-99999999999999999999",
        "9" * 5000,
        "1%00",
        "%00",
        "1%0A",
        "%FF",
        "%",
        "%zz",
    ),
    *("1%20", "%C2%B2", "1_0"),
]
BAD_POSITIONS = [
    *("%00", "a%00", "%0A", "a%0D%0Ab", "%7F", "%1B", "%FF", "%C3", "%ED%A0%80", "%C0%80", "a%20b", "a+b", "a/b"),
    *("%C3%A4", ".", "..", "a" * 129, "%25"),
]
UNKNOWN = ["x=1&x=2", "x", "x=%00%FF", "Limit=abc", "LIMIT=0", "=", "&&", "%FF=%FF", "lastEventId=nonsense", "?", ""]


@pytest.mark.parametrize("path", LISTS)
async def test_a_limit_that_is_not_a_number_in_range_is_refused(api, path, subtests):
    """P7."""
    for value in BAD_NUMBERS:
        with subtests.test(limit=value[:30]):
            problem = assert_problem(await api.get(f"{path}?limit={value}"), 400)
            assert "limit" in problem["detail"]
            assert (await api.request("HEAD", f"{path}?limit={value}")).status == 400


@pytest.mark.parametrize("path", LISTS)
async def test_a_limit_in_range_is_taken(api, path):
    for value in (1, 2, 99, 100):
        assert (await api.get(f"{path}?limit={value}")).status == 200


@pytest.mark.parametrize("path", LISTS)
async def test_a_position_that_cannot_be_an_id_is_refused(api, path, subtests):
    """P7."""
    for value in BAD_POSITIONS:
        with subtests.test(after=value[:30]):
            assert "after" in assert_problem(await api.get(f"{path}?after={value}"), 400)["detail"]


@pytest.mark.parametrize("path", LISTS)
async def test_a_known_parameter_given_twice_is_refused(api, path):
    """P7."""
    for query in ("limit=1&limit=1", "limit=1&limit=2", "after=a&after=a", "limit=&limit=5", "%6cimit=1&limi%74=1"):
        name = "after" if "after" in query else "limit"
        assert name in assert_problem(await api.get(f"{path}?{query}"), 400)["detail"]


@pytest.mark.parametrize("path", [*LISTS, "/sessions/s", "/health/realtime"])
async def test_unknown_parameters_are_ignored_whatever_they_hold(api, path, subtests):
    plain = await api.get(path)

    for query in UNKNOWN:
        with subtests.test(query=query):
            with_query = await api.get(f"{path}?{query}")
            assert with_query.status == plain.status == 200
            assert with_query.json | {"uptime": 0} == plain.json | {"uptime": 0}


@pytest.mark.parametrize("path", LISTS)
async def test_a_position_need_not_be_of_something_that_exists(api, path):
    for after in ("a", "~", "zzz", "A" * 128):
        page = (await api.get(f"{path}?after={after}")).json
        assert (await api.get(f"{path}?after={quote(after, safe='')}&limit=100")).json == page


# Ids in paths: what cannot be an id names nothing

NOBODY = [
    *("%00", "s%00", "%0A", "s%0A", "s%0D%0AX:%201", "%7F", "%20s", "s%20", "s+", "a%20b", "%2F", "s%2Fparticipants"),
    *("..%2Fs", "%2e", "%2E%2E", "%C3%A4", "\xe4", "%F0%9F%98%80", "a" * 129, "a" * 5000, "%61" * 5000, "%2573", "%25"),
    *("'", "%22", "s;", "*", "s%3Fx=1", "s%23", "%ED%9F%BF", "%EF%BF%BF", "<b>", "s'--"),
]


@pytest.mark.parametrize("route", SESSION_ROUTES, ids=str)
async def test_what_cannot_be_an_id_names_no_session(api, route, subtests):
    """P6, P7."""
    before = await state(api)

    for name in NOBODY:
        with subtests.test(name=ascii(name)[:30]):
            target = f"/sessions/{name}{route.path}"
            assert_problem(await api.request(route.method, target, route.body), 404)
            assert_problem(await api.request(route.method, target, route.body, who="alice"), 403)
            assert_problem(await api.request(route.method, target, route.body, who=None), 401)

    assert await state(api) == before


@pytest.mark.parametrize("route", SESSION_ROUTES, ids=str)
async def test_a_path_that_is_not_utf8_is_refused(api, route):
    """P7."""
    before = await state(api)

    for name in ("%FF", "%C3", "s%FF", "%ED%A0%80", "%C0%AE", "%F8%88%80%80%80"):
        for who in ("service", "alice"):
            response = await api.request(route.method, f"/sessions/{name}{route.path}", route.body, who=who)
            assert_problem(response, response.status)
            assert response.status in (400, 403, 404), name

    assert await state(api) == before


async def test_what_cannot_be_an_id_names_no_participant(api, subtests):
    """P7."""
    before = await state(api)

    for name in NOBODY:
        with subtests.test(name=ascii(name)[:30]):
            assert_problem(await api.request("PUT", f"/sessions/s/participants/{name}", {}), 400)
            removed = await api.request("DELETE", f"/sessions/s/participants/{name}")
            assert removed.status in (400, 404)
            assert_problem(removed, removed.status)

    assert await state(api) == before


async def test_an_escaped_letter_is_the_letter(api):
    plain = (await api.get("/sessions/s")).json

    assert (await api.get("/sessions/%73")).json == plain
    assert (await api.get("/%73essions/s")).status in (200, 404)
    assert (await api.request("PUT", "/sessions/%73/participants/%61lice", {"kind": "ai"})).status == 200
    assert (await api.get("/sessions/s", who="alice")).json["participantCount"] == 2


@pytest.mark.parametrize("name", ["S", "s.", "s~", "ss", "-s"])
async def test_ids_are_compared_letter_by_letter(api, name):
    assert_problem(await api.get(f"/sessions/{name}"), 404)


@pytest.mark.parametrize("target", ["/api/sessions/../sessions/s", "/api/./sessions/s", "/api/sessions/x/../s"])
async def test_dots_in_a_path_lead_nowhere(api, target):
    assert_problem(await request(api.port, "GET", target, api.headers("service")), 404)


async def test_any_number_of_unknown_parameters_is_ignored(api):
    """DESIGN 4: and the token is asked for before anything in the address."""
    many = "&".join(f"x{number}=%ff" for number in range(1000))
    assert (await api.get(f"/sessions?{many}")).status == 200
    assert (await api.get(f"/sessions?{many}", who=None)).status == 401
