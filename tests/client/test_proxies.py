"""Through proxies that want a user and a password, in absolute-form and by tunnel: every tier, and refusals."""

import pytest

from rtserver.client import ProxyRefused, connect
from tests.certificates import make_certificate, tls_in_front
from tests.conftest import until
from tests.proxy import ForwardProxy

RUNNING = {"sse": "live", "long-poll": "delayed", "short-poll": "polling"}


async def converse(follow, url, tier, **options):
    """Follow, send and see what was sent; return the client."""
    async with follow(url, tiers=[tier], **options) as alice:
        await alice.until(RUNNING[tier])
        sent = await alice.client.send("hello")
        await until(lambda: alice.contents or alice.clock.jump(0.2))
    assert [event.id for event in alice.events] == [sent.id]
    return alice


@pytest.mark.parametrize("tier", RUNNING)
async def test_http_goes_in_absolute_form_with_the_password(api, follow, tier):
    async with ForwardProxy("alice", "pa:ss") as proxy:
        options = {"token": api.token("alice"), "proxy": f"http://alice:pa%3Ass@127.0.0.1:{proxy.port}"}
        await converse(follow, f"http://rt.example:{api.port}", tier, **options)

    assert {asked.method for asked in proxy.asked} == {"GET", "POST"}
    assert all(asked.target.startswith(f"http://rt.example:{api.port}/api/") for asked in proxy.asked)
    assert {asked.headers["host"] for asked in proxy.asked} == {f"rt.example:{api.port}"}


@pytest.mark.parametrize("tier", RUNNING)
async def test_https_goes_through_a_tunnel_and_the_proxy_sees_no_token(api, follow, tier, tmp_path):
    certificate = make_certificate(tmp_path, "rt.example")
    async with ForwardProxy("alice", "secret") as proxy, tls_in_front(api.port, certificate) as port:
        options = {"token": api.token("alice"), "proxy": proxy.url, "ca": certificate["tls_cert"]}
        await converse(follow, f"https://rt.example:{port}", tier, **options)

    assert {(asked.method, asked.target) for asked in proxy.asked} == {("CONNECT", f"rt.example:{port}")}
    assert not any("authorization" in asked.headers for asked in proxy.asked)


async def test_http_goes_through_a_tunnel_where_it_is_asked_to(api, follow):
    async with ForwardProxy("alice", "secret") as proxy:
        # Streams are held back, but nobody looks into a tunnel.
        proxy.holds_streams = True
        options = {"token": api.token("alice"), "proxy": proxy.url, "tunnel": True}
        await converse(follow, f"http://rt.example:{api.port}", "sse", **options)

    assert {asked.method for asked in proxy.asked} == {"CONNECT"}


async def test_the_server_is_never_shown_the_password_of_the_proxy(api, follow):
    seen = []
    async with ForwardProxy("alice", "secret") as proxy, ForwardProxy() as server:
        # What stands in for the server is asked in a tunnel, and notes what it is asked.
        options = {"token": api.token("alice"), "proxy": proxy.url, "tunnel": True}
        async with follow(f"http://rt.example:{server.port}", **options):
            await until(lambda: server.asked)
        seen += server.asked

    assert "proxy-authorization" in proxy.asked[0].headers
    assert not any("proxy-authorization" in asked.headers for asked in seen)


async def test_the_environment_names_the_proxy_and_who_needs_none(api, follow):
    async with ForwardProxy("alice", "secret") as proxy:
        environment = {"HTTP_PROXY": proxy.url, "NO_PROXY": "other.example"}
        options = {"token": api.token("alice"), "environment": environment}
        await converse(follow, f"http://rt.example:{api.port}", "sse", **options)
        asked = len(proxy.asked)
        # This computer is reached directly.
        await converse(follow, f"http://127.0.0.1:{api.port}", "sse", **options)

    assert asked > 0
    assert len(proxy.asked) == asked


@pytest.mark.parametrize("tunnel", [False, True])
@pytest.mark.parametrize(
    ("given", "words"),
    [("", "wants a user and a password"), ("alice:wrong@", "does not accept this user and password")],
)
async def test_a_password_that_is_missing_or_wrong_is_said_and_tried_again_without_a_change_of_tier(
    api, follow, given, words, tunnel
):
    async with ForwardProxy("alice", "secret") as proxy:
        url = f"http://{given}127.0.0.1:{proxy.port}"
        options = {"token": api.token("alice"), "proxy": url, "tunnel": tunnel}
        async with follow(f"http://rt.example:{api.port}", **options) as alice:
            for _ in range(3):
                await alice.tries_again()
            await alice.waits()

            assert words in alice.client.status.reason
            assert "wrong" not in alice.client.status.reason
            assert alice.driver.machine.tier == "sse"
        client = connect(f"http://rt.example:{api.port}", "s", proxy=url, tunnel=tunnel, environment={})
        with pytest.raises(ProxyRefused) as refused:
            await client.history()
        assert refused.value.status == 407
        await client.close()


async def test_a_proxy_that_refuses_to_connect_is_told_from_a_server_that_does(api, follow):
    async with ForwardProxy() as proxy:
        proxy.refuses_all = True
        options = {"token": api.token("alice"), "proxy": proxy.url, "tunnel": True}
        async with follow(f"http://rt.example:{api.port}", **options) as alice:
            await alice.until("reconnecting")
            assert alice.client.status.reason == f"the proxy 127.0.0.1:{proxy.port} refuses to connect: 403"


async def test_a_proxy_that_is_not_there_is_said(api, follow):
    async with ForwardProxy() as proxy:
        pass
    async with follow(f"http://rt.example:{api.port}", token="x", proxy=proxy.url) as alice:
        await alice.until("reconnecting")
        assert alice.client.status.reason == f"the proxy 127.0.0.1:{proxy.port} cannot be reached: connection refused"
