"""HTTP on every route (DESIGN 4): the order of checks, problem documents, HEAD, OPTIONS and 405."""

from __future__ import annotations

import asyncio
from itertools import combinations

import pytest

from tests.contract import MESSAGE, METHODS, PUBLIC, assert_problem, state
from tests.http import Connection, request

PATHS = list(METHODS)
TOO_LARGE = 1 << 20


def method_list(text: str) -> set[str]:
    return {method.strip() for method in text.split(",")}


# The order of checks: what is wrong with a request, in the order in which it must be found

ORDER = [("405",), ("401",), ("403", "404"), ("413", "415"), ("400",), ("409",)]
RANK = {defect: rank for rank, defects in enumerate(ORDER) for defect in defects}
PAIRS = [
    pair
    for pair in combinations(sorted(RANK, key=lambda defect: RANK[defect]), 2)
    if RANK[pair[0]] < RANK[pair[1]] and pair != ("404", "409")  # no session is both closed and not there
]


@pytest.mark.parametrize("defects", [*((defect,) for defect in RANK), *PAIRS], ids="+".join)
async def test_of_two_things_wrong_with_a_publish_the_first_in_order_is_told(api, defects):
    """P7."""
    if "409" in defects:
        await api.request("PATCH", "/sessions/s", {"status": "closed"})
    before = await state(api)
    body = b"{" if "400" in defects else b'{"type": "custom", "data": {}}'
    headers = api.headers("carol" if "403" in defects else "service", ttl_seconds=-60 if "401" in defects else 60)
    if "415" in defects:
        headers["Content-Encoding"] = "br"

    response = await api.request(
        "DELETE" if "405" in defects else "POST",
        f"/sessions/{'nope' if '404' in defects else 's'}/events",
        body + b" " * (TOO_LARGE if "413" in defects else 0),
        who=None,
        headers=headers,
    )

    assert_problem(response, int(defects[0]))
    assert await state(api) == before


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/sessions"), ("PATCH", "/sessions/s"), ("PUT", "/sessions/s/participants/dave")]
)
@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        (b" " * TOO_LARGE + b"{}", "identity"),
        (b"{}", "br"),
        (b"{", "identity"),
        (b"not gzip", "gzip"),
    ],
    ids=["413", "415", "400", "400 gzip"],
)
async def test_who_may_not_is_told_so_before_what_is_wrong_with_the_body(api, method, path, body, encoding):
    """P7."""
    before = await state(api)

    response = await api.request(method, path, body, who="alice", headers={"Content-Encoding": encoding})

    assert_problem(response, 403)
    assert await state(api) == before


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/sessions", {"sessionId": "s", "participants": [{}]}),
        ("POST", "/sessions", {"sessionId": "s", "metadata": 5}),
        ("PUT", "/sessions/s/participants/dave", {"kind": "robot"}),
    ],
)
async def test_what_is_malformed_is_told_before_what_conflicts(start_server, method, path, body):
    api = await start_server(max_participants=2)
    await api.create()

    assert_problem(await api.request(method, path, body), 400)


@pytest.mark.parametrize("path", ["/sessions", "/sessions/s/participants"])
async def test_a_malformed_parameter_is_told_last(api, path):
    query = f"{path}?limit=zero"

    assert_problem(await api.request("DELETE", query, who=None), 405)
    assert_problem(await api.get(query, who=None), 401)
    if path != "/sessions":
        assert_problem(await api.get(query, who="carol"), 403)
        assert_problem(await api.get(query.replace("/s/", "/nope/")), 404)
    assert_problem(await api.get(query), 400)


async def test_an_address_that_is_not_utf8_is_told_after_the_token(api):
    assert_problem(await api.get("/sessions/%ff", who=None), 401)


# Problem documents

