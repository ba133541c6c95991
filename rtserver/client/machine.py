"""How a client moves between the tiers (DESIGN section 5): a value, an event, the next value and what is to be done.

The same machine as the browser's: both walk the table of ``tests/client/transitions.json`` in their tests, where each
event and action is explained.  It knows no time, no network and no session; `rtserver.client.driver` does what it
wants.

No I/O, no clock, no event loop.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace

from rtserver.client.errors import Misused

# After so many failures on a tier since it was last verified, while plain requests worked, the next one is tried.
MAX_FAILURES = 10
# Strikes are for networks that let streams begin well: so many against streams that were of no use, and the next tier
# is taken.
MAX_STRIKES = 3
CUT_EARLY_STRIKES = 1
# Silence costs more time until it is noticed.
SILENT_STRIKES = 2


class Tier(enum.StrEnum):
    """Best first."""

    SSE = "sse"
    LONG_POLL = "long-poll"
    SHORT_POLL = "short-poll"


class State(enum.StrEnum):
    NEW = "new"
    BOOTSTRAPPING = "bootstrapping"
    VERIFYING_SSE = "verifying sse"
    LIVE = "live"
    TRYING_LONG_POLL = "trying long-poll"
    VERIFYING_LONG_POLL = "verifying long-poll"
    DELAYED = "delayed"
    POLLING = "polling"
    CHECKING = "checking"
    DOUBTING = "doubting"
    RECONNECTING = "reconnecting"
    OFFLINE = "offline"
    BLOCKED = "blocked"
    SIGNED_OUT = "signed-out"
    STOPPED = "stopped"
    CLOSED = "closed"


class Action(enum.StrEnum):
    ASK_CONTROL = "ask control"
    ASK_WHY = "ask why"
    START_TIER = "start tier"
    HOLD = "hold"
    SETTLE = "settle"
    GO_ON = "go on"
    STOP_TIER = "stop tier"
    WAIT_RETRY = "wait retry"
    WAIT_SLOWLY = "wait slowly"
    REMEMBER_TIER = "remember tier"
    PROMOTE_LATER = "promote later"
    START_PROMOTION = "start promotion"
    ADOPT_PROMOTION = "adopt promotion"
    POLL_NOW = "poll now"
    RESYNC = "resync"
    SIGN_IN = "sign in"


class Event(enum.StrEnum):
    START = "start"
    OK = "ok"
    FAILED = "failed"
    PAGE = "page"
    BUSY = "busy"
    BROKEN = "broken"
    SIGN_IN = "sign-in"
    FORBIDDEN = "forbidden"
    GONE = "gone"
    ENDED = "ended"
    CONNECTED = "connected"
    PROBE_APART = "probe apart"
    PROBE_TOGETHER = "probe together"
    DEADLINE = "deadline"
    STREAM_LOST = "stream lost"
    STREAM_CUT_EARLY = "stream cut early"
    LASTED = "lasted"
    STREAM_REFUSED = "stream refused"
    SILENT = "silent"
    GOODBYE = "goodbye"
    RETRY_DUE = "retry due"
    REFRESH = "refresh"
    PROMOTE_DUE = "promote due"
    PROMOTED_TO_SSE = "promoted to sse"
    PROMOTED_TO_LONG_POLL = "promoted to long-poll"
    PROMOTION_FAILED = "promotion failed"
    OFFLINE = "offline"
    ONLINE = "online"
    WAKE = "wake"
    RESYNC_FAILED = "resync failed"
    CLOSE = "close"


# What ends everything, from wherever something runs.
_ENDS = {
    Event.SIGN_IN: (State.SIGNED_OUT, (Action.STOP_TIER, Action.SIGN_IN)),
    Event.FORBIDDEN: (State.STOPPED, (Action.STOP_TIER,)),
    Event.GONE: (State.STOPPED, (Action.STOP_TIER,)),
    Event.ENDED: (State.STOPPED, (Action.STOP_TIER,)),
}
_AT_REST = (State.NEW, State.SIGNED_OUT, State.STOPPED, State.CLOSED)
_STREAMING = (State.VERIFYING_SSE, State.LIVE)
_LONG_POLLING = (State.TRYING_LONG_POLL, State.VERIFYING_LONG_POLL, State.DELAYED)
_WAITING = (State.RECONNECTING, State.OFFLINE, State.BLOCKED)
# What somebody or the system says, in a state that waits for its time.
_CALLS = (Event.RETRY_DUE, Event.REFRESH, Event.WAKE, Event.ONLINE)


@dataclass(frozen=True, slots=True)
class Machine:
    """``tier`` is in use or to be tried; ``tiers`` are those that may be used, best first.

    ``verified`` says that the tier has proven itself since it was entered, ``failures`` counts its failures since it
    was last verified, while plain requests worked.  ``strikes`` are those against streams that had proven themselves
    and were of no use: cut early, or silent.  They count until a stream has lasted, beyond a change of tiers, so that
    the next one that disappoints is the last for a while; if plain requests fail as well it was an outage.
    """

    state: State = State.NEW
    tier: Tier = Tier.SSE
    tiers: tuple[Tier, ...] = tuple(Tier)
    verified: bool = False
    failures: int = 0
    strikes: int = 0

    def step(self, event: Event) -> tuple[Machine, tuple[Action, ...]]:
        """Return what the machine becomes and wants; what does not matter now changes nothing."""
        state = self.state
        if event is Event.CLOSE:
            return self._stay() if state is State.CLOSED else self._to(State.CLOSED, Action.STOP_TIER)
        if state in _AT_REST:
            return self._begin(event)
        if event in _ENDS:
            end, actions = _ENDS[event]
            return self._to(end, *actions)
        if state in (State.BOOTSTRAPPING, State.CHECKING):
            return self._bootstrapping(event) if state is State.BOOTSTRAPPING else self._checking(event)
        if state is State.DOUBTING:
            return self._doubting(event)
        if state in _STREAMING:
            return self._streaming(event)
        if state in _LONG_POLLING:
            return self._long_polling(event)
        return self._polling(event) if state is State.POLLING else self._waiting(event)

    def _begin(self, event: Event) -> tuple[Machine, tuple[Action, ...]]:
        is_asked = event is (Event.START if self.state is State.NEW else Event.REFRESH)
        if is_asked and self.state is not State.CLOSED:
            return self._to(State.BOOTSTRAPPING, Action.ASK_CONTROL)
        return self._stay()

    def _bootstrapping(self, event: Event) -> tuple[Machine, tuple[Action, ...]]:
        return self._start(self.tier) if event is Event.OK else self._after_control(event)

    def _checking(self, event: Event) -> tuple[Machine, tuple[Action, ...]]:
        """The tier does not work; a plain request says whether anything does."""
        if event is not Event.OK:
            return self._after_control(event)
        below = self._below()
        return self._start(below) if below else self._to(State.RECONNECTING, Action.WAIT_RETRY)

    def _doubting(self, event: Event) -> tuple[Machine, tuple[Action, ...]]:
        """The tier worked, and then it was of no use; a plain request says whether that is the tier."""
        below = self._below()
        if event is Event.OK and self.strikes >= MAX_STRIKES and below:
            return replace(self, strikes=MAX_STRIKES - 1)._start(below)
        if event is Event.OK:
            return self._to(State.RECONNECTING, Action.WAIT_RETRY)
        machine, actions = self._after_control(event)
        return (replace(machine, strikes=0) if actions else self), actions

    def _waiting(self, event: Event) -> tuple[Machine, tuple[Action, ...]]:
        if event in _CALLS:
            return self._want(Action.ASK_CONTROL)
        if event is Event.OK:
            below = self._below() if self.failures >= MAX_FAILURES else None
            return self._start(below or self.tier)
        if event is Event.OFFLINE and self.state is State.RECONNECTING:
            return self._to(State.OFFLINE, Action.WAIT_SLOWLY)
        if event is Event.FAILED and self.state is State.OFFLINE:
            return self._want(Action.WAIT_SLOWLY)
        return self._after_control(event)

    def _after_control(self, event: Event) -> tuple[Machine, tuple[Action, ...]]:
        if event in (Event.FAILED, Event.BUSY, Event.BROKEN):
            return self._to(State.RECONNECTING, Action.WAIT_RETRY)
        return self._to(State.BLOCKED, Action.WAIT_SLOWLY) if event is Event.PAGE else self._stay()

    def _streaming(self, event: Event) -> tuple[Machine, tuple[Action, ...]]:
        match event:
            case Event.CONNECTED if self.verified:
                return self._to(State.LIVE)
            case Event.PROBE_APART:
                live = replace(self, state=State.LIVE, verified=True, failures=0)
                return live, (Action.SETTLE, Action.REMEMBER_TIER)
            case Event.PROBE_TOGETHER | Event.DEADLINE:
                return self._check()
            case Event.STREAM_LOST:
                return self._fail() if self.verified else self._check()
            case Event.STREAM_CUT_EARLY:
                return self._disappoint(CUT_EARLY_STRIKES) if self.state is State.LIVE else self._check()
            case Event.LASTED if self.state is State.LIVE:
                return replace(self, strikes=0), ()
            case Event.FAILED if self.state is State.VERIFYING_SSE:
                return self._fail() if self.verified else self._check()
            case Event.PAGE | Event.BROKEN if self.state is State.VERIFYING_SSE:
                return self._check()
            case Event.BUSY if self.state is State.VERIFYING_SSE:
                return self._to(State.RECONNECTING, Action.STOP_TIER, Action.WAIT_RETRY)
            case Event.SILENT if self.state is State.LIVE:
                return self._disappoint(SILENT_STRIKES)
            case Event.STREAM_REFUSED:
                return self._to(State.CHECKING, Action.STOP_TIER, Action.ASK_WHY)
            case Event.GOODBYE:
                return self._to(State.RECONNECTING, Action.STOP_TIER, Action.WAIT_RETRY)
            case Event.WAKE | Event.ONLINE:
                return self._to(State.VERIFYING_SSE, Action.STOP_TIER, Action.START_TIER)
        return self._resynced(event)

    def _long_polling(self, event: Event) -> tuple[Machine, tuple[Action, ...]]:
        match event:
            case Event.OK if self.state is State.TRYING_LONG_POLL and not self.verified:
                return self._to(State.VERIFYING_LONG_POLL, Action.HOLD)
            case Event.OK if self.state is State.TRYING_LONG_POLL:
                return self._to(State.DELAYED, *self._promoting(), Action.GO_ON)
            case Event.OK if self.state is State.VERIFYING_LONG_POLL:
                delayed = replace(self, state=State.DELAYED, verified=True, failures=0)
                return delayed, (Action.SETTLE, Action.REMEMBER_TIER, *self._promoting(), Action.GO_ON)
            case Event.OK:
                return replace(self, failures=0), (Action.SETTLE, Action.GO_ON)
            case Event.FAILED:
                return self._fail() if self.verified else self._check()
            case Event.PAGE | Event.BROKEN:
                return self._check()
            case Event.DEADLINE if self.state is not State.DELAYED:
                return self._check()
            case Event.BUSY:
                return self._to(State.RECONNECTING, Action.STOP_TIER, Action.WAIT_RETRY)
            case Event.WAKE | Event.ONLINE:
                return self._to(State.TRYING_LONG_POLL, Action.STOP_TIER, Action.START_TIER)
        return self._promotion(event) if self.state is State.DELAYED else self._resynced(event)

    def _polling(self, event: Event) -> tuple[Machine, tuple[Action, ...]]:
        match event:
            case Event.OK:
                remembering = () if self.verified else (Action.REMEMBER_TIER,)
                return replace(self, verified=True, failures=0), (Action.SETTLE, *remembering, Action.GO_ON)
            case Event.FAILED | Event.BROKEN:
                return self._fail()
            case Event.BUSY:
                return self._to(State.RECONNECTING, Action.STOP_TIER, Action.WAIT_RETRY)
            case Event.PAGE:
                return self._to(State.BLOCKED, Action.STOP_TIER, Action.WAIT_SLOWLY)
            case Event.WAKE | Event.ONLINE | Event.OFFLINE | Event.REFRESH:
                return self._want(Action.POLL_NOW)
        return self._promotion(event)

    def _promotion(self, event: Event) -> tuple[Machine, tuple[Action, ...]]:
        adopted = (Action.ADOPT_PROMOTION, Action.SETTLE, Action.REMEMBER_TIER)
        match event:
            case Event.PROMOTE_DUE:
                return self._want(Action.START_PROMOTION)
            case Event.PROMOTION_FAILED:
                return self._want(Action.PROMOTE_LATER)
            case Event.PROMOTED_TO_SSE:
                return replace(self, state=State.LIVE, tier=Tier.SSE, verified=True, failures=0), adopted
            case Event.PROMOTED_TO_LONG_POLL if self.state is State.POLLING:
                delayed = replace(self, state=State.DELAYED, tier=Tier.LONG_POLL, verified=True, failures=0)
                return delayed, (*adopted, *delayed._promoting(), Action.GO_ON)
        return self._resynced(event)

    def _resynced(self, event: Event) -> tuple[Machine, tuple[Action, ...]]:
        if self.state is State.POLLING:
            return self._stay()
        if event in (Event.REFRESH, Event.OFFLINE):
            return self._want(Action.RESYNC)
        if event is Event.RESYNC_FAILED:
            return self._to(State.RECONNECTING, Action.STOP_TIER, Action.WAIT_RETRY)
        return self._stay()

    def _start(self, tier: Tier) -> tuple[Machine, tuple[Action, ...]]:
        machine = self if tier is self.tier else replace(self, tier=tier, verified=False, failures=0)
        if tier is Tier.SSE:
            return machine._to(State.VERIFYING_SSE, Action.START_TIER)
        if tier is Tier.LONG_POLL:
            return machine._to(State.TRYING_LONG_POLL, Action.START_TIER)
        return machine._to(State.POLLING, Action.START_TIER, *machine._promoting())

    def _check(self) -> tuple[Machine, tuple[Action, ...]]:
        return self._to(State.CHECKING, Action.STOP_TIER, Action.ASK_CONTROL)

    def _fail(self) -> tuple[Machine, tuple[Action, ...]]:
        failed = replace(self, state=State.RECONNECTING, failures=self.failures + 1)
        return failed, (Action.STOP_TIER, Action.WAIT_RETRY)

    def _disappoint(self, strikes: int) -> tuple[Machine, tuple[Action, ...]]:
        doubted = replace(self, failures=self.failures + 1, strikes=self.strikes + strikes)
        return doubted._to(State.DOUBTING, Action.STOP_TIER, Action.ASK_CONTROL)

    def _promoting(self) -> tuple[Action, ...]:
        return (Action.PROMOTE_LATER,) if self.better() else ()

    def better(self) -> tuple[Tier, ...]:
        """Return the tiers that would be better than this one, the best first."""
        return self.tiers[: self.tiers.index(self.tier)]

    def _below(self) -> Tier | None:
        below = self.tiers[self.tiers.index(self.tier) + 1 :]
        return below[0] if below else None

    def _to(self, state: State, *actions: Action) -> tuple[Machine, tuple[Action, ...]]:
        return replace(self, state=state), actions

    def _want(self, *actions: Action) -> tuple[Machine, tuple[Action, ...]]:
        return self, actions

    def _stay(self) -> tuple[Machine, tuple[Action, ...]]:
        return self, ()


def start_with(tiers: tuple[Tier, ...]) -> Machine:
    """Return a machine that uses these tiers alone; raises `Misused` if there are none."""
    if not tiers:
        raise Misused("no tier is left to be used")
    best_first = tuple(tier for tier in Tier if tier in tiers)
    return Machine(tier=best_first[0], tiers=best_first)
