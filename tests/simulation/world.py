"""One simulated world from a seed: disk, clock, network, publishers, readers, and the real core in the middle.

A schedule is a few lives of a server on one disk.  Each life ends in a kill, a power cut or an orderly close, at any
moment, also in the middle of a write; in between disks fail, clocks step, readers pause, switch tiers and lose their
connections.  At the end `tests.checker` judges.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
import traceback
from collections import Counter
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any, NoReturn

from rtserver import config, fanout, schema
from rtserver.access import using
from rtserver.auth import Principal, Role
from rtserver.core import Core
from rtserver.cursor import Cursor, Since, encode_id, parse_cursor
from rtserver.errors import RequestError, SessionClosed, SessionPaused, StorageFull
from rtserver.publication import parse_publication
from rtserver.queries import Queries
from rtserver.readers import Poll
from rtserver.records import Participant, Status
from rtserver.sse import Ending
from tests.checker import History, ReaderLog, Stored, check, check_order
from tests.http import parse_block
from tests.readers import CONTROL, sequence_of
from tests.simulation.disk import Image, Operation, SimulatedDisk
from tests.simulation.loop import Endless, SimulatedLoop, SimulatedWorker
from tests.simulation.network import SimulatedSink

DATABASE = "rtserver.db"
FOREVER = 1e12
SERVICE = Principal("service", Role.SERVICE, FOREVER)
PERSON = Principal("alice", Role.PARTICIPANT, FOREVER)
SESSIONS = ("one", "two")


@dataclass
class Outcome:
    """What a schedule came to; ``violations`` is what matters, the rest shows that something happened."""

    seed: int
    violations: list[str] = field(default_factory=list)
    acknowledged: int = 0
    seen: int = 0
    switches: int = 0
    crashes: int = 0
    faults: int = 0
    gaps: int = 0


class Crash(Exception):
    """The process or the machine is gone."""


class Client:
    """One reader with its cursor; it outlives servers and connections."""

    def __init__(self, session_id: str, log: ReaderLog) -> None:
        self.session_id = session_id
        self.log = log
        self.cursor = ""
        self._buffer = b""

    def begin(self) -> None:
        self._buffer = b""
        self.log.began(sequence_of(self.cursor))

    def receive(self, portion: bytes) -> None:
        """Take in bytes of a stream, however they are cut."""
        *blocks, self._buffer = (self._buffer + portion).split(b"\n\n")
        for block in blocks:
            event = parse_block(block)
            if event.type == "reset":
                assert event.id is not None
                self._told_of_gap(event.data["reason"], event.id)
            elif event.type not in CONTROL and event.id is not None and event.data is not None:
                self.saw(event.id, event.type, event.data)

    def take(self, answer: Any) -> None:
        """Take in a poll's answer."""
        for event in answer.events:
            self.saw(event.id, event.type, json.loads(event.data))
        if answer.reset is not None:
            self._told_of_gap(answer.reset["reason"], answer.cursor)
        self.cursor = answer.cursor

    def saw(self, id: str, type: str, data: dict[str, Any]) -> None:
        self.cursor = id
        self.log.saw(sequence_of(id), id, uid_of(type, data, sequence_of(id)))

    def _told_of_gap(self, reason: str, cursor: str) -> None:
        self.cursor = cursor
        self.log.told_of_gap(reason, sequence_of(cursor))


def uid_of(type: str, data: dict[str, Any], sequence: int) -> str:
    """Return what makes an event known again; the server's own events are known by their place."""
    return data["content"] if type == "message_added" else f"{type}@{sequence}"


