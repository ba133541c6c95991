"""Does what the machine wants: requests, streams and waits, each as something that runs.

It decides nothing: what happened goes to the machine, what the machine wants is done.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Callable

from rtserver.client.bootstrap import Bootstrap
from rtserver.client.delays import Promotions, Retries, slow_retry_seconds
from rtserver.client.errors import ClientError, TimedOut
from rtserver.client.machine import Action, Event, Machine, State, Tier
from rtserver.client.polls import Polls
from rtserver.client.reporter import Reporter
from rtserver.client.runs import Run, Runs
from rtserver.client.status import Status, expected_delay, tier_in_use, words
from rtserver.client.stream import Stream
from rtserver.client.timing import Clock, end, within
from rtserver.client.tokens import Tokens
from rtserver.client.verdict import Verdict

logger = logging.getLogger(__name__)

SSE_DEADLINE_SECONDS = 10.0
LONG_POLL_DEADLINE_SECONDS = 15.0
PROOF_HELD_SECONDS = 10
# Two that are missing: one may be late.
SILENT_HEARTBEATS = 2
# While a machine sleeps its clock of passing time stands still and the time of day goes on.
LOOK_AT_CLOCKS_SECONDS = 5.0
SLEPT_SECONDS = 20.0


class Driver:
    """``machine`` is where it stands; ``over`` is the verdict that ended it, if one did."""

    def __init__(
        self,
        machine: Machine,
        bootstrap: Bootstrap,
        make_stream: Callable[[Retries], Stream],
        polls: Polls,
        tokens: Tokens,
        clock: Clock,
        on_change: Callable[[Status], None],
        reporter: Reporter,
    ) -> None:
        self.machine = machine
        self.over: Verdict | None = None
        self._bootstrap = bootstrap
        self._make_stream = make_stream
        self._polls = polls
        self._tokens = tokens
        self._clock = clock
        self._on_change = on_change
        self._reporter = reporter
        self._retries = Retries()
        self._promotions = Promotions()
        self._runs = Runs(clock)
        self._stream: Stream | None = None
        self._reason = ""
        self._as_of: float | None = None
        self._next_retry_at: float | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._does: dict[Action, Callable[[], None]] = {
            Action.ASK_CONTROL: self._ask_control,
            # A native EventSource hides why a stream was refused; here it was seen, and said.
            Action.ASK_WHY: self._ask_control,
            Action.START_TIER: self._start_tier,
            Action.HOLD: lambda: self._poll(PROOF_HELD_SECONDS),
            Action.SETTLE: self._settle,
            Action.GO_ON: lambda: self._poll(pause_seconds=self._polls.pause_seconds),
            Action.STOP_TIER: self._runs.stop_all,
            Action.WAIT_RETRY: lambda: self._wait(self._retries.next(self.machine.tier, clock.random())),
            Action.WAIT_SLOWLY: lambda: self._wait(slow_retry_seconds(clock.random())),
            # A program's session ends with the program: there is nowhere to remember it.
            Action.REMEMBER_TIER: lambda: None,
            Action.PROMOTE_LATER: self._promote_later,
            Action.START_PROMOTION: self._start_promotion,
            Action.ADOPT_PROMOTION: self._adopt_promotion,
            Action.POLL_NOW: self._poll,
            Action.RESYNC: lambda: self._runs.start("resync", self._resync),
            # There is no page to go to.
            Action.SIGN_IN: lambda: None,
        }

    @property
    def status(self) -> Status:
        tier = tier_in_use(self.machine)
        return Status(
            state=words(self.machine),
            tier=tier,
            reason=self._reason,
            as_of=self._heard_of_at(),
            next_retry_at=self._next_retry_at,
            expected_delay=expected_delay(tier, self._polls.interval_seconds),
        )

    def start(self) -> None:
        self._tasks = [asyncio.create_task(self._listen()), asyncio.create_task(self._notice_sleep())]
        self.say(Event.START)

    def say(self, event: Event) -> None:
        """Take in what somebody outside says: that there is a network, or that it is to be tried now."""
        self._runs.say(event)

    async def close(self) -> None:
        """Stop all of it, and return when nothing runs any more."""
        await end(*self._tasks)
        self._take_in(Verdict(Event.CLOSE))
        await self._reporter.close()
        await self._runs.close()

    async def _listen(self) -> None:
        while True:
            self._take_in(await self._runs.next())

    async def _notice_sleep(self) -> None:
        while True:
            apart_before = self._clock.now_us() / 1e6 - self._clock.now()
            await self._clock.sleep(LOOK_AT_CLOCKS_SECONDS)
            if self._clock.now_us() / 1e6 - self._clock.now() > apart_before + SLEPT_SECONDS:
                self.say(Event.WAKE)

    def _take_in(self, verdict: Verdict) -> None:
        before = self.machine
        self.machine, actions = before.step(verdict.event)
        if verdict.event is Event.LASTED:
            self._promotions.settle()
        self._reporter.saw(before, verdict.event, self.machine)
        if verdict.event in (Event.OK, Event.CONNECTED):
            self._as_of = self._clock.now_us() / 1e6
        if verdict.reason and (actions or self.machine != before):
            self._reason = verdict.reason
        elif self.machine.verified and tier_in_use(self.machine):
            self._reason = ""
        if self.machine != before:
            logger.info("%s while %s: %s %s", verdict.event, before.state, self.machine.state, verdict.reason)
        is_over = self.machine.state in (State.SIGNED_OUT, State.STOPPED, State.CLOSED)
        self.over = (self.over or verdict) if is_over else None
        self._retries.floor(verdict.retry_after_seconds)
        if actions:
            self._next_retry_at = None
        for action in actions:
            self._does[action]()
        if self.machine.state is State.LIVE and self._stream is not None and "watchdog" not in self._runs:
            self._watch(self._stream)
        self._on_change(self.status)

    def _heard_of_at(self) -> float | None:
        if tier_in_use(self.machine) is Tier.SSE and self._stream is not None:
            ago_seconds = self._clock.now() - self._stream.heard_at
            self._as_of = max(self._as_of or 0.0, self._clock.now_us() / 1e6 - ago_seconds)
        return self._as_of

    # Asking, and the tiers

    def _ask_control(self) -> None:
        async def ask(run: Run) -> None:
            run.say(await (self._polls.control() if self._bootstrap.is_done else self._bootstrap.ask()))

        self._runs.stop("retry")
        self._runs.start("control", ask)

    async def _resync(self, run: Run) -> None:
        verdict = await self._polls.control()
        if verdict.event in (Event.SIGN_IN, Event.FORBIDDEN, Event.GONE, Event.ENDED):
            run.say(verdict)
        elif verdict.event in (Event.FAILED, Event.PAGE, Event.BROKEN):
            run.say(Verdict(Event.RESYNC_FAILED, verdict.reason))

    def _start_tier(self) -> None:
        if self.machine.tier is Tier.SSE:
            self._runs.after("deadline", SSE_DEADLINE_SECONDS, Event.DEADLINE, "the stream said nothing in time")
            stream = self._stream = self._make_stream(self._retries)
            self._runs.start("tier", lambda run: _read(run, stream))
            self._renew_in_time()
        elif self.machine.tier is Tier.LONG_POLL:
            reason = "a long poll was not answered in time"
            self._runs.after("deadline", LONG_POLL_DEADLINE_SECONDS, Event.DEADLINE, reason)
            self._poll(0)
        else:
            self._poll()

    def _poll(self, held_seconds: int | None = None, pause_seconds: float = 0.0) -> None:
        is_long = self.machine.tier is Tier.LONG_POLL

        async def poll(run: Run) -> None:
            if pause_seconds > 0:
                await self._clock.sleep(pause_seconds)
            run.say(await (self._polls.long(held_seconds) if is_long else self._polls.short()))

        self._runs.start("tier", poll)

    def _settle(self) -> None:
        self._runs.stop("deadline")
        self._retries.settle()

    def _wait(self, seconds: float) -> None:
        self._next_retry_at = self._clock.now_us() / 1e6 + seconds
        self._runs.after("retry", seconds, Event.RETRY_DUE)

    def _watch(self, stream: Stream) -> None:
        """Have the watchdog on a stream that lives."""

        async def watch(run: Run) -> None:
            while True:
                limit_seconds = SILENT_HEARTBEATS * stream.heartbeat_seconds
                left_seconds = stream.heard_at + limit_seconds - self._clock.now()
                if stream.is_waiting:
                    left_seconds = limit_seconds  # for us, not we for it
                elif left_seconds <= 0:
                    return run.say(Verdict(Event.SILENT, "the stream has fallen silent"))
                await self._clock.sleep(left_seconds)

        self._runs.start("watchdog", watch)

    def _renew_in_time(self) -> None:
        """Open the stream anew, with another token, before the one it was opened with expires."""

        async def renew(run: Run) -> None:
            await self._clock.sleep(due_seconds or 0.0)
            try:
                await self._tokens.renew()
            except ClientError as error:
                logger.info("no other token yet: %s", error)
            else:
                run.say(Verdict(Event.WAKE))

        due_seconds = self._tokens.renewal_due_seconds()
        # One that is short-lived beyond reason is left to the server, which says when it has expired.
        if due_seconds:
            self._runs.start("renewal", renew)

    # Better tiers

    def _promote_later(self) -> None:
        self._runs.after("promote", self._promotions.next(self._clock.random()), Event.PROMOTE_DUE)

    def _start_promotion(self) -> None:
        if "promotion" not in self._runs:
            self._runs.stop("promote")
            self._runs.start("promotion", self._promote)

    async def _promote(self, run: Run) -> None:
        for tier in self.machine.better():
            if tier is Tier.SSE:
                if await self._promote_to_stream(run):
                    return
            elif await self._is_held():
                run.say(Verdict(Event.PROMOTED_TO_LONG_POLL))
                return
        run.say(Verdict(Event.PROMOTION_FAILED))

    async def _promote_to_stream(self, run: Run) -> bool:
        """Read a stream beside what runs; once it is verified it is what runs."""
        stream = self._make_stream(self._retries)
        deadline = self._clock.now() + SSE_DEADLINE_SECONDS
        async with contextlib.aclosing(stream.signals()) as signals:
            event = Event.CONNECTED
            while event is Event.CONNECTED:
                left_seconds = deadline - self._clock.now()
                try:
                    event = (await within(self._clock, left_seconds, _next(signals), "the probe")).event
                except TimedOut:
                    return False
            if event is not Event.PROBE_APART:
                return False
            self._stream = stream
            run.say(Verdict(Event.PROMOTED_TO_SSE))
            async for signal in signals:
                run.say(signal)
        return True

    async def _is_held(self) -> bool:
        """Say whether long polls work: one that is answered at once, then one that is held."""
        for held_seconds in (0, PROOF_HELD_SECONDS):
            if (await self._polls.long(held_seconds)).event is not Event.OK:
                return False
        return True

    def _adopt_promotion(self) -> None:
        self._runs.stop("promote", "deadline", "resync")
        self._runs.rename("promotion", "tier")
        if not self.machine.strikes:
            # One that was of no use before may be again: it is probed less and less often until one has lasted.
            self._promotions.settle()
        if self.machine.tier is Tier.SSE:
            self._renew_in_time()


async def _read(run: Run, stream: Stream) -> None:
    async with contextlib.aclosing(stream.signals()) as signals:
        async for signal in signals:
            run.say(signal)


async def _next(signals: AsyncGenerator[Verdict, None]) -> Verdict:
    return await anext(signals, Verdict(Event.STREAM_LOST))
