"""Through each real proxy, with its own settings and with those of docs/proxies: every tier, publishing, keep-alive.

What the settings a proxy comes with take away is said here as it was found; docs/networks.rst tells it to people.
"""

from __future__ import annotations

import asyncio
import gzip
import json

import pytest

from tests.conftest import until
from tests.http import Connection, SseStream
from tests.networks.proxies import KINDS, PROXIES, Squid

# "forward" where clients are told of the proxy and ask it for the whole address.
WAYS = [(proxy, kind, "") for proxy in PROXIES.values() for kind in KINDS]
WAYS += [(Squid, kind, "forward") for kind in KINDS]
# Who writes another host into the request than the one that was asked.
RENAMES_HOST = {("nginx", "default"), ("Apache httpd", "default")}
# Who opens a connection to the server for each request.
OPENS_EACH_TIME = {("nginx", "default")}
# Who does not look at its client while the server is silent: a stream nobody reads is left at the next heartbeats.
# Who passes on what a client says of its own X-Forwarded-Proto.
PASSES_PROTO_ON = {("nginx", "default"), ("HAProxy", "default"), ("Apache httpd", "default")}
HEARS_WHEN_IT_WRITES = {"HAProxy", "Apache httpd"}


class Way:
    """A proxy in front of a server under test, and what a client behind it does."""

    def __init__(self, api, proxy, is_forward):
        self.api, self.proxy = api, proxy
        self.port = proxy.proxy_port if is_forward else proxy.port
        self.origin = f"http://{proxy.server}" if is_forward else proxy.url
        self.target = self.origin if is_forward else ""
        self.name = (proxy.name, proxy.kind)

    def path(self, path):
        return f"{self.target}/api/sessions/{path}"

    async def ask(self, method, path, body=None, headers=(), connection=None, who="alice"):
        body = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        headers = self.api.headers(who) | dict(headers)
        if connection:
            return await connection.request(method, self.path(path), headers, body)
        async with Connection(self.port) as connection:
            return await connection.request(method, self.path(path), headers, body)

    def stream(self, query=""):
        return SseStream(self.port, self.path(f"s/events{query}"), self.api.headers("alice"))


@pytest.fixture(params=WAYS, ids=lambda way: "-".join((way[0].__name__, *way[1:])).strip("-"))
def way(request, api, tmp_path):
    """A server with the session ``s``, and a proxy in front of it."""
    which, kind, direction = request.param
    if which.program is None:
        pytest.skip(which.missing())
    with which(api.port, tmp_path / "proxy", kind) as proxy:
        yield Way(api, proxy, bool(direction))


async def test_a_stream_is_verified_and_brings_each_event_at_once_and_once(way):
    loop = asyncio.get_running_loop()
    async with way.stream() as stream:
        assert stream.status == 200
        assert stream.headers["content-type"] == "text/event-stream"
        assert "content-encoding" not in stream.headers
        await stream.until("connected")
        connected_at = loop.time()
        await stream.until("probe")
        # Two seconds apart as they were sent; half a second is what a client asks for.
        assert loop.time() - connected_at > 0.5
        sent = []
        for number in range(5):
            # The next is published when this one has come: nobody on the way waits for more.
            sent.append((await way.api.publish(f"{number}"))["id"])
            assert (await stream.durable()).id == sent[-1]
        burst = [(await way.api.publish("x" * 2000 + f"{number}"))["id"] for number in range(50)]
        assert [(await stream.durable()).id for _ in burst] == burst


async def test_a_stream_that_comes_back_goes_on_behind_what_it_saw(way):
    entries = [await way.api.publish(f"{number}") for number in range(4)]
    async with way.stream() as stream:
        await stream.until("connected")
    for headers, query in (({"Last-Event-ID": entries[1]["id"]}, ""), ({}, f"?lastEventId={entries[1]['id']}")):
        path = way.path(f"s/events{query}")
        async with SseStream(way.port, path, way.api.headers("alice") | headers) as stream:
            assert [(await stream.durable()).id for _ in range(2)] == [entry["id"] for entry in entries[2:]]


async def test_the_server_hears_of_a_client_that_leaves(way):
    streams = way.api.hub.streams
    async with way.stream() as stream:
        await stream.until("connected")
        assert streams.count == 1
    async with asyncio.timeout(10):
        while streams.count:
            if way.name[0] in HEARS_WHEN_IT_WRITES:
                await way.api.publish("to nobody")
            await asyncio.sleep(0.02)


