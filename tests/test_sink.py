"""A stream's socket: bytes in order whether they go to the kernel at once or wait, and nothing after the end."""

from __future__ import annotations

import asyncio
import os
import socket

import pytest

from rtserver.sink import SocketSink


class Pair:
    """A sink and the socket at its other end."""

    def __init__(self) -> None:
        self.sink = SocketSink(is_chunked=False)

    async def open(self) -> Pair:
        ours, self.other = socket.socketpair()
        for end in (ours, self.other):
            end.setblocking(False)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        self.transport, _ = await asyncio.get_running_loop().connect_accepted_socket(lambda: self.sink, ours)
        return self

    async def read(self, count: int) -> bytes:
        found = b""
        while len(found) < count:
            found += await asyncio.get_running_loop().sock_recv(self.other, 1 << 16)
        return found


@pytest.fixture
def pair(io_loop):
    pair = io_loop.run_sync(lambda: Pair().open())
    yield pair
    pair.transport.abort()
    pair.other.close()


async def test_what_is_written_to_a_full_socket_arrives_in_order(pair):
    """P2: one write that fills it, a last one that comes while the rest waits, and the reader gets all, in order."""
    large = os.urandom(1 << 20)
    pair.sink.write(large)
    assert pair.sink.is_paused
    # The kernel has room again, and the transport does not know it yet.
    begun = pair.other.recv(1 << 16)
    pair.sink.write(b"farewell")

    assert begun + await pair.read(len(large) + 8 - len(begun)) == large + b"farewell"


async def test_what_fits_goes_to_the_socket_in_one_call(pair):
    pair.sink.write(b"a")
    pair.sink.write(b"b")
    assert pair.other.recv(10) == b"ab" and not pair.sink.is_paused


async def test_a_lost_connection_leaves_no_descriptor_behind(pair):
    """The number may be another connection's at once."""
    pair.other.close()
    lost = asyncio.Event()
    pair.sink.on_lost = lost.set
    await lost.wait()

    assert pair.sink._descriptor == -1
    pair.sink.write(b"into the void")
    pair.sink.close(b"and again")


async def test_nothing_is_written_after_the_farewell(pair):
    pair.sink.close(b"farewell")
    pair.sink.write(b"more")
    assert await pair.read(8) == b"farewell"
    assert await asyncio.get_running_loop().sock_recv(pair.other, 10) == b""