CAUSES = {
    "parameter": ("GET", "/sessions?limit=0", None, "service", {}, 400),
    "no token": ("GET", "/sessions/s?secret=1", None, None, {}, 401),
    "bad token": ("GET", "/sessions/s?secret=1", None, None, {"Authorization": "Bearer x"}, 401),
    "role": ("DELETE", "/sessions/s?secret=1", None, "alice", {}, 403),
    "not in it": ("GET", "/sessions/s?secret=1", None, "carol", {}, 403),
    "no route": ("GET", "/nothing?secret=1", None, "service", {}, 404),
    "no session": ("GET", "/sessions/nope?secret=1", None, "service", {}, 404),
    "no participant": ("DELETE", "/sessions/s/participants/nope?secret=1", None, "service", {}, 404),
    "method": ("DELETE", "/sessions?secret=1", None, "service", {}, 405),
    "accept": ("GET", "/sessions/s/events?secret=1", None, "service", {"Accept": "application/json"}, 406),
    "exists": ("POST", "/sessions?secret=1", {"sessionId": "s"}, "service", {}, 409),
    "paused": ("POST", "/sessions/paused/events?secret=1", MESSAGE, "alice", {}, 409),
    "closed": ("POST", "/sessions/closed/events?secret=1", MESSAGE, "alice", {}, 409),
    "large": ("POST", "/sessions?secret=1", b" " * TOO_LARGE + b"{}", "service", {}, 413),
    "encoding": ("POST", "/sessions?secret=1", {}, "service", {"Content-Encoding": "br"}, 415),
    "key": ("POST", "/sessions/s/events?secret=1", {}, "service", {"Idempotency-Key": "k"}, 422),
}


async def test_every_refusal_is_a_problem_document_with_a_type_of_its_own_and_no_query(api):
    """P6, P7."""
    for name in ("paused", "closed"):
        await api.create(name)
        await api.request("PATCH", f"/sessions/{name}", {"status": name})
    await api.post("/sessions/s/events", MESSAGE, headers={"Idempotency-Key": "k"})
    CAUSES["key"] = (*CAUSES["key"][:2], {"type": "custom", "data": {}}, *CAUSES["key"][3:])
    types = {}

    for cause, (method, path, body, who, headers, status) in CAUSES.items():
        problem = assert_problem(await api.request(method, path, body, who=who, headers=headers), status)
        assert problem["instance"] == f"/api{path.partition('?')[0]}"
        types[cause] = problem["type"]

    assert len(set(types.values())) == len(types), types


async def test_the_same_cause_has_the_same_type_and_title_everywhere(api):
    answers = [
        await api.get("/sessions?limit=0"),
        await api.get("/sessions/s/participants?limit=x"),
        await api.post("/sessions", b"{"),
        await api.request("PATCH", "/sessions/s", {"status": "x"}),
        await api.post("/sessions/s/events", {}),
    ]

    assert len({(answer.json["type"], answer.json["title"]) for answer in answers}) == 1


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/sessions?limit=0", ["limit", "0", "1", "100"]),
        ("/sessions?limit=abc", ["limit", "abc"]),
        ("/sessions?limit=1&limit=2", ["limit"]),
        ("/sessions?after=a%20b", ["after", "a b"]),
    ],
)
async def test_a_refusal_says_what_was_found_and_what_is_allowed(api, path, words):
    """P7."""
    detail = assert_problem(await api.get(path), 400)["detail"]

    assert all(word in detail for word in words)


# HEAD, OPTIONS, 405


@pytest.mark.parametrize("path", [path for path in PATHS if "HEAD" in METHODS[path]])
@pytest.mark.parametrize("who", ["service", "alice", "carol", None])
async def test_head_is_get_without_the_body(api, path, who):
    before = await state(api)
    query = "?timeout=0" if path.endswith("updates") else ""

    head = await api.request("HEAD", path + query, who=who)
    async with Connection(api.port) as connection:
        connection.send("GET", ("" if path == "/healthz" else "/api") + path + query, api.headers(who))
        status, headers = await connection.read_head()

    assert (head.status, head.body) == (status, b"")
    changing = {"date"} | ({"content-length"} if path == "/health/realtime" else set())
    for name in set(headers) | set(head.headers) - changing:
        if name not in changing:
            assert head.headers.get(name) == headers.get(name), name
    assert await state(api) == before


