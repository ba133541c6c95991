"""CORS (DESIGN 4): which origins' pages may read what this server answers."""

from __future__ import annotations

import pytest

from tests.conftest import Api
from tests.contract import MESSAGE, METHODS

HERE = "https://bank.example"
ELSEWHERE = "https://evil.example"
SETTINGS = {"none": (), "list": (HERE, "https://other.example:8443"), "any": ("*",)}

# What a page sends and reads by this contract, beyond what any page may (Fetch standard, CORS-safelisted names).
SENT = {
    *("authorization", "content-type", "content-encoding", "idempotency-key", "last-event-id", "save-data", "rtt"),
    *("if-none-match", "if-modified-since"),
}
READ = [
    *("ETag", "Last-Modified", "Location", "Last-Event-ID", "Retry-After", "Poll-Interval", "Poll-Replaced"),
    *("Idempotency-Replayed", "WWW-Authenticate", "Date", "Allow"),
]


def names(text: str) -> set[str]:
    return {name.strip().lower() for name in text.split(",")}


@pytest.fixture
def start(start_server):
    async def start(kind: str) -> Api:
        api = await start_server(cors_origins=SETTINGS[kind])
        await api.create()
        return api

    return start


# One request for every kind of answer: method, path, body, who, status.
ANSWERS = [
    ("GET", "/sessions/s", None, "alice", 200),
    ("POST", "/sessions", {"sessionId": "new"}, "service", 201),
    ("POST", "/sessions/s/events", {"type": "typing_indicator", "data": {"isTyping": True}}, "alice", 202),
    ("POST", "/sessions/s/leave", None, "bob", 204),
    ("GET", "/sessions/s/updates?timeout=0", None, "alice", 204),
    ("OPTIONS", "/sessions/s/events", None, None, 204),
    ("GET", "/sessions?limit=0", None, "alice", 400),
    ("GET", "/sessions", None, None, 401),
    ("GET", "/sessions/s", None, "carol", 403),
    ("GET", "/nothing", None, None, 404),
    ("GET", "/sessions/nope", None, "service", 404),
    ("PUT", "/sessions", None, "service", 405),
    ("POST", "/sessions", {"sessionId": "s"}, "service", 409),
    ("POST", "/sessions/s/events", b" " * (1 << 20) + b"{}", "alice", 413),
    ("GET", "/healthz", None, None, 200),
]


@pytest.mark.parametrize(
    ("kind", "origin", "is_allowed"),
    [
        ("none", HERE, False),
        ("list", HERE, True),
        ("list", "https://other.example:8443", True),
        ("list", ELSEWHERE, False),
        ("list", "null", False),
        ("list", HERE.replace("https", "http"), False),
        ("list", HERE + ":444", False),
        ("list", HERE + ".evil.example", False),
        ("list", "https://sub.bank.example", False),
        ("list", None, False),
        ("any", ELSEWHERE, True),
        ("any", "null", True),
    ],
)
async def test_every_answer_can_be_read_by_pages_of_allowed_origins_and_no_others(start, kind, origin, is_allowed):
    """P6."""
    api = await start(kind)

    for method, path, body, who, status in ANSWERS:
        response = await api.request(method, path, body, who=who, headers={"Origin": origin} if origin else {})

        assert response.status == status, (method, path)
        allowed = response.headers.get("access-control-allow-origin")
        if is_allowed:
            assert allowed == origin or (kind == "any" and allowed == "*"), (method, path)
            assert "last-event-id" in names(response.headers["access-control-expose-headers"]), (method, path)
        else:
            assert allowed is None, (method, path)
        if kind == "list":
            # A cache must not give one origin's answer to another.
            assert "origin" in names(response.headers["vary"]), (method, path)


@pytest.mark.parametrize("kind", ["list", "any"])
async def test_a_stream_can_be_read_by_pages_of_allowed_origins(start, kind):
    api = await start(kind)

    async with api.stream(headers={"Origin": HERE}) as stream:
        assert stream.headers["access-control-allow-origin"] in (HERE, "*")
        assert kind == "any" or "origin" in names(stream.headers["vary"])
    async with api.stream(headers={"Origin": ELSEWHERE}) as stream:
        assert ("access-control-allow-origin" in stream.headers) is (kind == "any")


