"""Tokens: asked for again before and after they are refused, and only sent where a header can hold them."""

import asyncio

import pytest

from rtserver.client import Closed, Misused, SignedOut, connect
from tests.conftest import until


async def test_a_token_function_is_asked_before_the_token_expires_and_the_stream_goes_on(api, follow):
    given = []

    async def token():
        given.append(api.token("alice", ttl_seconds=300))
        return given[-1]

    async with follow(api, who=None, token=token) as alice:
        await alice.until("live")
        assert len(given) == 1
        (left,) = [each for each in alice.clock.left() if 200 < each <= 240]
        # Heard all the while, or the watchdog would be first.
        alice.driver._stream.heard_at += left
        alice.clock.jump(left)
        await until(lambda: len(given) == 2)
        await alice.until("live")
        await until(lambda: len(alice.clock.left()) >= 2)
        await api.publish("hello")
        await alice.saw("hello")

    assert "stopped" not in alice.words[:-1] and "signed-out" not in alice.words


async def test_a_refused_token_is_replaced_once_and_then_the_client_is_signed_out(api, follow):
    tokens = ["nonsense", api.token("alice"), "more nonsense", "still nonsense"]
    given = []

    def token():
        given.append(tokens[len(given)])
        return given[-1]

    async with follow(api, who=None, token=token) as alice:
        await alice.until("live")
        assert given == tokens[:2]
        alice.client._api.tokens._token = "expired meanwhile"
        with pytest.raises(SignedOut):
            await alice.client.send("refused")
        assert given == tokens[:3]
        alice.client.refresh()
        await alice.until("signed-out")

    assert given == tokens
    assert alice.client.status.tier is None


async def test_who_has_signed_in_again_is_handed_events_again(api, follow):
    tokens = ["of nobody"]

    async with follow(api, who=None, token=lambda: tokens[-1]) as alice:
        await alice.until("signed-out")
        await until(lambda: alice.client._delivering.done())
        tokens.append(api.token("alice"))
        alice.client.refresh()
        await alice.until("live")
        await api.publish("hello")
        await alice.saw("hello")


async def test_a_token_function_that_fails_is_asked_again_like_a_network(api, follow):
    failing = [True]

    def token():
        if failing[0]:
            raise OSError("the identity provider is away")
        return api.token("alice")

    async with follow(api, who=None, token=token) as alice:
        await alice.waits()
        assert alice.client.status.reason == "there is no token: the identity provider is away"
        failing[0] = False
        alice.client.refresh()
        await alice.until("live")


async def test_white_space_around_a_token_is_no_part_of_it(api, follow):
    async with follow(api, who=None, token=f" {api.token('alice')}\r\n") as alice:
        await alice.client.send("hello")
    async with follow(api, who=None, token=lambda: f"{api.token('alice')}\n") as alice:
        await alice.client.send("hello")


@pytest.mark.parametrize("token", ["secret\r\nX: y", "secret\u201d", "sécret", "secret\udcff", "secret\x00"])
async def test_a_token_that_a_header_cannot_hold_is_never_sent_and_never_shown(follow, token):
    with pytest.raises(Misused, match="the token holds") as refused:
        connect("http://127.0.0.1:9", "s", token=token)
    async with follow("http://127.0.0.1:9", token=lambda: token) as alice:
        sending = asyncio.create_task(alice.client.send("hello"))
        await until(lambda: alice.client.send_problem)
        await alice.waits()
        assert alice.client.status.reason == alice.client.send_problem == str(refused.value)
    with pytest.raises(Closed):
        await sending

    assert "cret" not in str(refused.value)
