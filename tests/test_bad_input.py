"""P7: whatever a body holds, the answer is a clear refusal that changes nothing, and never a 500.

Tables for what is known to hurt parsers, hypothesis for what nobody has thought of.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import Api
from tests.contract import MESSAGE, STORM, Route, assert_problem, state
from tests.http import Response

CREATE = Route(
    "POST",
    "/sessions",
    {
        "sessionId": "new",
        "metadata": {"topic": "loan"},
        "participants": [{"participantId": "carol", "displayName": "Carol", "kind": "ai"}],
    },
)
CHANGE = Route("PATCH", "/sessions/s", {"status": "closed", "metadata": {"topic": "loan"}})
JOIN = Route("PUT", "/sessions/s/participants/carol", {"displayName": "Carol", "kind": "ai"})
PUBLISH = Route("POST", "/sessions/s/events", MESSAGE | {"messageId": "m1"})
MESSAGE_ROUTE = Route("POST", "/sessions/s/events", MESSAGE)
BATCH = Route("POST", "/sessions/s/events", {"events": [MESSAGE, {"type": "order.paid", "data": {"order": 1}}]})
TYPING = Route("POST", "/sessions/s/events", {"type": "typing_indicator", "data": {"isTyping": True}})
PROGRESS = Route("POST", "/sessions/s/events", {"type": "ai_progress", "data": {"status": "thinking"}})
ROUTES = [CREATE, CHANGE, JOIN, PUBLISH, BATCH, TYPING, PROGRESS]


@pytest.fixture
def run(io_loop) -> Callable[[Coroutine], Any]:
    """Run a coroutine from a test that is not one: hypothesis calls it many times."""
    return io_loop.asyncio_loop.run_until_complete


async def send(api: Api, route: Route, body: bytes, **headers: str) -> Response:
    return await api.request(route.method, route.path, body, headers=headers)


def encoded(document: object) -> bytes:
    return json.dumps(document).encode()


# Bodies that are not JSON, or not an object

NOT_JSON = {
    "nothing but space": b" \t\r\n ",
    "a brace": b"{",
    "a brace too many": b"{}}",
    "two documents": b"{}{}",
    "single quotes": b"{'type': 'x'}",
    "no quotes": b"{type: 1}",
    "a comma at the end": b'{"type": "x",}',
    "a comment": b'{"type": "x"} // x',
    "NaN": b'{"type": "x", "data": {"n": NaN}, "metadata": {"n": NaN}}',
    "Infinity": b'{"type": "x", "data": {"n": -Infinity}, "metadata": {"n": Infinity}}',
    "a number too large": b'{"type": "x", "data": {"n": 1e999}, "metadata": {"n": 1e999}}',
    "a sign": b'{"type": "x", "data": {"n": +1}, "metadata": {"n": +1}}',
    "leading zeros": b'{"type": "x", "data": {"n": 01}, "metadata": {"n": 01}}',
    "a point": b'{"type": "x", "data": {"n": .5}, "metadata": {"n": 5.}}',
    "hexadecimal": b'{"type": "x", "data": {"n": 0x1}, "metadata": {"n": 0x1}}',
    "undefined": b'{"type": undefined}',
    "a byte order mark": b"\xef\xbb\xbf{}",
    "UTF-16": '{"type": "x", "data": {}}'.encode("utf-16"),
    "Latin-1": '{"type": "x", "data": {"a": "\xe4"}, "metadata": {"a": "\xe4"}, "displayName": "\xe4"}'.encode(
        "latin1"
    ),
    "overlong UTF-8": b'{"type": "x", "data": {"a": "\xc0\x80"}}',
    "surrogates in UTF-8": b'{"type": "x", "data": {"a": "\xed\xa0\x80"}}',
    "beyond Unicode": b'{"type": "x", "data": {"a": "\xf5\x80\x80\x80"}}',
    "bytes in a name": b'{"\xff": 1}',
    "a lone high surrogate": b'{"type": "x", "data": {"a": "\\ud800"}, "metadata": {"a": "\\ud800"}}',
    "a lone low surrogate": b'{"type": "x", "data": {"a": "\\udc00x"}, "metadata": {"a": "\\udc00x"}}',
    "surrogates in the wrong order": b'{"type": "x", "data": {"a": "\\udc00\\ud800"}}',
    "a surrogate in a name": b'{"type": "x", "data": {"\\ud800": 1}, "metadata": {"\\ud800": 1}}',
    "an escape cut short": b'{"type": "x", "data": {"a": "\\u12"}}',
    "an unknown escape": b'{"type": "x", "data": {"a": "\\x41"}}',
    "a raw NUL": b'{"type": "x", "data": {"a": "\x00"}}',
    "a raw line break": b'{"type": "x", "data": {"a": "\n"}}',
    "NULs": bytes(100),
    "deep lists": b'{"type": "x", "data": {"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}}",
    "deep objects": b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
    "deep and open": b"[" * 500_000,
    "null": b"null",
    "a list": b"[]",
    "a list of it": b'[{"type": "x", "data": {}}]',
    "a string": b'"{}"',
    "a number": b"1",
    "true": b"true",
    "a form": b"type=x&data=%7B%7D",
    "XML": b'<?xml version="1.0"?><event/>',
}


@pytest.mark.parametrize("route", [CREATE, CHANGE, JOIN, PUBLISH], ids=str)
async def test_a_body_that_is_no_json_object_is_refused_and_does_nothing(api, route, subtests):
    """P7."""
    before = await state(api)

    for name, body in NOT_JSON.items():
        with subtests.test(name):
            assert_problem(await send(api, route, body), 400)

    assert await state(api) == before


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route} {list(route.body)}")
async def test_a_body_cut_anywhere_is_refused(api, route):
    """P7."""
    before = await state(api)
    body = encoded(route.body)

    for length in range(1, len(body)):
        assert_problem(await send(api, route, body[:length]), 400)

    assert await state(api) == before


@STORM
@given(
    data=st.data(),
    route=st.sampled_from(ROUTES),
    junk=st.sampled_from([b"\xff", b"\xc0", b"\x00", b"\x1f", b"\xed\xa0"]),
)
def test_a_body_with_a_foreign_byte_anywhere_is_refused(api, run, data, route, junk):
    """P7."""
    body = encoded(route.body)
    place = data.draw(st.integers(0, len(body)))
    before = run(state(api))

    assert_problem(run(send(api, route, body[:place] + junk + body[place:])), 400)

    assert run(state(api)) == before


@STORM
@given(
    route=st.sampled_from(ROUTES), body=st.binary(min_size=1, max_size=200), coding=st.sampled_from(["gzip", "deflate"])
)
def test_noise_is_refused_plain_and_as_what_it_says_it_is(api, run, route, body, coding):
    """P7."""
    before = run(state(api))

    assert_problem(run(send(api, route, b"\xff" + body)), 400)
    assert_problem(run(send(api, route, b"\xff" + body, **{"Content-Encoding": coding})), 400)

    assert run(state(api)) == before


# Bodies with one wrong thing in the right place

LETTERS = st.text("abcXYZ019._~@:-", max_size=200)
NUMBERS = (
    st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from([10**30, -(10**300), 2**64])
)
TEXTS = (
    st.text(max_size=60) | LETTERS | st.sampled_from(["\0", "\u2028", "x" * 70_000, "\U0010ffff", "NaN", "null", "{}"])
)
SCALARS = st.none() | st.booleans() | NUMBERS | TEXTS
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=8,
)


def other_than(*types: type, absent: bool = False) -> st.SearchStrategy:
    """Return JSON of other types; null counts as absent, which is wrong only where ``absent`` says so."""
    return JSON.filter(lambda found: not isinstance(found, types) and (absent or found is not None))


NOT_TEXT = other_than(str)
NOT_OBJECT = other_than(dict)
NO_NAME = NOT_TEXT | st.sampled_from(["", ".", "..", "x" * 129, "a b", "ä", "a/b", "\0"])
NO_TYPE = other_than(str, absent=True) | st.sampled_from(
    ["", "A", "9", "x" * 65, "a b", "open", "error", "message", "reset", "connected", "probe", "heartbeat", "reconnect"]
)
WRONG: list[tuple[Route, list[str | int], st.SearchStrategy]] = [
    (CREATE, ["sessionId"], NO_NAME),
    (CREATE, ["metadata"], NOT_OBJECT),
    (CREATE, ["participants"], other_than(list)),
    (CREATE, ["participants", 0], other_than(dict, absent=True)),
    (CREATE, ["participants", 0, "participantId"], NO_NAME | st.none()),
    (CREATE, ["participants", 0, "displayName"], NOT_TEXT),
    (CREATE, ["participants", 0, "kind"], JSON.filter(lambda found: found not in (None, "human", "ai"))),
    (CHANGE, ["status"], JSON.filter(lambda found: found not in (None, "active", "paused", "closed"))),
    (CHANGE, ["metadata"], NOT_OBJECT),
    (JOIN, ["displayName"], NOT_TEXT),
    (JOIN, ["kind"], JSON.filter(lambda found: found not in (None, "human", "ai"))),
    (PUBLISH, ["type"], NO_TYPE),
    (PUBLISH, ["data"], other_than(dict, absent=True)),
    (PUBLISH, ["data", "content"], other_than(str, absent=True)),
    (MESSAGE_ROUTE, ["data", "messageId"], NOT_TEXT | st.text(min_size=129, max_size=200)),
    (PUBLISH, ["data", "participantId"], NO_NAME),
    (PUBLISH, ["messageId"], NOT_TEXT | st.text(min_size=129, max_size=200)),
    (BATCH, ["events"], other_than(list, absent=True) | st.just([])),
    (BATCH, ["events", 0], other_than(dict, absent=True)),
    (BATCH, ["events", 1], other_than(dict, absent=True)),
    (BATCH, ["events", 0, "data", "content"], other_than(str, absent=True)),
    (BATCH, ["events", 1, "type"], NO_TYPE),
    (BATCH, ["events", 1, "data"], other_than(dict, absent=True)),
    (TYPING, ["data", "isTyping"], other_than(bool, absent=True)),
    (PROGRESS, ["data", "status"], other_than(str, absent=True)),
]


def with_value(document: Any, path: list[str | int], value: object) -> Any:
    """Return a copy of a document with one place of it replaced."""
    if not path:
        return value
    copy = list(document) if isinstance(document, list) else dict(document)
    old = copy[path[0]] if isinstance(copy, list) else copy.get(path[0])
    copy[path[0]] = with_value(old, path[1:], value)  # type: ignore[index]
    return copy


@pytest.mark.parametrize(
    ("route", "path", "wrong"), WRONG, ids=lambda value: "" if hasattr(value, "map") else str(value)[:60]
)
def test_what_has_the_wrong_type_anywhere_is_refused_and_does_nothing(api, run, route, path, wrong):
    """P7."""
    before = run(state(api))

    @settings(STORM, max_examples=15)
    @given(wrong)
    def storm(value):
        response = run(send(api, route, encoded(with_value(route.body, path, value))))
        # A string too long for an event is as wrong as any, and may be found first.
        assert_problem(response, 413 if response.status == 413 and len(encoded(value)) > 60_000 else 400)

    storm()
    assert run(state(api)) == before


@STORM
@given(route=st.sampled_from(ROUTES), data=st.data())
def test_whatever_stands_where_an_answer_is_never_a_mistake_of_the_server(api, run, route, data):
    """P7."""
    fields = st.dictionaries(st.sampled_from([*route.body, "events", "type", "data", "x"]), JSON)
    document = data.draw(JSON | fields | fields.map(lambda found: route.body | found))
    before = run(state(api))

    response = run(send(api, route, encoded(document)))

    assert response.status < 500
    if response.status >= 400:
        assert_problem(response, response.status)
        assert run(state(api)) == before
    run(send(api, Route("PATCH", "/sessions/s", {}), b'{"status": "active"}'))
    for name in [entry["sessionId"] for entry in run(api.get("/sessions?limit=100")).json["sessions"]]:
        if name != "s":
            run(api.request("DELETE", f"/sessions/{name}"))


LONG = "x" * 900_000


@pytest.mark.parametrize(
    ("route", "path", "status"),
    [
        (CREATE, ["sessionId"], 400),
        (CREATE, ["participants", 0, "participantId"], 400),
        (CREATE, ["participants", 0, "kind"], 400),
        (CREATE, ["metadata", "topic"], 413),
        (CHANGE, ["status"], 400),
        (CHANGE, ["metadata", "topic"], 413),
        (JOIN, ["kind"], 400),
        (PUBLISH, ["type"], 400),
        (PUBLISH, ["messageId"], 400),
        (PUBLISH, ["data", "content"], 413),
        (BATCH, ["events", 1, "data", LONG], 413),
    ],
    ids=lambda value: str(value)[:60],
)
async def test_very_long_strings_are_refused_and_not_sent_back(api, route, path, status):
    """P4, P7."""
    before = await state(api)

    response = await send(api, route, encoded(with_value(route.body, path, LONG if path[-1] != LONG else 1)))

    assert_problem(response, status)
    assert len(response.body) < 1000
    assert await state(api) == before


@pytest.mark.parametrize("depth", [10, 98, 99, 100, 101, 1000, 10_000, 100_000])
@pytest.mark.parametrize("opened", ["[", '{"a":'])
async def test_what_is_nested_deeply_can_be_read_again_or_is_refused(api, depth, opened):
    """P7."""
    nested = opened * depth + "1" + {"[": "]"}.get(opened, "}") * depth
    bodies = [
        (PUBLISH, f'{{"type": "x", "data": {{"a": {nested}}}}}'),
        (PUBLISH, f'{{"type": "x", "data": {{}}, "unknown": {nested}}}'),
        (CHANGE, f'{{"metadata": {{"a": {nested}}}}}'),
        (CHANGE, f'{{"unknown": {nested}}}'),
    ]

    for route, body in bodies:
        before = await state(api)
        response = await send(api, route, body.encode(), **{"Idempotency-Key": body[:20] + str(len(body))})
        if response.status >= 400:
            assert_problem(response, 413 if response.status == 413 else 400)
            assert await state(api) == before
        assert (await api.get("/sessions/s")).status == 200
        assert (await api.poll("lastEventId=2&timeout=0")).status in (200, 204)
