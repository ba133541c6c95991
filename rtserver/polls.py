"""Polls: one complete answer from a cursor on, at once or as soon as there is something to say (DESIGN 4.6).

A waiting poll is a coroutine; it reads by the same `Reader` as streams do.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, cast

from rtserver.counters import Counters
from rtserver.cursor import Cursor
from rtserver.errors import Draining, NotAParticipant, Overloaded, SessionNotFound, TokenExpired
from rtserver.event import Event, Transient
from rtserver.pace import Pace
from rtserver.reader import Gap, Location, Page, Reader
from rtserver.readers import Poll
from rtserver.records import Status
from rtserver.session import Session

# All that wait are looked at so often; a deadline is late by that at most.  A timer of the event loop each cost a tenth
# of a delivery.
SWEEP_SECONDS = 0.2
# So many go on in one turn of the loop, before others get theirs.
POLLS_PER_TURN = 64
# AI progress changes many times a second and each change would end a poll; this often is enough for people.
PROGRESS_SECONDS = 2.0

# What a session is like to a short poll that finds nothing at its end; see `Polls.quiet`.
Quiet = tuple[int, int, int, int, int]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a poll says; one without anything to say (`is_empty`) is the 204 of a long poll.

    ``newest_us`` is the time of the session's newest event, ``poll_interval_seconds`` after how long it is worth asking
    again.
    """

    cursor: str
    newest_us: int
    poll_interval_seconds: int
    events: list[Event] = field(default_factory=list)
    states: list[Transient] = field(default_factory=list)
    has_more: bool = False
    is_closed: bool = False
    is_replaced: bool = False
    reset: dict[str, Any] | None = None

    @property
    def is_empty(self) -> bool:
        return not (self.events or self.states or self.is_closed or self.reset)


# Gets what becomes of a poll that has no coroutine.
Done = Callable[[Answer | Exception], None]


