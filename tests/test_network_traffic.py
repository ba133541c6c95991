"""The figures of docs/network-guide.rst are counted as a firewall would, and written where they belong."""

from tests.conftest import until
from tests.http import Connection
from tests.networks.traffic import CONVERSATIONS, GUIDE, KEPT_ON, Figures, Meter, written


async def test_every_byte_and_connection_is_counted(api):
    async with Meter(api.port) as meter:
        port = int(meter.url.rsplit(":", 1)[1])
        async with Connection(port) as one, Connection(port) as two:
            sent = received = 0
            for connection in (one, two):
                answer = await connection.request("GET", "/healthz")
                sent += len(f"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n")
                head = "".join(f"{name}: {value}\r\n" for name, value in answer.headers.items())
                received += len(f"HTTP/1.1 200 OK\r\n{head}\r\n") + len(answer.body)
            assert (meter.sent, meter.received, meter.open, meter.most_open) == (sent, received, 2, 2)
        await until(lambda: not meter.open)


def test_figures_are_written_in_place_of_those_before():
    page = GUIDE.read_text()
    figures = [Figures("sse", "quiet", 2.0, 900.0, 12_340.0, 1)]
    once = written(page, figures)
    assert "sse         quiet         2                  900 bytes      12.3 KB            1" in once
    assert written(once, figures) == once
    assert once.split(".. Figures")[0] == page.split(".. Figures")[0]


def test_the_guide_has_figures_for_every_tier_and_conversation():
    lines = GUIDE.read_text().splitlines()
    for tier in KEPT_ON:
        for conversation in CONVERSATIONS:
            assert any(line.split()[:2] == [tier, conversation] for line in lines), (tier, conversation)
