"""P4 for readers: one that does not read costs a cursor and a socket buffer, and misses nothing when it reads again."""

import asyncio
import socket

import pytest

from tests.conftest import until
from tests.readers import sequence_of

SMALL_BUFFER = 4096


async def fill(api, count, size):
    """Publish ``count`` messages of ``size`` characters in batches."""
    for start in range(0, count, 10):
        events = [
            {"type": "message_added", "data": {"content": f"{start + n}:" + "x" * size}}
            for n in range(min(10, count - start))
        ]
        assert (await api.post("/sessions/s/events", {"events": events})).status == 201


def one_stream(api):
    [stream] = api.hub.registry.peek("s").streams
    return stream


@pytest.mark.parametrize("settings", [{}, {"ring_events": 3, "replay_step": 2}], ids=["ring", "store"])
async def test_a_stream_that_pauses_and_resumes_misses_nothing(start_server, settings):
    """P2, P4: it goes on from the ring, or from the store where the ring has moved on."""
    api = await start_server(**settings)
    await api.create()
    async with api.stream(receive_buffer=SMALL_BUFFER) as stream:
        await stream.until("connected")
        await fill(api, 300, 20_000)
        assert one_stream(api).state.value == "paused"
        seen = [sequence_of((await stream.durable()).id) for _ in range(300)]
        assert seen == list(range(3, 303))
        await api.publish("live again")
        assert (await stream.durable()).data["content"] == "live again"
        assert one_stream(api).state.value == "live"


async def test_a_stream_that_does_not_read_holds_one_write_at_most(api):
    """P4: whatever is published meanwhile, nothing queues up for it."""
    async with api.stream(receive_buffer=SMALL_BUFFER) as stream:
        await stream.until("connected")
        await fill(api, 100, 20_000)
        sink = one_stream(api).sink
        held = sink._transport.get_write_buffer_size()
        writes: list[bytes] = []
        sink.write = writes.append
        assert sink.is_paused and 0 < held < 1 << 20
        await fill(api, 100, 20_000)
        assert sink._transport.get_write_buffer_size() == held
        assert not writes


async def test_a_slow_stream_does_not_hold_up_its_neighbours(api):
    async with api.stream(receive_buffer=SMALL_BUFFER) as slow, api.stream() as quick:
        await slow.until("connected")
        await quick.until("connected")
        reading = asyncio.create_task(read_contents(quick, 200))
        await fill(api, 200, 20_000)
        assert await reading == [str(n) for n in [*range(200)]]


async def read_contents(stream, count):
    return [(await stream.durable()).data["content"].split(":")[0] for _ in range(count)]


async def test_a_stream_that_takes_nothing_for_too_long_is_ended_and_counted(start_server):
    """P4: and its slot is free again."""
    api = await start_server(slow_reader_timeout=1)
    await api.create()
    async with api.stream(receive_buffer=SMALL_BUFFER) as stream:
        await stream.until("connected")
        await fill(api, 300, 20_000)
        await until(lambda: api.hub.streams.count == 0)
        assert api.hub.counters.ended == {"slow_reader": 1}


async def test_a_stream_that_is_paused_for_less_is_not_ended(start_server):
    api = await start_server(slow_reader_timeout=1)
    await api.create()
    async with api.stream(receive_buffer=SMALL_BUFFER) as stream:
        await stream.until("connected")
        await fill(api, 300, 20_000)
        assert len(await read_contents(stream, 300)) == 300
        assert (await stream.until("probe")).data
        assert api.hub.streams.count == 1


async def test_a_paused_stream_is_ended_when_its_participant_is_removed(api):
    """P6: also where nothing can be written."""
    async with api.stream(receive_buffer=SMALL_BUFFER) as stream:
        await stream.until("connected")
        await fill(api, 300, 20_000)
        assert one_stream(api).state.value == "paused"
        assert (await api.request("DELETE", "/sessions/s/participants/alice")).status == 204
        assert not api.hub.registry.peek("s").streams


async def test_the_kernel_holds_little_for_a_stream_that_does_not_read(api):
    """P4: the socket's own buffers count too."""
    async with api.stream(receive_buffer=SMALL_BUFFER) as stream:
        await stream.until("connected")
        connection = one_stream(api).sink._transport.get_extra_info("socket")
        await fill(api, 600, 20_000)
        # SO_MEMINFO (55 on Linux): the second and third numbers are what may be and what is queued to be sent.
        numbers = connection.getsockopt(socket.SOL_SOCKET, 55, 36)
        queued = int.from_bytes(numbers[20:24], "little")
        assert queued < 512 << 10
