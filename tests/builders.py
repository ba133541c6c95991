"""Small makers of values for tests: what a test does not say is ordinary.

Also the few stand-ins that tests move by hand: a clock, and a worker that does its calls when told.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

from rtserver import schema
from rtserver.changes import Change, Create, Edit, Gate, Numbered, Sealed
from rtserver.errors import RequestError
from rtserver.event import Event
from rtserver.publication import Draft, Publication, parse_publication
from rtserver.queries import Queries
from rtserver.records import Participant, SessionRecord, Status
from rtserver.ring import Ring
from rtserver.session import Session
from rtserver.store import Store

NOW_US = 1_767_268_800_000_000  # 2026-01-01T12:00:00Z
SECOND_US = 1_000_000
DAY_US = 24 * 3600 * SECOND_US
EPOCH = 0x15A5A5
MAX_EVENT_BYTES = 65536


def person(participant_id: str = "alice", **changes: Any) -> Participant:
    return replace(Participant(participant_id, participant_id.title(), "human", NOW_US), **changes)


def record(**changes: Any) -> SessionRecord:
    """Return the row of a session that was created at `NOW_US` and has no events."""
    row = SessionRecord(
        number=1,
        session_id="s",
        status=Status.ACTIVE,
        metadata=b"{}",
        created_at_us=NOW_US,
        updated_at_us=NOW_US,
        epoch=EPOCH,
        last_sequence=0,
        last_timestamp_us=NOW_US,
        trimmed_sequence=0,
        trimmed_timestamp_us=NOW_US,
    )
    return replace(row, **changes)


def session(*people: Participant, ring_events: int = 1000, ring_bytes: int = 1 << 20, **changes: Any) -> Session:
    """Return a session as it comes from the store: its ring is empty and begins at its end."""
    row = record(**changes)
    return Session(row, list(people), Ring(ring_events, ring_bytes, evicted_through=row.last_sequence))


def event(sequence: int = 1, *, at_us: int | None = None, type: str = "note", data: bytes = b"{}") -> Event:
    """Return an event; without ``at_us`` it happened ``sequence`` seconds after `NOW_US`."""
    return Event(EPOCH, sequence, NOW_US + sequence * SECOND_US if at_us is None else at_us, type, data)


def publish(
    body: object, *, subject: str = "alice", is_participant: bool = False, key: str | None = None, limit: int = 0
) -> Publication:
    """Read a body as the API does; ``body`` is bytes or anything for JSON, ``limit`` the bytes of one event's data."""
    return parse_publication(
        body if isinstance(body, bytes) else json.dumps(body).encode(),
        subject=subject,
        is_participant=is_participant,
        idempotency_key=key,
        max_event_bytes=limit or MAX_EVENT_BYTES,
    )


def message(content: str = "hi", message_id: str | None = None, *, subject: str = "alice") -> Draft:
    data: dict[str, Any] = {"content": content} | ({"messageId": message_id} if message_id is not None else {})
    return publish({"type": "message_added", "data": data}, subject=subject).drafts[0]


def note(**data: Any) -> Draft:
    """Return a draft of an ordinary durable event."""
    return publish({"type": "note", "data": data}).drafts[0]


def typing(subject: str = "alice", is_typing: bool = True) -> Draft:
    return publish({"type": "typing_indicator", "data": {"isTyping": is_typing}}, subject=subject).drafts[0]


def progress(status: str = "thinking", subject: str = "ava") -> Draft:
    return publish({"type": "ai_progress", "data": {"status": status}}, subject=subject).drafts[0]


def keyed(session: Numbered, body: object, key: str, *, subject: str = "alice", gate: Gate = Gate.SERVICE) -> Change:
    """Return the change of a publish with an ``Idempotency-Key``."""
    publication = publish(body, subject=subject, key=key)
    return Change(session, gate, publication.drafts, key=publication.key, size=publication.size)


def change(session: Numbered, *drafts: Draft, gate: Gate = Gate.SERVICE, edit: Edit | None = None) -> Change:
    return Change(session, gate, drafts, edit, size=sum(len(draft.data) for draft in drafts))


_numbers = itertools.count(1)


def new_session(*people: Participant, session_id: str | None = None, epoch: int = EPOCH) -> tuple[Session, Change]:
    """Return a session that nobody has seen yet, and the change that creates it."""
    number = next(_numbers)
    row = record(
        number=number,
        session_id=session_id or f"s{number}",
        created_at_us=0,
        updated_at_us=0,
        last_timestamp_us=0,
        trimmed_timestamp_us=0,
        epoch=epoch,
    )
    unseen = Session(row, [], Ring(1000, 1 << 20))
    return unseen, Change(unseen, edit=Create(row, people))


