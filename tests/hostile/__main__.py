"""Put a network that is not on one's side in front of a server, by hand.

python -m tests.hostile --upstream 8080 buffer-whole --port 9001 cut-at:20 latency:0.3 --port 9002

A line of the input changes what a port does: 9001 pass
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import sys
import threading

from tests.hostile import BEHAVIOURS, Hop

USAGE = "python -m tests.hostile [--upstream PORT] [--speed N] [--verbose] {BEHAVIOUR... --port PORT}..."


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
            found.append(Hop(options.upstream, *group, speed=options.speed, port=int(port), host=options.host))
            group = []
    return found


async def serve(given: list[Hop]) -> None:
    async with contextlib.AsyncExitStack() as stack:
        for hop in given:
            await stack.enter_async_context(hop)
            print(f"{hop.url}  {' '.join(hop.names)}", flush=True)
        loop = asyncio.get_running_loop()
        threading.Thread(target=listen, args=(loop, {hop.port: hop for hop in given}), daemon=True).start()
        await loop.create_future()


def listen(loop: asyncio.AbstractEventLoop, by_port: dict[int, Hop]) -> None:
    """Do what lines of the input say, in a thread: they are waited for."""
    for line in sys.stdin:
        if line.strip():
            loop.call_soon_threadsafe(change, line.split(), by_port)


def change(words: list[str], by_port: dict[int, Hop]) -> None:
    port, *names = words
    try:
        by_port[int(port)].set(*names)
    except (KeyError, ValueError) as error:
        print(f"PORT BEHAVIOUR...: {error}", file=sys.stderr, flush=True)
    else:
        print(f"{by_port[int(port)].url}  {' '.join(names)}", flush=True)


def main() -> int:
    options = argparse.ArgumentParser(
        prog="python -m tests.hostile", usage=USAGE, description=__doc__, epilog=listed(),
        formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False,
    )  # fmt: skip
    options.add_argument("--upstream", type=int, default=8080, help="the server's port (default: 8080)")
    options.add_argument("--speed", type=float, default=1.0, help="how fast the hop's own time passes (default: 1)")
    options.add_argument("--host", default="127.0.0.1", help="where the hop listens (default: 127.0.0.1)")
    options.add_argument("--verbose", action="store_true", help="a line for each exchange when it is over")
    options.add_argument(
        "--list", action="store_true", help="the behaviours with numbers and defaults, and nothing else"
    )
    given, rest = options.parse_known_args()
    if given.list:
        print(listed())
        return 0
    logging.basicConfig(format="%(message)s", level=logging.INFO if given.verbose else logging.WARNING)
    try:
        found = hops(given, rest)
        if not found:
            options.error("which behaviour?  --list names them")
        asyncio.run(serve(found))
    except (OSError, ValueError) as error:
        options.error(str(error))
    except KeyboardInterrupt:
        pass
    return 0


if __name__ == "__main__":
    sys.exit(main())
