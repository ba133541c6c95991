"""A line of acceptance, and how it is shown."""

from __future__ import annotations

import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple


class Outcome(NamedTuple):
    is_met: bool
    figure: str


class Line(NamedTuple):
    """``check`` gets an empty directory of its own."""

    claim: str
    check: Callable[[Path], Outcome]


def show(lines: tuple[Line, ...], directory: Path) -> bool:
    """Check line after line and print what came of each; return whether all are met."""
    is_met = True
    for number, line in enumerate(lines, 1):
        print(f"{number} of {len(lines)}: {line.claim} ...", file=sys.stderr, flush=True)
        place = directory / str(number)
        place.mkdir()
        began_at = time.monotonic()
        try:
            outcome = line.check(place)
        except Exception:
            outcome = Outcome(False, traceback.format_exc())
        print(f"{'PASS' if outcome.is_met else 'FAIL'}  {line.claim}\n      {outcome.figure}", flush=True)
        print(f"{time.monotonic() - began_at:.0f} s", file=sys.stderr, flush=True)
        is_met &= outcome.is_met
    return is_met
