"""Put a network that is not on one's side in front of a server, by hand.

python -m tests.hostile --upstream 8080 buffer-whole --port 9001 cut-at:20 latency:0.3 --port 9002
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys

from tests.hostile import BEHAVIOURS, Hop

USAGE = "python -m tests.hostile [--upstream PORT] [--speed N] {BEHAVIOUR... --port PORT}..."


def listed() -> str:
    lines = []
    for name, kind in sorted(BEHAVIOURS.items(), key=lambda pair: sort_key(pair[1].number)):
        default = f"{kind.default:g}" if isinstance(kind.default, float) else kind.default
        lines.append(f"{kind.number:>4}  {name + (f':{default}' if default else ''):<26}  {kind.summary}")
    return "\n".join(lines)


def sort_key(number: str) -> tuple[int, str]:
    return int(number.rstrip("ab")), number


def hops(options: argparse.Namespace, words: list[str]) -> list[Hop]:
    """Return one hop for each group of behaviours; a ``--port`` or a ``+`` ends the group."""
    found: list[Hop] = []
    group: list[str] = []
    rest = iter([*words, "+"])
    for word in rest:
        if not word.startswith(("--port", "+")):
            group.append(word)
            continue
        port = word.removeprefix("--port=") if "=" in word else next(rest, "") if word == "--port" else "0"
        if group:
            found.append(Hop(options.upstream, *group, speed=options.speed, port=int(port)))
            group = []
    return found


async def serve(given: list[Hop]) -> None:
    async with contextlib.AsyncExitStack() as stack:
        for hop in given:
            await stack.enter_async_context(hop)
            print(f"{hop.url}  {' '.join(hop.names)}", flush=True)
        await asyncio.get_running_loop().create_future()


def main() -> int:
    options = argparse.ArgumentParser(
        prog="python -m tests.hostile", usage=USAGE, description=__doc__, epilog=listed(),
        formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False,
    )  # fmt: skip
    options.add_argument("--upstream", type=int, default=8080, help="the server's port (default: 8080)")
    options.add_argument("--speed", type=float, default=1.0, help="how fast the hop's own time passes (default: 1)")
    options.add_argument(
        "--list", action="store_true", help="the behaviours with numbers and defaults, and nothing else"
    )
    given, rest = options.parse_known_args()
    if given.list:
        print(listed())
        return 0
    try:
        found = hops(given, rest)
        if not found:
            options.error("which behaviour?  --list names them")
        asyncio.run(serve(found))
    except ValueError as error:
        options.error(str(error))
    except KeyboardInterrupt:
        pass
    return 0


if __name__ == "__main__":
    sys.exit(main())
