"""Who may (DESIGN 4.1): roles on every route, no probing, and what a token must be."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import re

import jwt
import pytest

from tests.contract import METHODS, PUBLIC, SESSION_ROUTES, SIGNING_OUT, assert_problem, state, status_of

WHO = ("admin", "service", "alice", "carol")
# carol has a token and is in no session.
TABLE = [
    # method, path, body                                            admin service alice carol
    ("POST", "/sessions", {"sessionId": "new"}, (201, 201, 403, 403)),
    ("GET", "/sessions", None, (200, 200, 200, 200)),
    ("GET", "/sessions/s", None, (200, 200, 200, 403)),
    ("PATCH", "/sessions/s", {"status": "paused"}, (200, 200, 403, 403)),
    ("DELETE", "/sessions/s", None, (204, 204, 403, 403)),
    ("GET", "/sessions/s/participants", None, (200, 200, 200, 403)),
    ("PUT", "/sessions/s/participants/dave", {}, (201, 201, 403, 403)),
    ("PUT", "/sessions/s/participants/alice", {}, (200, 200, 403, 403)),
    ("PUT", "/sessions/s/participants/carol", {}, (201, 201, 403, 403)),
    ("DELETE", "/sessions/s/participants/bob", None, (204, 204, 403, 403)),
    ("POST", "/sessions/s/leave", None, (404, 404, 204, 403)),
    ("POST", "/sessions/s/events", {"type": "message_added", "data": {"content": "x"}}, (201, 201, 201, 403)),
    ("POST", "/sessions/s/events", {"type": "typing_indicator", "data": {"isTyping": True}}, (202, 202, 202, 403)),
    ("POST", "/sessions/s/events", {"type": "ai_progress", "data": {"status": "x"}}, (202, 202, 403, 403)),
    ("POST", "/sessions/s/events", {"type": "custom", "data": {}}, (201, 201, 403, 403)),
    ("GET", "/sessions/s/events", None, (200, 200, 200, 403)),
    ("GET", "/sessions/s/events/1", None, (200, 200, 200, 403)),
    ("GET", "/sessions/s/messages", None, (200, 200, 200, 403)),
    ("GET", "/sessions/s/updates?timeout=0", None, (204, 204, 204, 403)),
    ("POST", "/sessions/s/tickets", None, (201, 201, 201, 403)),
    ("POST", "/auth/cookie", None, (204, 204, 204, 204)),
    ("DELETE", "/auth/cookie", None, (204, 204, 204, 204)),
    ("POST", "/auth/logout", None, (204, 204, 204, 204)),
    ("GET", "/diagnostics/network", None, (200, 200, 200, 200)),
    ("POST", "/diagnostics/reports", {"tier": "sse", "reason": "verified"}, (204, 204, 204, 204)),
    ("GET", "/diagnostics/stream", None, (200, 200, 200, 200)),
    ("GET", "/diagnostics/hold", None, (200, 200, 200, 200)),
    ("GET", "/diagnostics/payload", None, (200, 200, 200, 200)),
    ("GET", "/openapi.json", None, (200, 200, 200, 200)),
    ("GET", "/health/realtime", None, (200, 200, 200, 200)),
    ("GET", "/healthz", None, (200, 200, 200, 200)),
]


@pytest.mark.parametrize(("method", "path", "body", "statuses"), TABLE, ids=lambda value: str(value)[:50])
async def test_each_role_may_what_the_table_says(api, method, path, body, statuses, subtests):
    """P6."""
    for who, expected in zip(WHO, statuses, strict=True):
        with subtests.test(who=who):
            before = await state(api)
            assert await status_of(api, method, path, body, who=who) == expected
            if expected in (403, 404):
                assert await state(api) == before
            for name in ("s", "new"):
                await api.request("DELETE", f"/sessions/{name}")
            await api.create()


@pytest.mark.parametrize("token", ["none", "bad"])
@pytest.mark.parametrize("path", [path for path in METHODS if path not in PUBLIC])
async def test_nothing_is_done_without_a_good_token(api, path, token):
    """P6."""
    before = await state(api)
    headers = {} if token == "none" else {"Authorization": "Bearer nonsense"}

    for method in METHODS[path] - {"HEAD"}:
        if (method, path) in SIGNING_OUT:
            continue
        response = await api.request(method, path, {"sessionId": "new"}, who=None, headers=headers)
        assert_problem(response, 401)
        challenge = response.headers["www-authenticate"]
        assert challenge.startswith("Bearer")
        assert ('error="invalid_token"' in challenge) is (token == "bad")

    assert await state(api) == before


@pytest.mark.parametrize("path", sorted(PUBLIC))
@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer nonsense"}], ids=["none", "bad"])
async def test_what_is_public_needs_no_token(api, path, headers):
    assert (await api.get(path, who=None, headers=headers)).status == 200


def test_every_route_is_in_the_table():
    def shape(method: str, path: str) -> tuple[str, str]:
        return method, re.sub("/participants/.*", "/participants/*", path.partition("?")[0])

    routes = {shape(method, path) for path, methods in METHODS.items() for method in methods - {"HEAD"}}
    assert {shape(method, path) for method, path, _, _ in TABLE} == routes


# No probing

BODIES = {
    "as it should be": None,
    "malformed": b"{",
    "of a wrong type": b"[]",
    "empty": b"",
    "too large": b" " * (1 << 20) + b"{}",
}


@pytest.mark.parametrize("route", SESSION_ROUTES, ids=str)
async def test_a_stranger_cannot_tell_a_session_it_is_not_in_from_one_that_does_not_exist(api, route, subtests):
    """P6."""
    await api.create("gone")
    await api.request("DELETE", "/sessions/gone")
    before = await state(api)

    for kind, bad_body in BODIES.items():
        body = route.body if bad_body is None else bad_body
        with subtests.test(kind):
            answers = [
                await api.request(route.method, f"/sessions/{name}{route.path}", body, who="carol")
                for name in ("s", "never", "gone", "~" * 128, "~" * 129, "with%20space", "%00", "..%2Fs")
            ]
            problems = [assert_problem(answer, 403) for answer in answers]
            for problem, answer in zip(problems, answers, strict=True):
                # The address that was asked for is repeated, and nothing else may differ.
                del problem["instance"], answer.headers["date"], answer.headers["content-length"]
                assert (problem, answer.headers) == (problems[0], answers[0].headers)

    assert await state(api) == before


async def test_a_participant_cannot_find_out_names_by_creating(api):
    """P6."""
    before = await state(api)

    answers = [await api.post("/sessions", {"sessionId": name}, who="carol") for name in ("s", "never", "not allowed")]

    problems = [assert_problem(answer, 403) for answer in answers]
    assert all(problem == problems[0] for problem in problems)
    assert await state(api) == before


@pytest.mark.parametrize("who", ["service", "admin"])
async def test_services_are_told_that_a_session_does_not_exist(api, who):
    before = await state(api)

    for route in SESSION_ROUTES:
        assert_problem(await api.request(route.method, f"/sessions/never{route.path}", route.body, who=who), 404)

    assert await state(api) == before


# Tokens

FUTURE = 4_000_000_000  # seconds since 1970: in 2096
PAST = 1_000_000_000
GOOD = {"sub": "alice", "exp": FUTURE}


@pytest.mark.parametrize(
    ("claims", "sees"),
    [
        (GOOD, ["s"]),
        (GOOD | {"role": "participant"}, ["s"]),
        (GOOD | {"role": "service"}, ["other", "s"]),
        (GOOD | {"role": "admin"}, ["other", "s"]),
        ({"sub": "service", "exp": FUTURE}, []),
        ({"sub": "admin", "exp": FUTURE, "role": "participant"}, []),
        (GOOD | {"exp": FUTURE + 0.5, "iat": FUTURE, "jti": "x", "unknown": [1]}, ["s"]),
    ],
    ids=str,
)
async def test_the_role_in_the_token_decides_and_is_participant_by_default(api, claims, sees):
    """P6."""
    await api.create("other", ())
    token = jwt.encode(claims, api._secret, algorithm="HS256")

    listed = await api.get("/sessions", who=None, headers={"Authorization": f"Bearer {token}"})

    assert sorted(entry["sessionId"] for entry in listed.json["sessions"]) == sees


BAD_CLAIMS = [
    {"sub": "alice"},
    {"exp": FUTURE},
    GOOD | {"exp": PAST},
    GOOD | {"exp": 0},
    GOOD | {"exp": -1},
    GOOD | {"exp": None},
    GOOD | {"exp": "soon"},
    GOOD | {"exp": [FUTURE]},
    GOOD | {"exp": float("nan")},
    GOOD | {"exp": float("inf")},
    GOOD | {"exp": 10**400},
    *(GOOD | {"sub": sub} for sub in ("", "..", "a b", "x" * 129, "ä", "a\n", None, 5, ["alice"], {})),
    *(GOOD | {"role": role} for role in ("", "root", "Admin", "service ", None, 5, True, ["admin"], {})),
    GOOD | {"nbf": FUTURE},
]


@pytest.mark.parametrize("claims", BAD_CLAIMS, ids=lambda found: str(found)[:60])
async def test_a_token_that_says_too_little_or_nonsense_is_refused(api, claims):
    """P6, P7."""
    signed = jwt.api_jws.encode(json.dumps(claims).encode(), api._secret, algorithm="HS256")

    response = await api.get("/sessions", who=None, headers={"Authorization": f"Bearer {signed}"})

    assert_problem(response, 401)
    assert 'error="invalid_token"' in response.headers["www-authenticate"]


def encoded(part: object) -> str:
    raw = part if isinstance(part, bytes) else json.dumps(part).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def forgeries(secret: bytes, good: str) -> dict[str, str]:
    head, payload, signature = good.split(".")
    admin = encoded(GOOD | {"role": "admin"})
    return {
        "empty": "",
        "one part": head,
        "no signature": f"{head}.{payload}",
        "empty signature": f"{head}.{payload}.",
        "two tokens": f"{good} {good}",
        "signature cut": good[:-5],
        "signature of another": f"{head}.{admin}.{signature}",
        "alg none": f"{encoded({'alg': 'none'})}.{admin}.",
        "alg None": f"{encoded({'alg': 'None'})}.{admin}.",
        "alg RS256": f"{encoded({'alg': 'RS256'})}.{admin}.{signature}",
        "alg HS512": jwt.encode(GOOD, secret * 2, algorithm="HS512"),
        "alg a list": f"{encoded({'alg': ['HS256']})}.{payload}.{signature}",
        "no alg": f"{encoded({})}.{payload}.{signature}",
        "head a list": f"{encoded([])}.{payload}.{signature}",
        "head not JSON": f"{encoded(b'{')}.{payload}.{signature}",
        "head too deep": f"{encoded(b'[' * 20_000)}.{payload}.{signature}",
        "kid a list": f"{encoded({'alg': 'HS256', 'kid': [1]})}.{payload}.{signature}",
        "crit": f"{encoded({'alg': 'HS256', 'crit': ['x']})}.{payload}.{signature}",
        "another secret": jwt.encode(GOOD, b"x" * 32, algorithm="HS256"),
        "payload too deep": jwt.api_jws.encode(b"[" * 20_000, secret, algorithm="HS256"),
        "payload a list": jwt.api_jws.encode(b"[]", secret, algorithm="HS256"),
        "payload not UTF-8": jwt.api_jws.encode(b'{"sub": "\xff"}', secret, algorithm="HS256"),
        "letters": "\xe4.\xf6.\xfc",
    }


@pytest.mark.parametrize("kind", forgeries(b"s" * 32, "a.b.c"))
async def test_a_forged_token_opens_nothing_and_is_repeated_nowhere(api, kind, caplog):
    """P6, P7."""
    before = await state(api)
    token = forgeries(api._secret, api.token("alice"))[kind]
    caplog.set_level(logging.DEBUG)
    caplog.clear()

    response = await api.post("/sessions", {}, who=None, headers={"Authorization": f"Bearer {token}"})

    assert_problem(response, 401)
    assert 'error="invalid_token"' in response.headers["www-authenticate"]
    for part in token.split("."):
        assert len(part) < 10 or part not in response.body.decode() + caplog.text
    assert await state(api) == before


@pytest.mark.parametrize("value", ["", "Basic YWxpY2U6", "Digest x", "Token x", "x"])
async def test_other_ways_to_say_who_you_are_count_as_none(api, value):
    response = await api.get("/sessions", who=None, headers={"Authorization": value})

    assert_problem(response, 401)
    assert response.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize("scheme", ["Bearer ", "bearer ", "BEARER ", "Bearer   "])
async def test_the_scheme_is_read_in_any_case(api, scheme):
    response = await api.get("/sessions/s", who=None, headers={"Authorization": scheme + api.token("alice")})

    assert response.status == 200


async def test_a_token_that_was_good_is_refused_when_it_has_expired(api):
    """P6."""
    headers = {"Authorization": f"Bearer {api.token('alice', ttl_seconds=2)}"}
    assert (await api.get("/sessions/s", who=None, headers=headers)).status == 200

    async with asyncio.timeout(10):
        while (response := await api.get("/sessions/s", who=None, headers=headers)).status == 200:
            pass

    assert_problem(response, 401)
    assert 'error="invalid_token"' in response.headers["www-authenticate"]


@pytest.mark.parametrize("name", ["access_token", "token", "authorization"])
async def test_a_bearer_token_in_the_address_opens_nothing(api, name):
    """P6."""
    response = await api.get(f"/sessions?{name}={api.token('service', 'service')}", who=None)

    assert_problem(response, 401)
    assert api.token("service", "service") not in response.body.decode()


async def test_tokens_of_one_server_are_nothing_to_another(api, start_server, tmp_path):
    """P6."""
    other = await start_server(data_dir=str(tmp_path / "other"))

    response = await api.get("/sessions", who=None, headers=other.headers("admin"))

    assert_problem(response, 401)
