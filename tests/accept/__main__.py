"""``python -m tests.accept [PART ...]``: one part or several of what is claimed; all of them without a name."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.accept import clients, contract, core, networks, speed, wire
from tests.accept.lines import show

PARTS = {
    "core": core.LINES,
    "contract": contract.LINES,
    "speed": speed.LINES,
    "wire": wire.LINES,
    "clients": clients.LINES,
    "networks": networks.LINES,
}


def main(names: list[str]) -> int:
    unknown = sorted(set(names) - set(PARTS))
    if unknown:
        print(f"there is no part {unknown[0]!r}; there are {', '.join(PARTS)}", file=sys.stderr)
        return 2
    is_met = True
    for name in names or PARTS:
        print(f"-- {name}")
        with tempfile.TemporaryDirectory(prefix="rtserver-accept-") as directory:
            is_met &= show(PARTS[name], Path(directory))
    return 0 if is_met else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
