"""What the client's tests share: a client of the server under test, and everything it was told."""

from __future__ import annotations

import contextlib

import pytest

from rtserver.client import connect
from rtserver.client.machine import State
from tests.client.clock import HandClock
from tests.conftest import until


class Followed:
    """A client that runs, its clock, and what it said: ``events``, ``resets``, ``statuses``, in order."""

    def __init__(self, url, session_id="s", **options):
        self.clock = options.setdefault("clock", HandClock())
        self.events, self.resets, self.statuses = [], [], []
        self._waited = None
        options = {"environment": {}} | options
        self.client = connect(
            url,
            session_id,
            on_event=self.events.append,
            on_reset=self.resets.append,
            on_status=self.statuses.append,
            **options,
        )

    @property
    def driver(self):
        return self.client._driver

    @property
    def state(self):
        return self.driver.machine.state

    @property
    def contents(self):
        """The messages seen, by their content."""
        return [event.data["content"] for event in self.events if event.type == "message_added"]

    @property
    def words(self):
        return [status.state for status in self.statuses]

    async def until(self, state, seconds=15):
        state = State(state)
        await until(lambda: self.state is state, seconds)

    async def waits(self):
        """Wait until the client waits before it tries again, once more; return for how many seconds."""
        await until(lambda: self._next_retry_at() not in (None, self._waited), 30)
        self._waited = self._next_retry_at()
        return self._waited - self.clock.now_us() / 1e6

    def _next_retry_at(self):
        return self.statuses[-1].next_retry_at if self.statuses else None

    async def tries_again(self):
        """Let the time pass until the client tries again."""
        self.clock.jump(await self.waits() + 0.1)

    async def saw(self, *contents):
        await until(lambda: len(self.contents) >= len(contents))
        assert self.contents == list(contents)


@pytest.fixture
def api(io_loop, start_server):
    """A server that holds polls for a second at most, with the session ``s`` of alice and bob."""

    async def start():
        api = await start_server(poll_timeout=1, poll_retry_after=0)
        await api.create()
        return api

    return io_loop.asyncio_loop.run_until_complete(start())


@pytest.fixture
def follow():
    """Follow a session: ``async with follow(api, ...) as alice``; ``api`` is the server under test, or an address."""

    @contextlib.asynccontextmanager
    async def follow(api, *, who="alice", **options):
        if isinstance(api, str):
            url = api
        else:
            url = f"http://127.0.0.1:{api.port}"
            options.setdefault("token", api.token(who) if who else None)
        followed = Followed(url, **options)
        async with followed.client:
            yield followed

    return follow
