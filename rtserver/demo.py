"""``rtserver demo``: a conversation that goes on by itself, a page to join it, and lines to paste.

Two people and an AI assistant talk about a card payment, again and again; whoever joins is answered by the assistant,
while the others listen.  Everything passes through the same hub as real traffic.
"""

from __future__ import annotations

import asyncio
import itertools
import textwrap
import time
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from rtserver.app import Server
from rtserver.auth import Principal, Role, make_token, read_secret
from rtserver.cursor import Edge, Start, parse_cursor
from rtserver.event import Event
from rtserver.publication import parse_publication
from rtserver.readers import Poll
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
# What the assistant says to visitors, in turn.
REPLIES = (
    "Thank you, I have added that to the case: “{text}”.",
    "Noted: “{text}”.  A colleague reads it, too; this is a demonstration, and I have only a few answers.",
    "I have compared “{text}” with what we know.  Nothing contradicts it.",
)
THOUGHTS = ("reading", "looking it up", "writing")
QUOTED_CHARACTERS = 80
# So long the others listen after a visitor has spoken.
MANNERS_SECONDS = 45.0
# What the demo says itself is known by this.
OWN_MESSAGE = "demo-"
LISTEN_SECONDS = 30
TYPING_SECONDS = 1.2
STEP_SECONDS = 1.0
PAUSE_SECONDS = 1.5


class Demo:
    """The demo's session on a running server."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._hub = server.hub
        self._service = Principal("demo", Role.SERVICE, time.time() + 10 * 365 * 86400)
        self._tasks: list[asyncio.Task[None]] = []
        self._said = 0
        self._listening_until = 0.0

    async def start(self) -> None:
        """Create the session and begin to talk."""
        metadata = msgspec.json.encode({"topic": "A card payment"})
        await self._hub.sessions.create(self._service, SESSION_ID, metadata, PEOPLE)
        self._tasks = [asyncio.create_task(self._talk()), asyncio.create_task(self._listen())]

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

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
                while time.monotonic() < self._listening_until:
                    await asyncio.sleep(PAUSE_SECONDS)
                await self._say(line)

    async def _listen(self) -> None:
        """Answer visitors: the same events as any reader gets, by the same way."""
        start: Start = Edge.NOW
        replies = itertools.cycle(REPLIES)
        while True:
            answer = await self._hub.poll(
                self._service,
                SESSION_ID,
                Poll(
                    start,
                    subject=self._service.subject,
                    is_participant=False,
                    timeout_seconds=LISTEN_SECONDS,
                    expires_in_seconds=self._service.expires_at - time.time(),
                    limit=100,
                ),
            )
            start = parse_cursor(answer.cursor, "cursor")
            for text in filter(None, map(_visitors_text, answer.events)):
                self._listening_until = time.monotonic() + MANNERS_SECONDS
                shown = textwrap.shorten(text, QUOTED_CHARACTERS, placeholder=" …")
                await asyncio.sleep(STEP_SECONDS)
                await self._say(Line("ava", next(replies).format(text=shown), THOUGHTS))

    async def _say(self, line: Line) -> None:
        await (self._think(line) if line.steps else self._type(line))
        self._said += 1
        content = {"participantId": line.speaker, "content": line.text, "messageId": f"{OWN_MESSAGE}{self._said}"}
        await self._publish("message_added", content)
        if line.steps:
            await self._publish("ai_response_ready", {"participantId": line.speaker})
            # The latest progress is told to whoever comes next, for a minute.
            await self._publish("ai_progress", {"participantId": line.speaker, "status": "done"})

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


def _visitors_text(event: Event) -> str | None:
    """Return what a visitor said, or None for anything else."""
    if event.type != "message_added":
        return None
    data = msgspec.json.decode(event.data)
    is_own = str(data.get("messageId", "")).startswith(OWN_MESSAGE)
    return None if is_own else str(data["content"])


INTRODUCTION = textwrap.dedent("""\
    rtserver ready {url}

    Open this in a browser, once as Alice and once as Bob, and talk along:

      {url}/

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
