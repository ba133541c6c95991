"""What is claimed of the wire: where requests end, on both servers, under siege, in a rush, with TLS."""

from __future__ import annotations

import asyncio
import functools
import statistics
from pathlib import Path

from bench.promises import WIRE_PROMISES
from tests import certificates, siege
from tests.accept.clone import ROOT
from tests.accept.core import planted, run_tests
from tests.accept.lines import Line, Outcome
from tests.accept.speed import load_line, row
from tests.corpus import CORPUS
from tests.front import MISSING, NGINX
from tests.test_smuggling import READ_OTHERWISE

SLOW = SILENT = 5000
# Beyond the time for a head, so that all of them are put out and come back.
SIEGE_SECONDS = 25
AT_ONCE = 4000
ROUNDS = 5
MAX_RUSH_SECONDS, MAX_HOLD_SECONDS = 1.0, 0.05
MAX_CONNECTION_BYTES = 48 << 10


def smuggling(directory: Path) -> Outcome:
    if NGINX is None:
        return Outcome(False, MISSING)
    is_met, last = run_tests("tests/test_smuggling.py", "tests/test_nginx.py", "-k", "not many_pieces")
    return Outcome(is_met, f"{len(CORPUS)} entries: {last}")


def hypothesis(directory: Path) -> Outcome:
    is_met, last = run_tests("tests/test_smuggling.py", "-k", "many_pieces")
    return Outcome(is_met, f"{len(CORPUS)} entries, each in up to 13 pieces: {last}")


def both_wires(directory: Path) -> Outcome:
    files = [f"tests/{each.name}" for each in sorted((ROOT / "tests").glob("test_contract_*.py"))]
    files += [f"tests/test_{name}.py" for name in ("delivery", "streams", "polls")]
    outcomes = [(wire, *run_tests(*files, "-k", wire)) for wire in ("fast", "tornado")]
    figure = "; ".join(f"{wire}: {last}" for wire, _, last in outcomes)
    return Outcome(
        all(is_met for _, is_met, _ in outcomes),
        f"{figure}; of the corpus Tornado reads {len(READ_OTHERWISE)} entries otherwise, each named in the tests",
    )


def slow_clients(directory: Path) -> Outcome:
    figures = asyncio.run(siege.besiege(directory, SLOW, SILENT, SIEGE_SECONDS))
    return Outcome(figures.is_met and figures.told >= SLOW and figures.closed >= SILENT, str(figures))


def at_once(directory: Path) -> Outcome:
    rounds = [siege.rush(directory / str(number), AT_ONCE) for number in range(ROUNDS)]
    seconds = statistics.median(each.seconds for each in rounds)
    hold = statistics.median(each.longest_hold for each in rounds)
    is_met = seconds <= MAX_RUSH_SECONDS and hold <= MAX_HOLD_SECONDS
    is_met &= all(each.served == AT_ONCE for each in rounds)
    return Outcome(is_met, "; ".join(map(str, sorted(rounds, key=lambda each: each.seconds))))


def tls_memory(directory: Path) -> Outcome:
    costs = {
        wire: asyncio.run(certificates.bytes_of_an_idle_connection(directory / wire, 500, "--wire", wire))
        for wire in ("fast", "tornado")
    }
    figure = ", ".join(f"{wire} {cost / 1024:.1f} KB" for wire, cost in costs.items())
    return Outcome(max(costs.values()) <= MAX_CONNECTION_BYTES, figure)


def defects(directory: Path) -> Outcome:
    return planted("wire")


LINES = (
    *(
        Line(f"{each.title}: {each.bound}", functools.partial(row, each))
        for each in WIRE_PROMISES
        if each.measure not in ("rush", "tls")  # below, with both wires
    ),
    load_line("polls", "questions", "answers"),
    Line("The corpus has one outcome cut at every byte and over sockets; nginx in front agrees on each end", smuggling),
    Line("hypothesis cuts every entry at several places at once with the same outcome", hypothesis),
    Line("The contract, delivery, streams and polls on this server's wire and on Tornado's", both_wires),
    Line(f"{SLOW} that send slowly and {SILENT} that never send slow nobody beyond max(3 x, 50 ms)", slow_clients),
    Line(
        f"{AT_ONCE} connects at once are served within {MAX_RUSH_SECONDS:.0f} s, the loop held for at most "
        f"{MAX_HOLD_SECONDS * 1000:.0f} ms (median of {ROUNDS})",
        at_once,
    ),
    Line(f"An idle connection with TLS takes at most {MAX_CONNECTION_BYTES >> 10} KB", tls_memory),
    Line("Every planted defect of the wire is noticed", defects),
)
