"""What was seen of one client behind one network; written down while it runs, judged afterwards.

Times are seconds since the client was started.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from tests.checker import History, ReaderLog, Stored
from tests.networks.row import NONE, Row


@dataclass(frozen=True)
class Moment:
    """The client said that it is in another state now, or on another tier."""

    at: float
    state: str
    tier: str | None
    reason: str = ""


@dataclass
class Record:
    """``phase_began`` are the times at which the phases of the row began, ``ended_at`` is when the last one was over.

    ``requests`` are the times of the requests that reached the network.
    """

    row: Row
    client: str
    heartbeat_seconds: float = 30.0
    moments: list[Moment] = field(default_factory=list)
    phase_began: list[float] = field(default_factory=list)
    ended_at: float = 0.0
    first_data_at: float | None = None
    caught_up_at: float | None = None
    requests: list[float] = field(default_factory=list)
    most_held: int = 0
    problems: list[str] = field(default_factory=list)
    history: History = field(default_factory=History)
    stored: list[Stored] = field(default_factory=list)
    error: str = ""

    def __post_init__(self) -> None:
        self.reader: ReaderLog = self.history.reader(self.client)
        self._began_at = time.monotonic()

    @property
    def name(self) -> str:
        return f"{self.row.name} ({self.client})"

    # Written down while it runs

    def start(self) -> None:
        self._began_at = time.monotonic()

    def now(self) -> float:
        return time.monotonic() - self._began_at

    def since_start(self, moment: float) -> float:
        return moment - self._began_at

    def saw(self, sequence: int, id: str, uid: str) -> None:
        if self.first_data_at is None:
            self.first_data_at = self.now()
        self.reader.saw(sequence, id, uid)

    def status(self, state: str, tier: str | None, reason: str) -> None:
        if not self.moments or (state, tier) != (self.moments[-1].state, self.moments[-1].tier):
            self.moments.append(Moment(self.now(), state, tier, reason))

    # What follows from it

    @property
    def last_sequence(self) -> int:
        seen = self.reader.seen
        return seen[-1].sequence if seen else 0

    def span(self, number: int) -> tuple[float, float]:
        """Return when a phase began and ended."""
        ends = [*self.phase_began[1:], self.ended_at]
        return self.phase_began[number], ends[number]

    def tier_at(self, at: float) -> str:
        """Return the tier that was used last, at a time."""
        used = [moment.tier for moment in self.moments if moment.at <= at and moment.tier]
        return used[-1] if used else NONE

    def tiers_in(self, number: int) -> list[Moment]:
        """Return the changes from one tier to another within a phase; a pause between them is none."""
        begins, ends = self.span(number)
        current, found = self.tier_at(begins), []
        for moment in self.moments:
            if begins < moment.at <= ends and moment.tier and moment.tier != current:
                current = moment.tier
                found.append(moment)
        return found

    def settled_after(self, number: int) -> float:
        """Return how long after a phase began the tier was in use for good; pauses count if it begins with one."""
        begins, ends = self.span(number)
        changes = self.tiers_in(number)
        if changes:
            return changes[-1].at - begins
        states = [moment.tier for moment in self.moments if moment.at <= begins]
        if states and states[-1]:
            return 0.0
        back = [moment.at - begins for moment in self.moments if begins < moment.at <= ends and moment.tier]
        return back[0] if back else 0.0

    def noticed_after(self, number: int) -> float | None:
        """Return how long after a phase began the client was anything but live."""
        begins, ends = self.span(number)
        left = [moment.at - begins for moment in self.moments if begins < moment.at <= ends and moment.state != "live"]
        return left[0] if left else None

    @property
    def requests_per_second(self) -> float:
        return len(self.requests) / max(1.0, self.ended_at)

    @property
    def busiest(self) -> int:
        """Return how many requests there were in the busiest ten seconds."""
        return max((sum(at <= other < at + 10 for other in self.requests) for at in self.requests), default=0)
