"""Probes of the network: what they send when, who may have how many, and what they never tell (DESIGN 4.9)."""

from __future__ import annotations

import asyncio
import json

import pytest

from tests.conftest import Api, until
from tests.contract import assert_problem, assert_timestamp
from tests.http import Connection

PROBES = ("hold?seconds=60", "stream?interval=5000", "payload?bytes=1048576")


def blocks(body: bytes) -> list[tuple[str, dict]]:
    """Return the events of a probe stream."""
    found = []
    for block in body.decode().strip("\n").split("\n\n"):
        type, data = block.split("\n")
        found.append((type.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    return found


class Running:
    """A probe that is under way: ``async with Running(api, path)`` until its answer is read or given up."""

    def __init__(self, api: Api, path: str, who: str = "alice", receive_buffer: int | None = None) -> None:
        self._api = api
        self._path = path
        self._who = who
        self.connection = Connection(api.port, receive_buffer=receive_buffer)

    async def __aenter__(self) -> Connection:
        before = self._api.hub.probes.count
        await self.connection.__aenter__()
        self.connection.send("GET", f"/api/diagnostics/{self._path}", self._api.headers(self._who))
        await until(lambda: self._api.hub.probes.count == before + 1)
        return self.connection

    async def __aexit__(self, *details: object) -> None:
        await self.connection.close()


# What they send


async def test_a_stream_sends_its_chunks_each_at_its_time_and_says_when_it_is_over(api):
    async with Connection(api.port) as connection:
        connection.send("GET", "/api/diagnostics/stream?chunks=3&interval=50", api.headers("alice"))
        status, headers = await connection.read_head()
        came = []
        while chunk := await connection.read_chunk():
            came.append((asyncio.get_running_loop().time(), *blocks(chunk)[0]))
    assert (status, headers["content-type"]) == (200, "text/event-stream")
    assert [type for _, type, _ in came] == ["chunk", "chunk", "chunk", "end"]
    assert [(data["number"], data["of"]) for _, type, data in came if type == "chunk"] == [(1, 3), (2, 3), (3, 3)]
    assert came[-1][2] == {"reason": "done"}
    assert came[2][0] - came[0][0] > 0.06
    assert_timestamp(came[0][2]["serverTime"])


async def test_a_stream_goes_with_the_headers_of_event_streams(api):
    probe = await api.get("/diagnostics/stream?chunks=1", who="alice")
    async with api.stream() as stream:
        await stream.until("connected")
        for name in ("content-type", "cache-control", "x-accel-buffering", "x-content-type-options"):
            assert probe.headers[name] == stream.headers[name]


async def test_a_stream_can_come_under_a_type_that_nobody_blocks(api):
    plain = await api.get("/diagnostics/stream?chunks=2&interval=0&type=text/plain")
    assert plain.headers["content-type"] == "text/plain"
    assert [type for type, _ in blocks(plain.body)] == ["chunk", "chunk", "end"]


async def test_by_http_1_0_the_end_of_a_stream_is_the_end_of_the_connection(api):
    async with Connection(api.port) as connection:
        lines = ["GET /api/diagnostics/stream?chunks=2&interval=0 HTTP/1.0", "Connection: keep-alive"]
        lines += [f"{name}: {value}" for name, value in api.headers("alice").items()]
        connection.writer.write("\r\n".join([*lines, "", ""]).encode())
        response = await asyncio.wait_for(connection.read_response("GET"), 10)
    assert "transfer-encoding" not in response.headers and response.headers["connection"] == "close"
    assert [type for type, _ in blocks(response.body)] == ["chunk", "chunk", "end"]


async def test_a_hold_answers_when_its_time_is_over_in_one_piece(api):
    begun_at = asyncio.get_running_loop().time()
    held = await api.get("/diagnostics/hold?seconds=1", who="alice")
    assert asyncio.get_running_loop().time() - begun_at >= 1
    assert (held.status, held.json["heldSeconds"]) == (200, 1)
    assert int(held.headers["content-length"]) == len(held.body)
    assert "no-store" in held.headers["cache-control"]


@pytest.mark.parametrize("size", [0, 1, 65535, 65536, 65537, 1048575, 1048576])
async def test_a_payload_has_exactly_so_many_bytes_and_is_not_compressed(api, size):
    answer = await api.get(f"/diagnostics/payload?bytes={size}", headers={"Accept-Encoding": "gzip"})
    assert (answer.status, len(answer.body)) == (200, size)
    assert "content-encoding" not in answer.headers and "no-transform" in answer.headers["cache-control"]


@pytest.mark.parametrize(
    ("path", "low", "high"),
    [("stream?interval=0&chunks", 1, 24), ("stream?chunks=1&interval", 0, 5000), ("payload?bytes", 0, 1048576)],
)
async def test_what_a_probe_is_asked_for_has_bounds(api, path, low, high):
    """P4: n-1, n and n+1 of both."""
    for value in (low, low + 1, high - 1, high):
        assert (await api.get(f"/diagnostics/{path}={value}")).status == 200
    for value in (low - 1, high + 1, "x"):
        assert_problem(await api.get(f"/diagnostics/{path}={value}"), 400)


async def test_nobody_holds_an_answer_for_more_than_two_minutes(api):
    """P4."""
    for seconds in (119, 120):
        async with Running(api, f"hold?seconds={seconds}"):
            pass
        await until(lambda: api.hub.probes.count == 0)
    assert_problem(await api.get("/diagnostics/hold?seconds=121"), 400)


async def test_a_type_is_one_of_those_offered(api):
    assert_problem(await api.get("/diagnostics/stream?type=text/html"), 400)


# Who may have how many


@pytest.mark.parametrize("path", PROBES)
async def test_a_place_is_free_again_when_the_client_has_gone(api, path):
    """P4."""
    async with Running(api, path, receive_buffer=4096):
        assert api.hub.probes.count == 1
    await until(lambda: api.hub.probes.count == 0)
    assert not api.hub.probes._own


async def test_who_goes_while_an_answer_is_held_is_not_counted_as_refused(api):
    async with Running(api, PROBES[0]):
        pass
    await until(lambda: api.hub.probes.count == 0)
    assert not api.hub.counters.refused


async def test_a_place_is_free_again_when_the_probe_is_over(api):
    for path in ("hold", "stream?interval=0", "payload"):
        assert (await api.get(f"/diagnostics/{path}")).status == 200
        await until(lambda: api.hub.probes.count == 0)
        assert (await api.request("HEAD", f"/diagnostics/{path}")).status == 200
        assert api.hub.probes.count == 0


@pytest.mark.parametrize("running", [1, 2, 3])
async def test_a_participant_has_so_many_probes_and_others_have_their_own(start_server, running):
    """P4."""
    api = await start_server(max_probes_per_participant=2)
    async with Running(api, PROBES[0]):
        if running > 1:
            async with Running(api, PROBES[1]):
                if running > 2:
                    refused = await api.get("/diagnostics/hold", who="alice")
                    problem = assert_problem(refused, 429)
                    assert problem["type"] == "/problems/too-many-probes" and refused.headers["retry-after"] == "5"
                    assert (await api.get("/diagnostics/hold", who="bob")).status == 200
                    assert (await api.get("/diagnostics/hold", who="service")).status == 200
        else:
            assert (await api.get("/diagnostics/hold", who="alice")).status == 200


@pytest.mark.parametrize("allowed", [1, 2])
async def test_so_many_probes_run_at_once(start_server, allowed):
    """P4."""
    api = await start_server(max_probes=2)
    async with Running(api, PROBES[0]):
        if allowed == 1:
            assert (await api.get("/diagnostics/hold", who="bob")).status == 200
            return
        async with Running(api, PROBES[0], "bob"):
            assert_problem(await api.get("/diagnostics/hold", who="carol"), 503)
            assert api.hub.probes.count == 2


async def test_a_client_that_does_not_read_its_payload_keeps_little_of_it_here(api):
    """P4."""
    async with Running(api, PROBES[2], receive_buffer=4096) as connection:
        await until(lambda: api.hub.probes.count == 1)
        response = await connection.read_response("GET")
        assert len(response.body) == 1 << 20
    await until(lambda: api.hub.probes.count == 0)


async def test_a_slow_client_gets_the_end_of_its_payload_too(api, monkeypatch):
    """What closes gives nobody more than a moment for what has not been taken."""
    monkeypatch.setattr("rtserver.sink.CLOSE_GRACE_SECONDS", 0)
    async with Running(api, "payload?bytes=1048576", receive_buffer=4096) as connection:
        response = await connection.read_response("GET")
    assert len(response.body) == 1 << 20


async def test_probes_end_when_the_server_goes_and_none_begins_then(api):
    """P5."""
    async with Running(api, "hold?seconds=60") as hold, Running(api, "stream?interval=5000") as stream:
        await api.hub.drain(0)
        held, streamed = await hold.read_response("GET"), await stream.read_response("GET")
    assert_problem(held, 503)
    assert blocks(streamed.body)[-1] == ("end", {"reason": "shutdown"})
    assert api.hub.probes.count == 0
    assert_problem(await api.get("/diagnostics/stream"), 503)


# What the server sees


async def test_the_server_tells_what_it_sees(api):
    seen = (await api.get("/diagnostics/network?nonce=n1", who="alice", headers={"X-Probe": "p1"})).json
    assert (seen["nonce"], seen["httpVersion"], seen["protocol"]) == ("n1", "HTTP/1.1", "http")
    assert (seen["address"], seen["network"]) == ("127.0.0.1", "127.0.0.0/24")
    assert seen["headers"]["received"]["x-probe"] == "p1"
    assert (seen["headers"]["stripped"], seen["headers"]["added"], seen["via"]) == ([], [], None)
    assert (seen["causes"], seen["ask"]) == ([], [])
    assert [verdict["verdict"] for verdict in seen["verdicts"]] == ["works"] * 3
    assert_timestamp(seen["serverTime"])


async def test_tls_that_ended_at_a_proxy_of_ours_is_seen(api):
    seen = (await api.get("/diagnostics/network", headers={"X-Forwarded-Proto": "https"})).json
    assert seen["protocol"] == "https"


async def test_headers_that_were_sent_and_did_not_come_are_told(api):
    sent = "?sent=X-Probe,Last-Event-ID,accept"
    seen = (await api.get("/diagnostics/network" + sent, headers={"Accept": "*/*", "X-Probe": "1"})).json
    assert seen["headers"]["stripped"] == ["Last-Event-ID"]
    assert seen["causes"] == ["stripped-headers"]
    assert seen["ask"][0]["cause"] == "stripped-headers" and "127.0.0.1" in seen["ask"][0]["request"]


async def test_headers_that_a_proxy_added_are_told_by_name(api):
    added = {"Via": "1.1 office", "X-Forwarded-For": "10.1.2.3", "X-BlueCoat-Via": "secret-host"}
    seen = (await api.get("/diagnostics/network", headers=added)).json
    assert seen["headers"]["added"] == ["via", "x-bluecoat-via", "x-forwarded-for"]
    assert (seen["via"], seen["forwarded"]) == ("1.1 office", {"x-forwarded-for": "10.1.2.3"})
    assert seen["headers"]["received"]["x-bluecoat-via"] is None


@pytest.mark.parametrize("query", ["", "?sent=Cookie,Authorization,Proxy-Authorization", "?catalogue=true"])
async def test_no_secret_comes_back(api, query):
    """P6."""
    token = api.token("alice")
    secrets = {
        "Authorization": f"Bearer {token}",
        "Cookie": "rt_token=cookie-secret; other=other-secret",
        "Proxy-Authorization": "Basic proxy-secret",
        "X-Api-Key": "key-secret",
        "X-Forwarded-Access-Token": "forwarded-secret",
        "Referer": "http://localhost/?ticket=referer-secret",
    }
    answer = await api.get("/diagnostics/network" + query, who=None, headers=secrets)
    assert answer.status == 200
    assert token.encode() not in answer.body and b"secret" not in answer.body
    assert answer.json["headers"]["received"]["authorization"] is None


@pytest.mark.parametrize(("ahead_ms", "causes"), [(0, []), (29_000, []), (31_000, ["clock-skew"])])
async def test_a_clock_that_is_wrong_is_told(start_server, ahead_ms, causes):
    now_ms = 1_800_000_000_000
    api = await start_server(lambda: now_ms * 1000)
    for sign in (1, -1):
        seen = (await api.get(f"/diagnostics/network?clientTime={now_ms + sign * ahead_ms}&rtt=0")).json
        assert (seen["clockSkewMs"], seen["causes"]) == (sign * ahead_ms, causes)


async def test_what_the_client_has_found_itself_goes_into_verdicts_and_requests(api):
    seen = (await api.get("/diagnostics/network?causes=buffering,idle-cut")).json
    assert [verdict["verdict"] for verdict in seen["verdicts"]] == ["fails", "limited", "works"]
    assert [ask["cause"] for ask in seen["ask"]] == ["buffering", "idle-cut"]
    assert_problem(await api.get("/diagnostics/network?causes=bad-luck"), 400)


async def test_the_tier_that_somebody_is_on_is_told(api):
    assert (await api.get("/diagnostics/network", who="alice")).json["connectionMethod"] is None
    async with api.stream() as stream:
        await stream.until("connected")
        assert (await api.get("/diagnostics/network", who="alice")).json["connectionMethod"] == "sse"
        assert (await api.get("/diagnostics/network", who="bob")).json["connectionMethod"] is None
    await until(lambda: api.hub.streams.count == 0)
    poll = asyncio.ensure_future(api.poll("timeout=30"))
    await until(lambda: api.hub.polls.waiting)
    assert (await api.get("/diagnostics/network", who="alice")).json["connectionMethod"] == "long-poll"
    await api.publish("over")
    await poll


async def test_what_is_forwarded_is_believed_of_trusted_proxies_alone(start_server):
    """P6."""
    for trusted, address in (((), "127.0.0.1"), (("127.0.0.0/8",), "198.51.100.7"), (("192.0.2.1",), "127.0.0.1")):
        api = await start_server(trusted_proxies=list(trusted))
        headers = {"X-Forwarded-For": "203.0.113.9, 198.51.100.7"}
        assert (await api.get("/diagnostics/network", headers=headers)).json["address"] == address
        await start_server.stop(api)


# What clients say


async def test_a_report_is_counted_and_shown_to_others_of_the_network_in_sum(api):
    report = {"tier": "short-poll", "previousTier": "long-poll", "reason": "page", "clientId": "c1", "rttMs": 30}
    answer = await api.post("/diagnostics/reports", report, who="alice")
    assert (answer.status, answer.body) == (204, b"")
    counters = api.hub.counters
    assert (counters.reports, counters.fallbacks) == (1, {"page": 1})
    seen = (await api.get("/diagnostics/network", who="bob")).json
    assert seen["reports"] == {"reports": 1, "tiers": {"short-poll": 1}, "fallbacks": {"page": 1}, "slowestRttMs": 30}
    assert seen["connectionMethod"] is None
    assert (await api.get("/diagnostics/network", who="alice")).json["connectionMethod"] == "short-poll"


async def test_a_report_that_cannot_be_read_counts_nothing(api):
    for body in (b"{", b"[]", {"tier": "sse"}, {"tier": "sse", "reason": "x", "rttMs": -1}):
        assert_problem(await api.post("/diagnostics/reports", body, who="alice"), 400)
    assert (api.hub.counters.reports, len(api.hub.reports)) == (0, 0)


@pytest.mark.parametrize("networks", [2, 3, 4])
async def test_of_so_many_networks_reports_are_kept(start_server, networks):
    """P4."""
    api = await start_server(max_reported_networks=3, trusted_proxies=["127.0.0.1"])
    for number in range(networks):
        headers = {"X-Forwarded-For": f"192.0.{number}.7"}
        await api.post("/diagnostics/reports", {"tier": "sse", "reason": "verified"}, headers=headers)
    assert len(api.hub.reports) == min(networks, 3)
