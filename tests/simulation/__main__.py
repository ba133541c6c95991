"""Run schedules by hand: ``python -m tests.simulation --first 10000 --count 500``."""

from __future__ import annotations

import argparse
import sys
import time

from tests.simulation.world import World, migrated_image, quiet


def main() -> int:
    options = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    options.add_argument("--first", type=int, default=10_000, help="the first seed (default: 10000)")
    options.add_argument("--count", type=int, default=500, help="how many seeds (default: 500)")
    given = options.parse_args()
    quiet()
    image, start, failed = migrated_image(), time.monotonic(), 0
    acknowledged = seen = crashes = 0
    for done, seed in enumerate(range(given.first, given.first + given.count), 1):
        outcome = World(seed, image).run()
        acknowledged += outcome.acknowledged
        seen += outcome.seen
        crashes += outcome.crashes
        for violation in outcome.violations:
            print(f"seed {seed}: {violation}")
        failed += bool(outcome.violations)
        if done % 100 == 0 or done == given.count:
            rate = done / (time.monotonic() - start)
            print(f"{done} schedules, {failed} failed; {acknowledged} acknowledged, {seen} seen, {crashes} crashes; "
                  f"{rate:.0f}/s", flush=True)  # fmt: skip
    return 1 if failed else 0


sys.exit(main())
