"""Behind nginx no client ever gets another one's answer: both see the same requests end at the same bytes (P7).

The corpus of `tests.corpus` goes through a real nginx that keeps one connection to the server for everybody.
"""

from __future__ import annotations

import asyncio
import json
import re

import pytest

from tests.corpus import AFTER, CORPUS, End, Entry
from tests.echo import serve
from tests.front import MISSING, MODES, NGINX, Front

pytestmark = pytest.mark.skipif(NGINX is None, reason=MISSING)


def innocent(number: int) -> str:
    return f"/innocent/{number}"


# By nginx, in words of its own; a first line that is none is answered without a head.
REFUSED = re.compile(rb"HTTP/1\.1 [45]|^<html>")
ECHO = re.compile(rb'\r\n\r\n(\["\w+", "[^"]*", "(?:[^"\\]|\\.)*"\])')


def echoes(written: bytes) -> list[list[str]]:
    """Return what the server answered, from all that came through nginx."""
    return [json.loads(each) for each in ECHO.findall(written)]


def wanted(entry: Entry) -> list[list[str]]:
    """What of an entry, and of the request behind it, is answered without nginx."""
    return [list(each) for each in entry.asked + ((AFTER,) if entry.end is End.GOES_ON else ())]


@pytest.mark.gen_test(timeout=120)
@pytest.mark.parametrize("mode", MODES)
async def test_both_see_the_same_requests_and_nobody_gets_the_answer_of_another(mode, subtests):
    """P7."""
    taken, connections = 0, set()
    async with serve() as (app, _, port):
        with Front(port, mode) as front:
            for number, (name, entry) in enumerate(CORPUS.items()):
                began_at = len(app.asked)
                answers = await front.exchange(entry.sent)
                seen = [each.seen for each in app.asked[began_at:]]
                own = await front.exchange(f"GET {innocent(number)} HTTP/1.0\r\nHost: y\r\n\r\n".encode())
                said = [each for each in (await front.requests(innocent(number)))[:-1] if each.is_answered]
                connections |= {id(each.connection) for each in app.asked[began_at:]}
                taken += len(seen)
                with subtests.test(name):
                    assert echoes(own) == [["GET", innocent(number), ""]]
                    assert [each.asked[:2] for each in said] == [each[:2] for each in seen]
                    if mode == "whole":
                        assert [each.asked[2] for each in said] == [each[2] for each in seen]
                    # The client got the answers to these, in order.
                    assert echoes(answers) == [each for each in seen if each[0] != "HEAD"]
                    if not isinstance(entry.end, int) and not REFUSED.search(answers):
                        # Neither refuses it: then both read it as it is read without nginx.
                        assert seen == wanted(entry)
    # Otherwise nothing was shown: most entries must pass, and over connections that are used again.
    assert taken > 60 and len(connections) < taken / 3


CLIENTS, ROUNDS = 6, 20


@pytest.mark.parametrize("mode", MODES)
async def test_clients_that_are_answered_in_every_way_at_once_get_their_own_answers(start_server, mode):
    """P6, P7: refused before and behind their body, told that nothing is new, without a body; one pool for all."""
    api = await start_server(max_body_bytes=2048, max_event_bytes=1024)
    people = tuple(f"p{number}" for number in range(CLIENTS))
    await api.create("s", people)
    for person in people:
        await api.create(f"of-{person}", (person,))

    async def ask(
        front: Front, person: str, method: str, path: str, body: bytes = b"", *lines: str
    ) -> tuple[int, bytes]:
        token = api.headers(person)["Authorization"] if "nobody" not in lines else "Bearer none"
        sent = [f"{method} /api/sessions/{path} HTTP/1.1", "Host: x", "Connection: close", f"Authorization: {token}"]
        sent += [f"Content-Length: {len(body)}", *(line for line in lines if ":" in line), "", ""]
        written = await front.exchange("\r\n".join(sent).encode() + body)
        head, _, rest = written.partition(b"\r\n\r\n")
        if b"100 Continue" in head:
            head, _, rest = rest.partition(b"\r\n\r\n")
        return int(head.split()[1]), rest

    async def use(front: Front, person: str) -> None:
        own = f"of-{person}"
        for number in range(ROUNDS):
            name = f"{person}-{number}"
            message = {"type": "message_added", "messageId": name, "data": {"content": name}}
            status, answer = await ask(front, person, "POST", f"{own}/events", json.dumps(message).encode())
            assert status == 201
            sequence = json.loads(answer)["events"][0]["sequence"]
            status, answer = await ask(front, person, "GET", f"{own}/events/{sequence}")
            assert (status, json.loads(answer)["data"]["content"]) == (200, name)
            assert await ask(front, person, "HEAD", own) == (200, b"")
            assert (await ask(front, person, "GET", own, b"", "If-None-Match: *"))[0] in (200, 304)
            assert await ask(front, person, "GET", f"{own}/updates?timeout=0&lastEventId={sequence}") == (204, b"")
            for expected, method, path, body, *lines in (
                (401, "POST", f"{own}/events", b"x" * 500, "nobody"),
                (401, "POST", f"{own}/events", b"x" * 500, "nobody", "Expect: 100-continue"),
                (413, "POST", f"{own}/events", b"x" * 3000),
                (400, "POST", f"{own}/events", b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"),
                (405, "PUT", f"{own}/events", b"x" * 100),
                (404, "GET", f"{own}/events/9999", b""),
            ):
                status, answer = await ask(front, person, method, path, body, *lines)
                problem = json.loads(answer)
                assert (status, problem["status"]) == (expected, expected)
                assert problem["instance"] == f"/api/sessions/{path}", "somebody else's answer"

    with Front(api.port, mode) as front:
        await asyncio.gather(*(use(front, person) for person in people))