async def test_head_of_updates_does_not_wait(api):
    async with asyncio.timeout(5):
        response = await api.request("HEAD", "/sessions/s/updates?timeout=30", who="alice")

    assert (response.status, response.body) == (204, b"")


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("who", ["service", "alice", None])
async def test_options_says_what_is_allowed_to_whoever_asks(api, path, who):
    response = await api.request("OPTIONS", path, who=who)

    assert (response.status, response.body) == (204, b"")
    assert method_list(response.headers["allow"]) == METHODS[path] | {"OPTIONS"}


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("who", ["service", None])
async def test_a_method_that_a_route_does_not_have_is_a_405_that_names_those_it_has(api, path, who):
    before = await state(api)

    for method in {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"} - METHODS[path]:
        response = await api.request(method, path, {"status": "closed"}, who=who)
        assert response.status == 405
        assert method_list(response.headers["allow"]) == METHODS[path] | {"OPTIONS"}
        if method != "HEAD":
            assert_problem(response, 405)

    assert await state(api) == before


@pytest.mark.parametrize("method", ["TRACE", "BREW", "PROPFIND", "get", "Post"])
async def test_a_method_that_nobody_knows_is_a_405_too(api, method):
    response = await api.request(method, "/sessions")

    assert_problem(response, 405)
    assert method_list(response.headers["allow"]) == METHODS["/sessions"] | {"OPTIONS"}


@pytest.mark.parametrize("who", ["service", "carol", None])
@pytest.mark.parametrize(
    "target",
    [
        *("/", "/api", "/api/", "/api/nothing", "/api/sessions/", "/api/sessions/s/", "/api/sessions/s/nothing"),
        *("/api/sessions//events", "/api/sessions/s/participants/", "/api/sessions/s/events/", "/API/sessions"),
        *("/sessions", "/api/sessions/s/participants/alice/x", "/api/healthz", "/api//sessions", "//api/sessions"),
    ],
)
async def test_what_is_nowhere_is_a_404_whoever_asks_and_however(api, target, who):
    for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
        response = await request(api.port, method, target, api.headers(who), b"{}")
        assert assert_problem(response, 404)["instance"] == target


async def test_a_connection_goes_on_after_a_refusal(api):
    async with Connection(api.port) as connection:
        for path, status in (("/nothing", 404), ("/sessions?limit=0", 400), ("/sessions/nope", 404)):
            assert_problem(await api.get(path, connection=connection), status)
        assert_problem(await api.post("/sessions", b"{", connection=connection), 400)
        assert (await api.get("/sessions/s", connection=connection)).status == 200


# Health


@pytest.mark.parametrize("is_draining", [False, True])
async def test_health_says_whether_this_server_should_get_traffic(api, is_draining):
    if is_draining:
        await api.hub.drain(0)

    health = await api.get("/health/realtime", who=None)

    assert health.status == (503 if is_draining else 200)
    assert health.headers["content-type"] == "application/json"
    assert set(health.json) >= {"status", "checks", "version", "uptime"}
    assert health.json["status"] == ("draining" if is_draining else "ok")
    assert isinstance(health.json["checks"], dict) and isinstance(health.json["version"], str)
    assert health.json["uptime"] >= 0
    assert (await api.get("/healthz", who=None)).status == 200


def test_the_public_routes_are_among_all_routes():
    assert set(PATHS) > PUBLIC


@pytest.mark.parametrize("method", ["TRACE", "LINK", "FINISH", "get"])
async def test_a_method_that_nobody_knows_costs_a_client_no_connection(api, method):
    async with Connection(api.port) as connection:
        answer = await api.request(method, "/sessions", connection=connection)
        assert_problem(answer, 405)
        assert answer.headers.get("connection") != "close"
        assert (await api.request("GET", "/sessions", connection=connection)).status == 200


async def test_an_answer_after_which_the_connection_ends_says_so(api):
    """RFC 9112 section 9.6: else the next request on it is lost without a word."""
    async with Connection(api.port) as connection:
        announced = {"Content-Length": str(1 << 40), "Expect": "100-continue"}
        connection.send("POST", "/api/sessions", api.headers("service") | announced)
        answer = await connection.read_response("POST")
        assert_problem(answer, 413)
        assert answer.headers["connection"] == "close"
        assert await connection.reader.read() == b""
