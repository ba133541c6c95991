"""The judge of histories: order, loss, duplicates, unsaid gaps, and things seen that do not exist.

Tests, simulation, crash runs and soaks record what happened here; `check` decides.  It knows nothing of the server:
only what publishers were told, what readers saw and were told, and what is in the log at the end.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple


class Stored(NamedTuple):
    """An event of the log as it is at the end; ``uid`` is what the publisher put into it to know it again."""

    sequence: int
    id: str
    uid: str


class Saw(NamedTuple):
    sequence: int
    id: str
    uid: str


class Began(NamedTuple):
    """A reader presented a cursor: it wants everything after ``sequence``."""

    sequence: int


class ToldOfGap(NamedTuple):
    """The server said ``reset``: it goes on after ``sequence``."""

    reason: str
    sequence: int


@dataclass(eq=False)
class ReaderLog:
    """What one reader went through, on whatever tiers."""

    name: str
    steps: list[Began | Saw | ToldOfGap] = field(default_factory=list)

    def began(self, sequence: int) -> None:
        self.steps.append(Began(sequence))

    def saw(self, sequence: int, id: str, uid: str) -> None:
        self.steps.append(Saw(sequence, id, uid))

    def told_of_gap(self, reason: str, sequence: int) -> None:
        self.steps.append(ToldOfGap(reason, sequence))

    @property
    def seen(self) -> list[Saw]:
        return [step for step in self.steps if isinstance(step, Saw)]


@dataclass
class History:
    """One session's history.  ``attempted`` are all publishes ever sent; an outcome may stay unknown."""

    attempted: set[str] = field(default_factory=set)
    acknowledged: dict[str, tuple[int, str]] = field(default_factory=dict)
    refused: set[str] = field(default_factory=set)
    readers: list[ReaderLog] = field(default_factory=list)

    def reader(self, name: str) -> ReaderLog:
        log = ReaderLog(name)
        self.readers.append(log)
        return log

    def acknowledge(self, uid: str, sequence: int, id: str) -> None:
        self.acknowledged[uid] = (sequence, id)


def check(
    history: History,
    stored: list[Stored],
    *,
    trimmed: int = 0,
    allowed_gaps: frozenset[str] = frozenset(),
    complete: bool = True,
) -> list[str]:
    """Return every violation, in words; nothing is good news.

    ``stored`` is the log in order, without its first ``trimmed`` events.  ``allowed_gaps`` are the reset reasons that
    what was done to the server can explain.  With ``complete`` every reader must have got to the end of the log.
    """
    violations = _check_log(history, stored, trimmed)
    by_sequence = {event.sequence: event for event in stored}
    last = stored[-1].sequence if stored else trimmed
    for reader in history.readers:
        violations += check_order(reader, allowed_gaps, trimmed)
        for saw in reader.seen:
            violations += [f"{reader.name}: {found}" for found in _check_seen(saw, by_sequence, trimmed, history)]
        if complete and _position(reader) != last:
            violations.append(f"{reader.name}: stopped at {_position(reader)}, the log ends at {last}")
    return violations


def _check_log(history: History, stored: list[Stored], trimmed: int) -> list[str]:
    violations = []
    for expected, event in enumerate(stored, trimmed + 1):
        if event.sequence != expected:
            violations.append(f"the log has sequence {event.sequence} where {expected} belongs")
            break
    if [event.id for event in stored] != sorted({event.id for event in stored}):
        violations.append("the ids of the log do not strictly increase")
    places: dict[str, list[Stored]] = {}
    for event in stored:
        places.setdefault(event.uid, []).append(event)
    for uid, (sequence, id) in history.acknowledged.items():
        if sequence <= trimmed:
            continue
        found = places.get(uid, [])
        if not found:
            violations.append(f"{uid} was acknowledged as {sequence} and is gone")
        elif [(event.sequence, event.id) for event in found] != [(sequence, id)]:
            violations.append(f"{uid} was acknowledged as {sequence} {id} and is stored as {found}")
    violations += [f"{uid} is stored {len(found)} times" for uid, found in places.items() if len(found) > 1]
    violations += [f"{uid} was refused and is stored" for uid in history.refused if uid in places]
    violations += [f"{uid} is stored and was never sent" for uid in places if uid not in history.attempted]
    return violations


def check_order(reader: ReaderLog, allowed_gaps: frozenset[str] = frozenset(), trimmed: int = 0) -> list[str]:
    """Return what is wrong with one reader's order: skipped, repeated, or told of a gap that is none."""
    violations = []
    position: int | None = None
    for step in reader.steps:
        if isinstance(step, Began):
            if position is not None and step.sequence != position:
                violations.append(f"presented {step.sequence} as its cursor, but had seen up to {position}")
        elif isinstance(step, ToldOfGap):
            if step.reason not in allowed_gaps:
                violations.append(f"was told of a gap ({step.reason}) that nothing explains")
            # What is trimmed only grows: a reader beyond its end was beyond it then.
            elif step.reason == "trimmed" and position is not None and position >= trimmed:
                violations.append(f"was told that its cursor {position} is trimmed; only {trimmed} ever were")
        elif position is None or step.sequence != position + 1:
            violations.append(f"saw {step.sequence} after {position}")
        position = step.sequence
    return [f"{reader.name}: {found}" for found in violations]


def _check_seen(saw: Saw, by_sequence: dict[int, Stored], trimmed: int, history: History) -> list[str]:
    if history.acknowledged.get(saw.uid, (saw.sequence, saw.id)) != (saw.sequence, saw.id):
        return [f"saw {saw.uid} as {saw.sequence} {saw.id}, acknowledged as {history.acknowledged[saw.uid]}"]
    if saw.sequence <= trimmed:
        return []
    stored = by_sequence.get(saw.sequence)
    if stored is None:
        return [f"saw {saw.sequence} ({saw.uid}), which does not exist"]
    if (stored.id, stored.uid) != (saw.id, saw.uid):
        return [f"saw {saw.uid} {saw.id} as {saw.sequence}, where {stored.uid} {stored.id} is stored"]
    return []


def _position(reader: ReaderLog) -> int | None:
    return reader.steps[-1].sequence if reader.steps else None