def in_memory(**changes: Any) -> Session:
    """Return a session that nothing is unknown of: whatever was said of its times, this object has said."""
    there = session(**changes)
    there.floor_us = 0
    return there


class Clock:
    """A clock in microseconds that stands still until it is moved."""

    def __init__(self, now_us: int = NOW_US) -> None:
        self.now_us = now_us
        self.latest_us = now_us

    def __call__(self) -> int:
        self.latest_us = max(self.latest_us, self.now_us)
        return self.now_us


def die(reason: str) -> NoReturn:
    """End the test where a server would end its process."""
    raise ProcessEnded(reason)


class ProcessEnded(BaseException):
    """Nothing catches it but the test that expects it."""


class Database:
    """A real database file with the two connections that a server has on it."""

    def __init__(self, path: Path, durability: str = "normal") -> None:
        schema.prepare(path)
        self.path = path
        self.connection = schema.connect(path)
        self.store = Store(self.connection, durability, die)
        self.queries = Queries(schema.connect(path, read_only=True))
        self.clock = Clock()

    def commit(self, *changes: Change) -> list[Sealed | RequestError]:
        """Commit one batch and apply it to the sessions, as the writer does."""
        results = self.store.commit(list(changes), self.clock())
        for result in results:
            if isinstance(result, Sealed) and not result.is_replay:
                session = result.change.session
                assert isinstance(session, Session)
                session.apply(result)
        return results

    def create(self, *people: Participant, **options: Any) -> Session:
        unseen, creation = new_session(*people, **options)
        (result,) = self.commit(creation)
        assert isinstance(result, Sealed)
        return unseen

    def add_events(self, session: Session, *drafts: Draft) -> list[Event]:
        """Commit drafts as one publish and return their events."""
        (result,) = self.commit(change(session, *drafts))
        assert isinstance(result, Sealed)
        return result.events

    def read(self, session: Session, after: int = 0, through: int = 1 << 39) -> list[Event]:
        """Return what the store has of a session's events."""
        return self.queries.read(session.number, session.epoch, after, through, 100_000, 1 << 40)

    def count(self, table: str) -> int:
        """Return the number of rows, as seen from outside the writer's transactions."""
        with_own_connection = schema.connect(self.path, read_only=True)
        (found,) = with_own_connection.execute(f"SELECT count(*) FROM {table}").fetchone()
        with_own_connection.close()
        return int(found)

    def close(self) -> None:
        """Close both connections, as a process that is killed would: nothing is said or checkpointed."""
        self.queries.close()
        self.connection.close()


class HandCall:
    """One call that waits to be done."""

    def __init__(self, future: asyncio.Future[Any], function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        self.function = function
        self.arguments = arguments
        self._future = future

    def complete(self) -> None:
        """Do the call, and answer if anybody still waits."""
        try:
            result = self.function(*self.arguments)
        except Exception as error:
            self.fail(error)
        else:
            if not self._future.cancelled():
                self._future.set_result(result)

    def fail(self, error: Exception) -> None:
        if not self._future.cancelled():
            self._future.set_exception(error)


class HandWorker:
    """A worker whose calls are done when the test says so, in the order it says."""

    def __init__(self) -> None:
        self.made: list[HandCall] = []  # all calls, whether they are done or not
        self._calls: asyncio.Queue[HandCall] = asyncio.Queue()

    def call(self, function: Callable[..., Any], *arguments: Any) -> asyncio.Future[Any]:
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.made.append(HandCall(future, function, arguments))
        self._calls.put_nowait(self.made[-1])
        return future

    async def close(self) -> None: ...

    @property
    def is_idle(self) -> bool:
        return self._calls.empty()

    async def next(self) -> HandCall:
        """Return the next call, once it has been made."""
        return await asyncio.wait_for(self._calls.get(), 5)


async def settle() -> None:
    """Let the loop run until everything that can go on without a worker has gone on."""
    for _ in range(20):
        await asyncio.sleep(0)


def error_of(result: object, kind: type[RequestError]) -> RequestError:
    """Return a result that must be a refusal of that kind."""
    assert type(result) is kind, result
    return result


def sealed_of(result: object) -> Sealed:
    """Return a result that must be no refusal."""
    assert isinstance(result, Sealed), result
    return result