class World:
    def __init__(self, seed: int, image: Image) -> None:
        self.outcome = Outcome(seed)
        self._rng = random.Random(seed)
        self._disk = SimulatedDisk(random.Random(seed))
        self._disk.restore(image)
        self._histories = {name: History() for name in SESSIONS}
        self._clients = [
            Client(name, self._histories[name].reader(f"{name}/{number}"))
            for name in SESSIONS
            for number in range(self._rng.randint(1, 3))
        ]
        self._unanswered: dict[str, tuple[str, bool]] = {}  # to be sent again, by uid: session, with a request key
        self._is_normal = self._rng.random() < 0.15
        self._retains = not self._is_normal and self._rng.random() < 0.25
        self._clock_offset_us = 0
        self._settings = config.load(
            {
                "durability": "normal" if self._is_normal else "full",
                "ring_events": self._rng.choice((1, 2, 5, 1000)),
                "replay_step": self._rng.choice((1, 2, 256)),
                "retention_events": self._rng.choice((3, 8)) if self._retains else 0,
                "retention_age": 0,
                "session_idle": self._rng.choice((0, 300)),
                "sse_padding": 0,
                "heartbeat_interval": 5,
                "max_connection_time": self._rng.choice((1, 3600)),
                "slow_reader_timeout": self._rng.choice((1, 60)),
            },
            environment={},
        )
        self._attempts: Counter[str] = Counter()
        # What seen or acknowledged ids stood for, ever: an id must never come to mean another event.
        self._meanings: dict[str, str] = {}
        self._now = 0.0
        self._count = 0

    def run(self) -> Outcome:
        """Live through the schedule and judge it."""
        previous = fanout.PASS_SECONDS, fanout.WRITES_PER_LOOK
        if self._rng.random() < 0.5:
            # Every pass is cut after every write.
            fanout.PASS_SECONDS, fanout.WRITES_PER_LOOK = -1.0, 1
        try:
            lives = self._rng.randint(1, 3)
            for number in range(lives):
                self._live(self._life(is_first=number == 0))
            self._disk.heal()
            self._live(self._last_life())
            self._judge()
        except Endless as error:
            self.outcome.violations.append(str(error))
        except Exception:
            self.outcome.violations.append(f"the world broke: {traceback.format_exc()}")
        finally:
            fanout.PASS_SECONDS, fanout.WRITES_PER_LOOK = previous
            self._disk.close()
        return self.outcome

    # Lives

    def _live(self, life: Coroutine[Any, Any, None]) -> None:
        """Run one life on a loop of its own; a crash leaves everything on it to the dust."""
        loop = self._loop = SimulatedLoop(self._now)
        self._crashes = self._disk.crashes
        self._crash = loop.create_future()
        asyncio.set_event_loop(loop)
        try:
            main = loop.create_task(life)
            loop.run_until_complete(asyncio.wait([main, self._crash], return_when=asyncio.FIRST_COMPLETED))
            if main.done():
                main.result()
            else:
                self.outcome.crashes += 1
        finally:
            for task in asyncio.all_tasks(loop):
                task.cancel()
            loop.run_until_complete(asyncio.gather(*asyncio.all_tasks(loop), return_exceptions=True))
            self._now = loop.time()
            asyncio.set_event_loop(None)
            loop.close()

    def _stands(self) -> bool:
        """Whether this life goes on; called after every step of the disk."""
        if self._disk.crashes > self._crashes and not self._crash.done():
            self._crash.set_result(None)
        return self._disk.crashes == self._crashes

    async def _open(self) -> Core:
        def delay() -> float:
            return self._rng.choice((0.0, 0.001, 0.02))

        worker = SimulatedWorker(self._loop, delay, self._stands)
        return await Core.open(
            self._settings,
            lambda read_only: self._disk.connect(DATABASE, read_only=read_only),
            store_worker=worker,
            query_worker=SimulatedWorker(self._loop, delay, self._stands),
            clock=self._clock,
            rng=self._rng,
            max_streams=100,
            die=self._die,
        )

    def _die(self, reason: str) -> NoReturn:
        self._disk.kill()
        raise Crash(reason)

    def _clock(self) -> int:
        return 1_800_000_000_000_000 + round(self._loop.time() * 1_000_000) + self._clock_offset_us

    async def _life(self, is_first: bool) -> None:
        try:
            self._core = await self._open()
        except RequestError:
            # The disk takes nothing yet; an operator would try again.
            self._disk.heal()
            return
        self._core.maintenance.start()
        if is_first:
            await self._create_sessions()
        tasks = [self._spawn(self._publish(self._rng.choice(SESSIONS))) for _ in range(4)]
        tasks += [self._spawn(self._read(client)) for client in self._clients]
        tasks += [self._spawn(self._disturb()), self._spawn(self._edit())]
        await asyncio.sleep(self._rng.uniform(0.5, 4))
        if self._rng.random() < 0.7:
            crash = self._disk.kill if self._rng.random() < 0.4 else self._disk.power_loss
            if self._rng.random() < 0.5:
                crash()
                self._stands()
            else:
                # In the middle of some change of the disk that is still to come.
                crash(after=self._rng.randint(0, 30))
            await asyncio.sleep(5)
        self._disk.heal()
        await self._core.hub.drain(self._rng.choice((0, 1)))
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._core.close()

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run something that goes on for the whole life; that it ends by itself is a violation."""

        def ended(task: asyncio.Task[None]) -> None:
            if not task.cancelled() and self._disk.crashes == self._crashes:
                self.outcome.violations.append(f"{coroutine.__name__} ended with {task.exception()!r}")

        task = self._loop.create_task(coroutine)
        task.add_done_callback(ended)
        return task

    async def _last_life(self) -> None:
        """Without faults: what is unanswered is sent again, and everybody reads to the end."""
        self._core = await self._open()
        await self._create_sessions()
        for uid, (session_id, has_key) in list(self._unanswered.items()):
            await self._send(session_id, uid, has_key)
        while self._retains and await self._core.maintenance.step():
            pass
        for client in self._clients:
            await self._begin(client)
            session = await self._core.hub.session_for(SERVICE, client.session_id)
            while client.cursor != session.last_event_id:
                client.begin()
                await self._poll_once(client, timeout=0, can_be_lost=False)
        await self._core.close()

    async def _create_sessions(self) -> None:
        people = [Participant("alice", "Alice", "human", 0)]
        for name in SESSIONS:
            if await self._core.hub.registry.get(name) is None:
                await self._core.hub.sessions.create(SERVICE, name, b"{}", people)

    # Publishing

    async def _publish(self, session_id: str) -> None:
        while True:
            await asyncio.sleep(self._rng.choice((0.0, 0.01, 0.1)))
            if self._unanswered and self._rng.random() < 0.3:
                # Perhaps while the first attempt is still under way.
                uid = self._rng.choice(list(self._unanswered))
                session, has_key = self._unanswered[uid]
                await self._send(session, uid, has_key)
                continue
            self._count += 1
            uid = f"u{self._count}"
            self._histories[session_id].attempted.add(uid)
            await self._send(session_id, uid, has_key=self._rng.random() < 0.5)
            if self._count > 60:
                await asyncio.sleep(1)

    async def _send(self, session_id: str, uid: str, has_key: bool) -> None:
        """Publish one message.  Without an answer it will be sent again, with the same key or messageId."""
        history = self._histories[session_id]
        event: dict[str, Any] = {"type": "message_added", "data": {"content": uid}}
        if not has_key:
            event["messageId"] = uid
        publication = parse_publication(
            json.dumps({"events": [event]}).encode(),
            subject="alice",
            is_participant=True,
            idempotency_key=uid if has_key else None,
            max_event_bytes=10_000,
        )
        self._attempts[uid] += 1
        self._unanswered[uid] = (session_id, has_key)
        try:
            sealed = await self._core.hub.publish(PERSON, session_id, publication)
        except (SessionClosed, SessionPaused, StorageFull):
            if self._attempts[uid] == 1 and self._rng.random() < 0.5:
                # Sent once and nobody sends it again, so it must never be there.
                del self._unanswered[uid]
                history.refused.add(uid)
        except RequestError:
            pass  # its outcome is unknown
        else:
            self._unanswered.pop(uid, None)
            entry = json.loads(sealed.answer)["events"][0]
            history.acknowledge(uid, entry["sequence"], entry["id"])
            self._means(entry["id"], uid)
            self.outcome.acknowledged += 1

    # Reading

    async def _begin(self, client: Client) -> None:
        if not client.cursor:
            session = await self._core.hub.session_for(SERVICE, client.session_id)
            client.cursor = str(session.trimmed_sequence) if session.trimmed_sequence else "zero"
            if client.cursor == "zero":
                client.cursor = encode_id(session.created_at_us, session.epoch, 0)

    async def _read(self, client: Client) -> None:
        while True:
            await asyncio.sleep(self._rng.choice((0.0, 0.05, 0.3)))
            await self._begin(client)
            client.begin()
            self.outcome.switches += 1
            try:
                if self._rng.random() < 0.5:
                    await self._stream(client)
                else:
                    for _ in range(self._rng.randint(1, 5)):
                        await self._poll_once(client, timeout=self._rng.choice((0, 0.5)), can_be_lost=True)
            except RequestError:
                await asyncio.sleep(0.2)

    async def _stream(self, client: Client) -> None:
        hub = self._core.hub
        session = await hub.session_for(PERSON, client.session_id)
        with using(session):
            opening = await hub.open_at(session, parse_cursor(client.cursor, "cursor"))
            if opening is None:
                return
            sink = SimulatedSink(self._loop, self._rng, client.receive)
            if hub.is_draining:
                hub.streams.refuse(sink, Ending.SHUTDOWN)
            else:
                hub.streams.open(
                    session,
                    sink,
                    subject="alice",
                    is_participant=True,
                    expires_in_seconds=FOREVER,
                    start=opening.start,
                    reset=opening.reset,
                )
        if self._rng.random() < 0.4:
            await asyncio.sleep(self._rng.uniform(0, 0.3))
            sink.pause_reading()
            await asyncio.sleep(self._rng.uniform(0, 2))
            sink.resume_reading()
        await asyncio.wait([sink.ended], timeout=self._rng.uniform(0, 2))
        sink.cut()

    async def _poll_once(self, client: Client, timeout: float, can_be_lost: bool) -> None:
        hub = self._core.hub
        start = parse_cursor(client.cursor, "cursor")
        if self._rng.random() < 0.4 and isinstance(start, Cursor) and start.timestamp_us and not self._is_normal:
            # A short poll by its moment alone; that knows no epoch, which only lost commits ever change here.
            start, timeout = Since("since", start.timestamp_us), 0
        poll = Poll(
            start,
            subject="alice",
            is_participant=True,
            timeout_seconds=timeout,
            expires_in_seconds=FOREVER,
            limit=self._rng.choice((1, 3, 100)),
        )
        answer = await hub.poll(PERSON, client.session_id, poll)
        if not (can_be_lost and self._rng.random() < 0.2):
            client.take(answer)

    # Trouble

    async def _disturb(self) -> None:
        """Let the disk fail for a while, or the system's clock step."""
        faults = ((Operation.WRITE, 13), (Operation.WRITE, None), (Operation.SYNC, None))
        while True:
            await asyncio.sleep(self._rng.uniform(0, 1.5))
            if self._rng.random() < 0.5:
                self._clock_offset_us += round(self._rng.uniform(-3_000_000, 3_000_000))
            else:
                self.outcome.faults += 1
                operation, code = self._rng.choice(faults)
                self._disk.fail(operation, code, after=self._rng.randint(0, 8), times=self._rng.choice((1, 3, None)))
                await asyncio.sleep(self._rng.uniform(0, 0.5))
                self._disk.heal()

    async def _edit(self) -> None:
        """Change status and participants."""
        number = 0
        while True:
            await asyncio.sleep(self._rng.uniform(0, 1.5))
            number += 1
            hub = self._core.hub
            try:
                session = self._rng.choice(SESSIONS)
                if self._rng.random() < 0.5:
                    await hub.sessions.describe(SERVICE, session, self._rng.choice(list(Status)), None)
                    await asyncio.sleep(0.1)
                    await hub.sessions.describe(SERVICE, session, Status.ACTIVE, None)
                else:
                    await hub.participants.put(SERVICE, session, f"p{number}", None, None)
                    await hub.participants.remove(SERVICE, session, f"p{number}")
            except RequestError:
                pass

    # Judging

    def _means(self, id: str, uid: str) -> None:
        before = self._meanings.setdefault(id, uid)
        if before != uid:
            self.outcome.violations.append(f"the id {id} stood for {before} and now for {uid}")

    def _judge(self) -> None:
        queries = Queries(self._disk.connect(DATABASE, read_only=True))
        for name, history in self._histories.items():
            found = queries.load(name)
            assert found is not None
            record = found[0]
            events = queries.read(record.number, record.epoch, 0, record.last_sequence, 10**9, 10**9)
            stored = [
                Stored(event.sequence, event.id, uid_of(event.type, json.loads(event.data), event.sequence))
                for event in events
            ]
            history.attempted |= {event.uid for event in stored if "@" in event.uid}
            for reader in history.readers:
                for saw in reader.seen:
                    self._means(saw.id, saw.uid)
                self.outcome.gaps += sum(hasattr(step, "reason") for step in reader.steps)
                self.outcome.seen += len(reader.seen)
            self._judge_session(name, history, stored, record.trimmed_sequence)
        queries.close()

    def _judge_session(self, name: str, history: History, stored: list[Stored], trimmed: int) -> None:
        if not self._is_normal:
            gaps = frozenset({"trimmed"}) if self._retains else frozenset()
            violations = check(history, stored, trimmed=trimmed, allowed_gaps=gaps)
        else:
            # A power cut may take acknowledged events back; then the epoch is another, and readers are told.
            violations = check(History(attempted=history.attempted), stored)
            for reader in history.readers:
                violations += check_order(reader, frozenset({"epoch"}))
        self.outcome.violations += [f"{name}: {found}" for found in violations]


def migrated_image() -> Image:
    """Return a disk with an empty database, so that schedules need not migrate one each."""
    disk = SimulatedDisk(random.Random(0))
    connection = disk.connect(DATABASE)
    schema.create(connection)
    connection.close()
    image = disk.image()
    disk.close()
    return image


def quiet() -> None:
    """Keep what servers say of failing disks out of the way: thousands of them do."""
    logging.getLogger("rtserver").setLevel(logging.CRITICAL)
