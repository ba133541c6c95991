"""``rtserver demo``: a conversation that goes on by itself, and lines to paste.

Two people and an AI assistant talk about a card payment, again and again; everything passes through the same hub as
real traffic.
"""

from __future__ import annotations

import asyncio
import textwrap
import time
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from rtserver.app import Server
from rtserver.auth import Principal, Role, make_token, read_secret
from rtserver.publication import parse_publication
from rtserver.records import Participant

SESSION_ID = "demo"
TOKEN_SECONDS = 8 * 3600
PEOPLE = [
    Participant("alice", "Alice (customer)", "human", 0),
    Participant("bob", "Bob (branch)", "human", 0),
    Participant("ava", "Ava (assistant)", "ai", 0),
]


class Line(NamedTuple):
    """Who says what; an AI's line is thought about first, in the steps given."""

    speaker: str
    text: str
    steps: tuple[str, ...] = ()


SCRIPT = (
    Line("alice", "Good morning. A card payment of 84.20 from Tuesday is not mine."),
    Line("bob", "Good morning Alice, I am sorry to hear that. Ava, what do we know about it?"),
    Line(
        "ava",
        "It was a contactless payment in Lyon at 18:42. Ten minutes earlier the same card was used in Hamburg.",
        ("reading the transaction", "comparing places and times", "writing"),
    ),
    Line("bob", "That cannot both be you. I have blocked the card; a new one is on its way."),
    Line("alice", "Thank you. And the money?"),
    Line("bob", "Ava, please prepare the dispute."),
    Line(
        "ava",
        "The dispute form is filled in. Alice only has to confirm it; the amount is credited within two days.",
        ("collecting the evidence", "filling in the form"),
    ),
    Line("alice", "Confirmed. That was quick!"),
    Line("bob", "Anything else I can do? I will keep this case open until the credit has arrived."),
)
TYPING_SECONDS = 1.2
STEP_SECONDS = 1.0
PAUSE_SECONDS = 1.5


class Demo:
    """The demo's session on a running server."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._hub = server.hub
        self._service = Principal("demo", Role.SERVICE, time.time() + 10 * 365 * 86400)
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Create the session and begin to talk."""
        metadata = msgspec.json.encode({"topic": "A card payment"})
        await self._hub.create(self._service, SESSION_ID, metadata, PEOPLE)
        self._task = asyncio.create_task(self._talk())

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def introduction(self) -> str:
        """Return what to try, with tokens."""
        secret = read_secret(Path(self._server.config.data_dir))
        alice = make_token(secret, "alice", Role.PARTICIPANT, TOKEN_SECONDS)
        service = make_token(secret, "my-application", Role.SERVICE, TOKEN_SECONDS)
        return INTRODUCTION.format(url=self._server.url, session=SESSION_ID, alice=alice, service=service)

    async def _talk(self) -> None:
        while True:
            for line in SCRIPT:
                await asyncio.sleep(PAUSE_SECONDS)
                if line.steps:
                    await self._think(line)
                else:
                    await self._type(line)
                content = {"participantId": line.speaker, "content": line.text}
                await self._publish("message_added", content)
                if line.steps:
                    await self._publish("ai_response_ready", {"participantId": line.speaker})

    async def _type(self, line: Line) -> None:
        for is_typing in (True, False):
            data = {"participantId": line.speaker, "isTyping": is_typing}
            await self._publish("typing_indicator", data)
            if is_typing:
                await asyncio.sleep(TYPING_SECONDS)

    async def _think(self, line: Line) -> None:
        for number, step in enumerate(line.steps, 1):
            progress = {"participantId": line.speaker, "status": step, "step": number, "steps": len(line.steps)}
            await self._publish("ai_progress", progress)
            await asyncio.sleep(STEP_SECONDS)

    async def _publish(self, type: str, data: dict[str, Any]) -> None:
        publication = parse_publication(
            msgspec.json.encode({"type": type, "data": data}),
            subject=self._service.subject,
            is_participant=False,
            idempotency_key=None,
            max_event_bytes=self._server.config.max_event_bytes,
        )
        await self._hub.publish(self._service, SESSION_ID, publication)


INTRODUCTION = textwrap.dedent("""\
    rtserver ready {url}

    A customer, her branch and an AI assistant are talking in the session "{session}".
    Listen in, from another terminal (paste the first two lines once):

      URL={url}/api/sessions/{session}
      TOKEN={alice}

    Server-Sent Events: everything, at once

      curl -N -H "Authorization: Bearer $TOKEN" "$URL/events?from=earliest"

    Long polling: the answer comes when there is something to say

      curl -i -H "Authorization: Bearer $TOKEN" "$URL/updates?timeout=20"

    Short polling: what there was in the last minute, and how soon it is worth asking again

      curl -i -H "Authorization: Bearer $TOKEN" "$URL/updates?since=$(date -u -d '1 minute ago' +%FT%TZ)"

    Say something as Alice, and watch it arrive

      curl -H "Authorization: Bearer $TOKEN" "$URL/events" \\
        -d '{{"type": "message_added", "data": {{"content": "Hello from the terminal"}}}}'

    What the session is now

      curl -H "Authorization: Bearer $TOKEN" "$URL"

    A token of an application, which may do everything but administer

      SERVICE={service}

    Stop with Ctrl-C; the data of the demo are removed.
    """)