@pytest.mark.parametrize("kind", ["list", "any"])
async def test_a_preflight_needs_no_token_and_says_what_pages_may_send(start, kind):
    api = await start(kind)
    asked = {"Origin": HERE, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}

    for path, methods in METHODS.items():
        response = await api.request("OPTIONS", path, who=None, headers=asked)

        assert (response.status, response.body) == (204, b"")
        assert response.headers["access-control-allow-origin"] in (HERE, "*")
        assert names(response.headers["access-control-allow-methods"]) >= names(",".join(methods))
        assert names(response.headers["access-control-allow-headers"]) >= SENT
        assert int(response.headers["access-control-max-age"]) > 0


@pytest.mark.parametrize("name", READ)
async def test_pages_can_read_every_header_that_this_contract_names(start, name):
    api = await start("list")

    response = await api.post("/sessions/s/events", MESSAGE, who="alice", headers={"Origin": HERE})

    assert name.lower() in names(response.headers["access-control-expose-headers"])


async def test_a_refused_origin_is_still_served_for_it_is_the_browser_that_withholds(start):
    api = await start("list")

    response = await api.post("/sessions/s/events", MESSAGE, who="alice", headers={"Origin": ELSEWHERE})

    assert response.status == 201
    assert not any(name.startswith("access-control-") for name in response.headers)


async def test_a_listed_origin_may_send_the_cookie_and_any_other_may_not(start_server):
    """With credentials the origin is named; for * browsers allow none."""
    for origins, expected in (("https://app.example.com", ("https://app.example.com", "true")), ("*", ("*", None))):
        api = await start_server(cors_origins=origins)
        await api.post("/sessions", {"sessionId": "s"})
        async with api.stream(headers={"Origin": "https://app.example.com"}, who="service") as stream:
            assert stream.headers.get(CREDENTIALS) == expected[1]
        for path in ("/sessions", "/nothing"):
            answer = await api.get(path, headers={"Origin": "https://app.example.com"})
            found = answer.headers.get("access-control-allow-origin"), answer.headers.get(CREDENTIALS)
            assert found == expected
        await start_server.stop(api)


CREDENTIALS = "access-control-allow-credentials"


PUBLIC_ANSWERS = {"/healthz", "/nothing"}


async def test_every_answer_names_what_it_depends_on(start):
    """P6: a cache, the browser's own first of all, must not give one person's answer to another."""
    api = await start("list")

    for method, path, body, who, status in ANSWERS:
        response = await api.request(method, path, body, who=who)

        assert response.status == status, (method, path)
        expected = {"accept-encoding", "origin"} | (set() if path in PUBLIC_ANSWERS else {"authorization", "cookie"})
        assert names(response.headers["vary"]) == expected | ({"save-data"} & names(response.headers["vary"]))


async def test_a_304_says_the_same_of_origins_and_dependencies_as_the_answer_it_stands_for(start):
    api = await start("list")
    for path in ("/sessions/s", "/sessions/s/messages", "/sessions/s/updates?since=2020-01-01T00:00:00Z"):
        asked = {"Origin": HERE, "Accept-Encoding": "gzip"}
        whole = await api.get(path, who="alice", headers=asked)
        again = await api.get(path, who="alice", headers=asked | {"If-None-Match": whole.headers["etag"]})
        assert (whole.status, again.status) == (200, 304)
        assert again.headers["access-control-allow-origin"] == HERE
        told = [name for name in whole.headers if name.startswith("access-control-") or name in ("vary", "etag")]
        assert {name: again.headers.get(name) for name in told} == {name: whole.headers[name] for name in told}


async def test_the_head_of_a_stream_is_that_of_its_answer(start):
    api = await start("list")

    head = await api.request("HEAD", "/sessions/s/events", who="alice", headers={"Origin": HERE})
    async with api.stream(headers={"Origin": HERE}) as stream:
        assert head.headers | {"date": ""} == stream.headers | {"date": ""}
        assert {"authorization", "cookie", "origin"} <= names(stream.headers["vary"])
