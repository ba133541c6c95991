"""Through the real squid with basic authentication, in absolute-form and by tunnel."""

import asyncio

import pytest

from tests.certificates import make_certificate, tls_in_front
from tests.client.squid import squid
from tests.conftest import until
from tests.networks.proxies import Squid

pytestmark = pytest.mark.skipif(Squid.program is None, reason=Squid.missing())
RUNNING = {"sse": "live", "long-poll": "delayed", "short-poll": "polling"}


async def converse(follow, url, tier, **options):
    async with follow(url, tiers=[tier], **options) as alice:
        await alice.until(RUNNING[tier])
        sent = await alice.client.send("hello")
        await until(lambda: alice.contents or alice.clock.jump(0.2))
    assert sent.id in [event.id for event in alice.events]


async def test_every_tier_works_through_squid_in_absolute_form_and_by_tunnel(api, follow, tmp_path):
    certificate = make_certificate(tmp_path, "rt.example")
    async with squid("alice", "p:w d") as (port, log), tls_in_front(api.port, certificate) as tls_port:
        options = {"token": api.token("alice"), "proxy": f"http://alice:p%3Aw%20d@127.0.0.1:{port}"}
        plain = f"http://rt.example:{api.port}"
        await asyncio.gather(
            *(converse(follow, plain, tier, **options) for tier in RUNNING),
            converse(follow, f"https://rt.example:{tls_port}", "sse", ca=certificate["tls_cert"], **options),
            converse(follow, plain, "sse", tunnel=True, **options),
        )
        async with follow(f"http://rt.example:{api.port}", proxy=f"http://alice:wrong@127.0.0.1:{port}") as alice:
            await alice.waits()
            assert "does not accept this user and password" in alice.client.status.reason
        shown = log.read_text()

    assert f" GET http://rt.example:{api.port}/api/sessions/s/events?" in shown
    assert f" CONNECT rt.example:{tls_port} alice " in shown
    assert f" CONNECT rt.example:{api.port} alice " in shown
