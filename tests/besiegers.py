"""Clients that want nothing but to be in the way, in a process of their own.

``python -m tests.besiegers PORT SLOW SILENT``: the slow ones send the head of a request byte by byte and never finish
it, the silent ones send nothing.  Who is put out comes back at once.  Prints a line when all are connected, and when
its input ends what has become of them.
"""

from __future__ import annotations

import json
import resource
import select
import socket
import sys
import time

# How often each slow one sends a byte.
BYTE_SECONDS = 1.0
# What is sent is cut into this many turns a second, so that it comes evenly.
TURNS = 20
HEAD = b"GET /healthz HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 1000


class Besiegers:
    def __init__(self, port: int, slow: int, silent: int) -> None:
        self._port = port
        self._poll = select.epoll()
        self._sent: dict[int, int] = {}  # bytes, by descriptor; silent ones are not in it
        self._sockets: dict[int, socket.socket] = {}
        self.connected = 0
        self.told = 0  # that they were too slow
        self.closed = 0  # without a word
        for number in range(slow + silent):
            self._connect(is_slow=number < slow)

    def _connect(self, *, is_slow: bool) -> None:
        client = socket.socket()
        client.setblocking(False)
        client.connect_ex(("127.0.0.1", self._port))
        self._sockets[client.fileno()] = client
        if is_slow:
            self._sent[client.fileno()] = 0
        # Once: to know that it is connected; then only whether it was answered or closed.
        self._poll.register(client.fileno(), select.EPOLLOUT | select.EPOLLONESHOT)

    def turn(self, until: float) -> None:
        """Take what has come until a moment."""
        while (seconds := until - time.monotonic()) > 0:
            for descriptor, mask in self._poll.poll(seconds, 1000):
                if mask & select.EPOLLOUT and not mask & (select.EPOLLHUP | select.EPOLLERR):
                    self.connected += 1
                    self._poll.modify(descriptor, select.EPOLLIN)
                else:
                    self._put_out(descriptor)

    def _put_out(self, descriptor: int) -> None:
        client = self._sockets.pop(descriptor)
        is_slow = self._sent.pop(descriptor, None) is not None
        self._poll.unregister(descriptor)
        try:
            is_told = b" 408 " in client.recv(4096)
        except OSError:
            is_told = False
        self.told += is_told
        self.closed += not is_told
        client.close()
        self._connect(is_slow=is_slow)

    def send(self, turn: int) -> None:
        """Let those send whose turn it is."""
        for descriptor in [each for each in self._sent if each % TURNS == turn % TURNS]:
            at = self._sent[descriptor]
            try:
                self._sockets[descriptor].send(HEAD[at : at + 1])
                self._sent[descriptor] = at + 1
            except OSError:
                # Not connected yet, or put out: `turn` will see it.
                pass

    def close(self) -> None:
        for client in self._sockets.values():
            client.close()


def main(port: int, slow: int, silent: int) -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    besiegers = Besiegers(port, slow, silent)
    while besiegers.connected < slow + silent:
        besiegers.turn(time.monotonic() + 0.01)
    print("ready", flush=True)
    number, next_at = 0, time.monotonic()
    while not select.select([sys.stdin], [], [], 0)[0]:
        besiegers.send(number)
        number, next_at = number + 1, max(next_at + BYTE_SECONDS / TURNS, time.monotonic() - 1)
        besiegers.turn(next_at)
    print(json.dumps({"told": besiegers.told, "closed": besiegers.closed}), flush=True)
    besiegers.close()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
