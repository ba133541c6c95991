"""The judge of the matrix: whether a client did what is expected of it behind a network.

Delivery is judged by `tests.checker`; here it is the tier, how soon, and what it cost.  Knows the record alone.
"""

from __future__ import annotations

from tests.checker import check
from tests.networks.record import Record
from tests.networks.row import BEST_FIRST, CHROMIUM, NONE

# A tab sends no more than one request a second, on average over its life.
REQUESTS_PER_SECOND = 1.0
# A bucket of six that refills by one a second, and the requests of the beginning and of a change of tiers.
REQUESTS_IN_TEN_SECONDS = 24
# From one tier to another and back; more is flapping.
CHANGES = 4
# After so many heartbeats that did not come, and so many seconds, a stream is dead.
WATCHDOG = {CHROMIUM: (2, 5.0), "Python": (2, 0.0)}
# How late a process may be on a machine that does much else.
SLACK_SECONDS = 4.0


def judge(record: Record) -> list[str]:
    """Return everything that is wrong, in words; nothing is good news."""
    if record.error:
        return [f"{record.name}: did not run to its end: {record.error}"]
    found = [*_delivery(record), *_costs(record)]
    for number in range(len(record.row.phases)):
        found += _phase(record, number)
    found += [f"the page complains: {problem}" for problem in record.problems]
    return [f"{record.name}: {each}" for each in found]


def watchdog_seconds(client: str, heartbeat_seconds: float) -> float:
    """Return after how much silence a client gives a stream up."""
    beats, seconds = WATCHDOG[client]
    return beats * heartbeat_seconds + seconds


def _delivery(record: Record) -> list[str]:
    found = check(record.history, record.stored)
    if record.first_data_at is None:
        found.append("saw nothing at all")
    elif record.first_data_at > record.row.first_data:
        found.append(f"saw the first event after {record.first_data_at:.1f} s, allowed are {record.row.first_data:g}")
    return found


def _costs(record: Record) -> list[str]:
    found = []
    if record.requests_per_second > REQUESTS_PER_SECOND:
        found.append(f"sent {record.requests_per_second:.2f} requests a second, allowed is {REQUESTS_PER_SECOND:g}")
    if record.busiest > REQUESTS_IN_TEN_SECONDS:
        found.append(f"sent {record.busiest} requests in ten seconds, allowed are {REQUESTS_IN_TEN_SECONDS}")
    if record.most_held > record.row.held:
        found.append(f"held {record.most_held} connections, allowed are {record.row.held}")
    return found


def _phase(record: Record, number: int) -> list[str]:
    phase = record.row.phases[number]
    name = " ".join(phase.network) or "a clean path"
    if number >= len(record.phase_began):
        return [f"never came to {name}"]
    found = []
    ends = record.span(number)[1]
    # The first tier of all, where there was none before, has no other one to change from.
    tier = record.tier_at(ends)
    if tier != phase.tier:
        found.append(f"{name}: ended on {tier}, expected is {phase.tier}")
    elif record.settled_after(number) > phase.within:
        found.append(f"{name}: on {tier} after {record.settled_after(number):.1f} s, allowed are {phase.within:g}")
    if BEST_FIRST.index(tier) > BEST_FIRST.index(phase.allows) and not phase.why:
        found.append(f"{name}: ended on {tier}, the network allows {phase.allows}, and nothing explains it")
    changes = record.tiers_in(number)
    if len(changes) > CHANGES:
        found.append(f"{name}: changed the tier {len(changes)} times")
    if phase.is_mute:
        found += _noticed(record, number, name)
    if tier != NONE and phase.tier == NONE:
        found.append(f"{name}: nothing passes, and yet it was on {tier}")
    return found


def _noticed(record: Record, number: int, name: str) -> list[str]:
    allowed = watchdog_seconds(record.client, record.heartbeat_seconds) + SLACK_SECONDS
    after = record.noticed_after(number)
    if after is None:
        return [f"{name}: was never noticed"]
    return [f"{name}: noticed after {after:.1f} s, allowed are {allowed:g}"] if after > allowed else []