async def test_a_long_poll_waits_brings_what_happens_and_keeps_its_headers(way):
    polls = way.api.hub.registry.peek("s").polls
    poll = asyncio.create_task(way.ask("GET", "s/updates?clientId=c"))
    await until(lambda: any(each.is_waiting for each in polls))
    entry = await way.api.publish("news")
    answer = await poll
    assert [event["id"] for event in answer.json["events"]] == [entry["id"]]
    assert answer.headers["last-event-id"] == entry["id"]
    assert answer.headers["cache-control"] == "no-cache, no-store"

    nothing = await way.ask("GET", f"s/updates?clientId=c&timeout=1&lastEventId={entry['id']}")
    assert (nothing.status, nothing.body) == (204, b"")
    assert nothing.headers["retry-after"] == "5"
    assert nothing.headers["last-event-id"] == entry["id"]


async def test_a_short_poll_without_news_is_a_304(way):
    await way.api.publish("one")
    path = "s/updates?since=2020-01-01T00:00:00Z&lastEventId=0"
    first = await way.ask("GET", path)
    assert [each["data"]["content"] for each in first.json["updates"] if each["type"] == "message_added"] == ["one"]
    again = await way.ask("GET", path, headers={"If-None-Match": first.headers["etag"]})
    assert (again.status, again.body) == (304, b"")
    assert again.headers["etag"] == first.headers["etag"]
    assert again.headers["poll-interval"]
    await way.api.publish("two")
    news = await way.ask("GET", path, headers={"If-None-Match": first.headers["etag"]})
    assert news.status == 200
    assert news.json["updates"][-1]["data"]["content"] == "two"


async def test_what_is_published_arrives_once_whatever_its_size_and_encoding(way):
    for body, headers in (
        ({"type": "message_added", "data": {"content": "short"}}, {"Idempotency-Key": "k"}),
        ({"type": "message_added", "data": {"content": "long" * 15_000}}, {}),
        (gzip.compress(b'{"type": "message_added", "data": {"content": "gzipped"}}'), {"Content-Encoding": "gzip"}),
    ):
        answer = await way.ask("POST", "s/events", body, headers)
        assert answer.status == 201, answer.body
    again = await way.ask(
        "POST", "s/events", {"type": "message_added", "data": {"content": "short"}}, {"Idempotency-Key": "k"}
    )
    assert again.headers["idempotency-replayed"] == "true"
    history = (await way.ask("GET", "s/messages", headers={"Accept-Encoding": "gzip"}),)
    assert history[0].headers["content-encoding"] == "gzip"
    messages = json.loads(gzip.decompress(history[0].body))["messages"]
    assert [each["data"]["content"][:7] for each in messages] == ["gzipped", "longlon", "short"]


async def test_a_refusal_is_the_servers_own(way):
    refused = await way.ask("POST", "s/events", {"type": "connected", "data": {}})
    assert (refused.status, refused.headers["content-type"]) == (400, "application/problem+json")
    nobody = await way.ask("GET", "s", who=None)
    assert (nobody.status, nobody.headers["www-authenticate"].split()[0]) == (401, "Bearer")


async def test_a_client_polls_on_one_connection_and_so_does_the_proxy(way):
    before = way.api.connections
    async with Connection(way.port) as connection:
        for _ in range(5):
            assert (await way.ask("GET", "s", connection=connection)).status == 200
        kept = 0 if way.name in OPENS_EACH_TIME else 1
        await until(lambda: way.api.connections - before == kept)


async def test_a_page_that_writes_by_cookie_is_known_by_its_host(way):
    cookie = {"Cookie": f"rt_token={way.api.token('alice')}", "Origin": way.origin}
    body = {"type": "message_added", "data": {"content": "by cookie"}}
    answer = await way.ask("POST", "s/events", body, cookie, who=None)
    # Over TLS browsers say Sec-Fetch-Site, and it is enough.
    assert answer.status == (403 if way.name in RENAMES_HOST else 201), answer.body
    secure = await way.ask("POST", "s/events", body, cookie | {"Sec-Fetch-Site": "same-origin"}, who=None)
    assert secure.status == 201


async def test_a_client_does_not_say_for_the_proxy_that_it_came_by_tls(way):
    lies = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "203.0.113.9"}
    path = f"{way.target}/api/diagnostics/network"
    async with Connection(way.port) as connection:
        found = await connection.request("GET", path, way.api.headers("alice") | lies)
    assert found.status == 200
    # An office's proxy passes on what there is; it is not on the server's machine, and not believed.
    assert found.json["protocol"] == ("https" if way.name in PASSES_PROTO_ON or way.target else "http")


@pytest.mark.skipif(Squid.program is None, reason=Squid.missing())
@pytest.mark.parametrize("kind", KINDS)
async def test_squid_tunnels_to_443_and_to_no_other_port(api, kind):
    """As it comes, and as recommended: an application on another port is out of reach for browsers behind it."""
    with Squid(api.port, kind=kind) as proxy:
        async with Connection(proxy.proxy_port) as connection:
            connection.send("CONNECT", f"127.0.0.1:{api.port}")
            status, _ = await connection.read_head()
    assert status == 403