class Polls:
    """Answers polls; ``waiting`` counts those that wait now, at most ``max_waiting`` (P4)."""

    def __init__(
        self, reader: Reader, max_waiting: int, clock: Callable[[], int], pace: Pace, counters: Counters
    ) -> None:
        """``clock`` gives microseconds since 1970; ``pace`` runs while there are polls."""
        self.waiting = 0
        self._reader = reader
        self._clock = clock
        self._pace = pace
        self._counters = counters
        self._max_waiting = max_waiting
        self._loop = asyncio.get_running_loop()
        # Each with its coroutine, if it is to be kept from being forgotten, or with what is needed to go on without.
        self._open: dict[Poll, asyncio.Task[None] | tuple[Session, Done] | None] = {}
        self._sweeper: asyncio.TimerHandle | None = None
        self._woken: deque[Poll] = deque()  # without a coroutine, and to go on in the next turn of the loop
        self._located: tuple[object, Location | None] = None, None  # the last that was looked for, and where it is
        self._newest: dict[tuple[int, str, str], Poll] = {}  # by session, participant and client
        self._is_draining = False
        # The last answer that polls without a coroutine were given, and what they had seen of which session.
        self._shared: tuple[object, Answer | None] = None, None

    async def answer(self, session: Session, poll: Poll) -> Answer:
        """Return what there is after the poll's cursor, waiting up to its timeout for it.

        Raises `NotAParticipant`, `SessionNotFound`, `TokenExpired` or `Draining` when that happens meanwhile, and
        `Overloaded` if too many polls wait already.
        """
        self._begin(session, poll)
        with self._registered(session, poll):
            location = await self._reader.locate(session, poll.start)
            if isinstance(location, Gap):
                return await self._reset(session, location)
            poll.after, poll.cursor = location
            return await self._read_on(session, poll)

    def locate(self, session: Session, cursor: Cursor) -> Location | None:
        """Return where a poll begins that `answer_later` takes, or None for one that is to be given to `answer`."""
        # Those that wait together come back from the same place.
        asked = (session.number, session.epoch, session.last_sequence, session.trimmed_sequence, cursor)
        if asked != self._located[0]:
            self._located = asked, self._reader.locate_at_hand(session, cursor)
        location = self._located[1]
        return location if location is not None and session.ring.holds_all_after(location.sequence) else None

    def answer_later(self, session: Session, poll: Poll, location: Location, done: Done) -> None:
        """Do the same from a place that was located, without a coroutine and without lingering: ``done`` is told."""
        self._begin(session, poll)
        poll.after, poll.cursor = location
        self._register(session, poll)
        self._open[poll] = session, done
        self._proceed(session, poll, done)

    def _begin(self, session: Session, poll: Poll) -> None:
        now = self._loop.time()
        poll.deadline, poll.expires_at = now + poll.timeout_seconds, now + poll.expires_in_seconds
        poll.live_index = session.live_index
        self._counters.opened["long-poll" if poll.states_after_us is None else "short-poll"] += 1

    async def _read_on(self, session: Session, poll: Poll) -> Answer:
        has_lingered = False
        while True:
            page = await self._reader.read(session, poll.after, poll.types, poll.limit)
            self._check(session, poll, self._loop.time())
            if isinstance(page, Gap):
                return await self._reset(session, page)
            if page.events and not (has_lingered or poll.is_replaced or page.has_more or _is_over(session, page)):
                # What comes in the same burst comes in the same answer.
                has_lingered = await self._linger(poll)
                if has_lingered:
                    continue
            answer = self._look(session, poll, page)
            if answer is not None:
                return answer
            if poll.after == session.last_sequence:
                await self._wait(poll, min(poll.deadline, poll.expires_at))

    def _proceed(self, session: Session, poll: Poll, done: Done) -> None:
        """Go on with a poll that has no coroutine, up to where it is answered or waits."""
        if not session.ring.holds_all_after(poll.after):
            self._open[poll] = self._loop.create_task(self._catch_up(session, poll, done))
            return
        outcome: Answer | Exception | None = None
        try:
            outcome = self._see(session, poll, self._loop.time())
            if outcome is None:
                self._take_place()
                poll.wait_for(min(poll.deadline, poll.expires_at), self._wake)
                return
        except Exception as error:
            outcome = error
        self._deregister(session, poll)
        done(outcome)

    def _wake(self, poll: Poll) -> None:
        if not self._woken:
            self._loop.call_soon(self._go_on)
        self._woken.append(poll)

    def _go_on(self) -> None:
        """Go on with those that were woken."""
        try:
            for _ in range(min(len(self._woken), POLLS_PER_TURN)):
                poll = self._woken.popleft()
                self.waiting -= 1
                session, done = cast(tuple[Session, Done], self._open[poll])
                self._proceed(session, poll, done)
        finally:
            if self._woken:
                self._loop.call_soon(self._go_on)

    async def _catch_up(self, session: Session, poll: Poll, done: Done) -> None:
        """Go on with such a poll, when the ring has lost what comes next."""
        outcome: Answer | Exception
        try:
            outcome = await self._read_on(session, poll)
        except Exception as error:
            outcome = error
        self._deregister(session, poll)
        done(outcome)

    def _see(self, session: Session, poll: Poll, now: float) -> Answer | None:
        """Return what is said to a poll ``now``: the same `Answer` to all that saw as much of the same session."""
        self._check(session, poll, now)
        is_plain = not (poll.with_progress or poll.is_replaced)
        is_at_end = poll.after == session.last_sequence and session.status is not Status.CLOSED
        if is_plain and is_at_end and now < poll.deadline:
            # What `_look` would find, at a tenth of a delivery: nothing to say yet.
            return None
        # Of the second, because of how soon to poll again.
        seen = (
            *(session.number, session.epoch, session.live_index, session.trimmed_sequence, session.status),
            *(poll.after, poll.types, poll.limit, int(now)),
        )
        if is_plain and seen == self._shared[0]:
            return self._shared[1]
        while True:
            page = self._reader.read_ring(session, poll.after, poll.types, poll.limit)
            assert page is not None
            answer = self._look(session, poll, page)
            if answer is not None or poll.after == session.last_sequence:
                break
        if answer is not None and answer.events and is_plain:
            self._shared = seen, answer
        return answer

    def _look(self, session: Session, poll: Poll, page: Page) -> Answer | None:
        """Return what is said to a poll that has read a page, or None: then it reads on, or waits at the end."""
        is_at_end = page.sequence == session.last_sequence
        is_closed = _is_over(session, page)
        states = self._states(session, poll)
        if page.sequence != poll.after:
            poll.after, poll.cursor = page.sequence, page.cursor
        if page.events or states or is_closed:
            return self._answer(session, poll.cursor, page.events, states, page.has_more, is_closed)
        if poll.is_replaced:
            return self._answer(session, poll.cursor, is_replaced=True)
        if is_at_end and self._loop.time() >= poll.deadline:
            return self._answer(session, poll.cursor)
        return None

    def quiet(self, session: Session) -> Quiet | None:
        """Return what stays the same for as long as there is nothing to say to a short poll from the session's end.

        None where that is not sure: passing states end by themselves, and the end of a closed session is said.
        """
        if session.passing or session.status is Status.CLOSED:
            return None
        return session.number, session.epoch, session.live_index, session.last_sequence, session.trimmed_sequence

    def answer_quiet(self, session: Session) -> int:
        """Answer such a poll that comes again: return its ``poll_interval_seconds``."""
        self._counters.opened["short-poll"] += 1
        return self._pace.poll_interval(session)

    def announce(self, session: Session, *, has_events: bool, has_progress: bool) -> None:
        """Wake the session's polls for what was just shown."""
        if not session.polls or not (has_events or has_progress):
            return
        now = self._loop.time()
        tells_progress = has_progress and now >= session.next_progress_at
        if tells_progress:
            session.next_progress_at = now + PROGRESS_SECONDS
        elif has_progress and session.progress_timer is None:
            session.progress_timer = self._loop.call_at(session.next_progress_at, self._tell_progress, session)
        if has_events or tells_progress:
            for poll in session.polls:
                poll.wake(tells_progress)

    def waits(self, subject: str, *, is_participant: bool) -> bool:
        """Whether a poll of this person is being answered now."""
        return any(poll.subject == subject and poll.is_participant == is_participant for poll in self._open)

    def expel(self, session: Session, subject: str) -> None:
        """End the polls of a participant that is not in the session any more (P6)."""
        for poll in list(session.polls):
            if poll.is_participant and poll.subject == subject:
                poll.fail(NotAParticipant(f"{subject!r} was removed from the session"))

    def end_all(self, session: Session) -> None:
        """End the polls of a session that has been deleted."""
        for poll in list(session.polls):
            self._fail_deleted(session, poll)

    def drain(self) -> None:
        """Release every poll, and every one that comes from now on when it would wait."""
        self._is_draining = True
        for poll in list(self._open):
            poll.fail(_draining())

    def _check(self, session: Session, poll: Poll, now: float) -> None:
        """Raise what ends the poll, whatever there is to read."""
        if session.is_deleted:
            self._fail_deleted(session, poll)
        elif poll.is_participant and poll.subject not in session.participants:
            poll.fail(NotAParticipant(f"{poll.subject!r} is not a participant of this session"))
        elif now >= poll.expires_at:
            poll.fail(TokenExpired("the token expired while the poll waited"))
        if poll.error is not None:
            raise poll.error

    def _fail_deleted(self, session: Session, poll: Poll) -> None:
        if poll.is_participant:
            poll.fail(NotAParticipant("the session has ended"))
        else:
            poll.fail(SessionNotFound(f"the session {session.session_id!r} was deleted"))

    @contextmanager
    def _registered(self, session: Session, poll: Poll) -> Iterator[None]:
        self._register(session, poll)
        try:
            yield
        finally:
            self._deregister(session, poll)

    def _register(self, session: Session, poll: Poll) -> None:
        """Have the poll known to its session, and an older one of the same client replaced, while it is answered."""
        if poll.client_id is not None:
            client = session.number, poll.subject, poll.client_id
            if client in self._newest:
                self._newest[client].replace()
            self._newest[client] = poll
        session.polls[poll] = None
        self._open[poll] = None
        if self._sweeper is None:
            self._sweeper = self._loop.call_later(SWEEP_SECONDS, self._sweep)

    def _deregister(self, session: Session, poll: Poll) -> None:
        del session.polls[poll]
        del self._open[poll]
        if poll.client_id is not None:
            client = session.number, poll.subject, poll.client_id
            if self._newest.get(client) is poll:
                del self._newest[client]

    def _sweep(self) -> None:
        """Wake those whose time is over."""
        self._sweeper = self._loop.call_later(SWEEP_SECONDS, self._sweep) if self._open else None
        now = self._loop.time()
        for poll in [poll for poll in self._open if poll.until <= now]:
            poll.wake()

    def _take_place(self) -> None:
        """Count one more that waits.  Raises `Draining` and `Overloaded`."""
        if self._is_draining:
            raise _draining()
        if self.waiting >= self._max_waiting:
            raise Overloaded(f"{self.waiting} polls wait; at most {self._max_waiting} may", 5)
        self.waiting += 1

    async def _wait(self, poll: Poll, until: float) -> None:
        self._take_place()
        try:
            await poll.wait(until)
        finally:
            self.waiting -= 1

    async def _linger(self, poll: Poll) -> bool:
        """Let a poll with news wait its little while longer; False if it has none."""
        if poll.linger_seconds <= 0 or self._is_draining:
            return False
        until = min(self._loop.time() + poll.linger_seconds, poll.expires_at)
        # Too short for the sweep.
        timer = self._loop.call_at(until, poll.wake)
        try:
            while self._loop.time() < until and poll.error is None and not poll.is_replaced:
                await self._wait(poll, until)
        finally:
            timer.cancel()
        return True

    async def _reset(self, session: Session, gap: Gap) -> Answer:
        fields = await self._reader.reset_fields(session, gap)
        return self._answer(session, fields["lastEventId"], reset=fields)

    def _answer(self, session: Session, cursor: str, *page: Any, **facts: Any) -> Answer:
        return Answer(cursor, session.last_timestamp_us, self._pace.poll_interval(session), *page, **facts)

    def _tell_progress(self, session: Session) -> None:
        session.progress_timer = None
        self.announce(session, has_events=False, has_progress=True)

    def _states(self, session: Session, poll: Poll) -> list[Transient]:
        """Return the passing states that this poll is shown now (DESIGN 4.6, 4.7).

        A long poll: the latest AI progress published since it began, if it is time to tell it.
        """
        if poll.states_after_us is not None:
            shown = {"ai_progress", "typing_indicator"} if poll.wants_typing else {"ai_progress"}
            states = [s for s in session.current_states(self._clock()) if s.timestamp_us > poll.states_after_us]
        elif poll.with_progress:
            shown = {"ai_progress"}
            states = [p.event for p in session.passing.values() if p.live_index > poll.live_index]
        else:
            return []
        return [s for s in states if s.type in shown and (poll.types is None or s.type in poll.types)]


def _is_over(session: Session, page: Page) -> bool:
    """Whether a page ends where nothing comes any more."""
    return page.sequence == session.last_sequence and session.status is Status.CLOSED


def _draining() -> Draining:
    return Draining("the server is shutting down; come back in a moment", 2)
