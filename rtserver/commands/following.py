"""``rtserver tail`` and ``rtserver publish``: the Python client at the terminal (DESIGN section 6).

Events go to standard output, a line each; what state the connection is in goes to standard error.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import signal
import sys
import threading
from collections.abc import AsyncIterator, Coroutine
from pathlib import Path
from typing import Any

import msgspec

from rtserver import client
from rtserver.auth import Role, make_token, read_secret
from rtserver.client.tokens import checked
from rtserver.errors import StartRefused
from rtserver.publication import is_name

TAIL_EXAMPLES = """\
examples:
  rtserver tail case-1 --url http://127.0.0.1:8080 --data-dir /var/lib/rtserver
  rtserver tail case-1 --url https://rt.bank.example --token-file token --json | jq .data
  rtserver tail case-1 --url https://rt.bank.example --from earliest --types message_added
  rtserver tail case-1 --url http://rt.bank.example --proxy http://user:password@proxy:3128
  rtserver tail case-1 --url http://127.0.0.1:8080 --tier long-poll    does it work without streams?

The token is --token, --token-file, the variable RTSERVER_TOKEN, or made with the secret of --data-dir.
A line is: sequence, time, type, data; with --json the event as JSON.  Passing states have no sequence.
"""
PUBLISH_EXAMPLES = """\
examples:
  rtserver publish case-1 --url http://127.0.0.1:8080 --token-file token --content "Good morning"
  rtserver publish case-1 --url https://rt.bank.example --type note --data '{"n": 1}' --message-id n-1
  tail -f app.log | rtserver publish case-1 --url http://127.0.0.1:8080 -     a message per line

Prints the id of each event once it is on the server's disk.  A repeat with the same --message-id publishes nothing new.
"""
TOKEN_SECONDS = 8 * 3600
# Refused by the server, as opposed to asked for wrongly (2).
REFUSED = 1
INTERRUPTED = 130
BROKEN_PIPE = 141

# What would steer a terminal.
_STEERING = re.compile("[\x00-\x1f\x7f-\x9f]")
_encode = msgspec.json.Encoder().encode


def add_to(commands: Any) -> None:
    """Add both commands to the command line."""
    tail = _command(commands, "tail", "follow a session", "Print the events of a session as they come.", TAIL_EXAMPLES)
    tail.add_argument(
        "--from",
        dest="start",
        default="now",
        metavar="PLACE",
        help="earliest, now (the default), or the id of the last event that was seen",
    )
    tail.add_argument("--tier", choices=["auto", *client.Tier], default="auto", help="use this one alone")
    tail.add_argument("--types", metavar="A,B", help="only events of these types")
    tail.add_argument("--count", type=_count, metavar="N", help="end after so many events")
    tail.add_argument("--json", action="store_true", help="print events as JSON, one a line")
    tail.add_argument("--quiet", action="store_true", help="do not say what state the connection is in")
    tail.set_defaults(run=_tail)

    publish = _command(commands, "publish", "publish an event", "Publish in a session.", PUBLISH_EXAMPLES)
    publish.add_argument("--type", default="message_added", help="the event's type (default: message_added)")
    what = publish.add_mutually_exclusive_group(required=True)
    what.add_argument("--data", metavar="JSON", help="its data, a JSON object")
    what.add_argument("--content", metavar="TEXT", help="the text of a message")
    # An option for the parser, which would look for a positional right behind SESSION alone.
    what.add_argument("-", dest="lines", action="store_true", help="a message per line of standard input")
    publish.add_argument("--message-id", metavar="ID", help="what makes a repeat known as one")
    publish.add_argument("--timeout", type=float, default=30.0, metavar="SECONDS", help="give up then (default: 30)")
    publish.set_defaults(run=_publish)


def _command(commands: Any, name: str, help: str, description: str, examples: str) -> argparse.ArgumentParser:
    formatter = argparse.RawDescriptionHelpFormatter
    command: argparse.ArgumentParser = commands.add_parser(
        name, help=help, description=description, epilog=examples, formatter_class=formatter
    )
    command.add_argument("session", metavar="SESSION", help="the session's id")
    url = "http://127.0.0.1:8080"
    command.add_argument("--url", default=url, metavar="URL", help=f"the server, with its base path (default: {url})")
    command.add_argument("--token", metavar="TOKEN", help="a token; other users of this machine can see it here")
    command.add_argument("--token-file", metavar="FILE", help="a file that holds the token; read again when it expires")
    command.add_argument("--data-dir", metavar="DIR", help="make a token with the secret of this data directory")
    command.add_argument("--sub", metavar="ID", help="for whom, with --data-dir (default: rtserver-cli, a service)")
    command.add_argument("--proxy", metavar="URL", help="http://user:password@host:port (default: the environment's)")
    command.add_argument("--tunnel", action="store_true", help="ask the proxy for a tunnel for http, too")
    command.add_argument("--ca", metavar="FILE", help="certificates to trust instead of the system's (PEM)")
    return command


def _count(text: str) -> int:
    count = int(text)
    if count < 1:
        raise ValueError
    return count


def _tail(options: argparse.Namespace) -> int:
    # Stopping it is how it is ended.
    return _run(_follow(options), interrupted=0)


def _publish(options: argparse.Namespace) -> int:
    return _run(_send(options), interrupted=INTERRUPTED)


def _run(doing: Coroutine[Any, Any, None], interrupted: int) -> int:
    """Run a command to its end; return its exit status, and say in one line what refused it."""
    try:
        return 0 if asyncio.run(_until_interrupted(doing)) else interrupted
    except client.Misused as error:
        raise StartRefused(_shown(error)) from None
    except (client.ClientError, TimeoutError) as error:
        _say(str(error))
        return REFUSED
    except BrokenPipeError:
        # Who read has gone; what Python still holds for it must not be a complaint at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE


async def _until_interrupted(doing: Coroutine[Any, Any, None]) -> bool:
    """Return whether it came to its end."""
    task = asyncio.ensure_future(doing)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, task.cancel)
    try:
        await task
    except asyncio.CancelledError:
        return False
    return True


async def _follow(options: argparse.Namespace) -> None:
    connecting = _connect(
        options,
        start=options.start,
        tiers=tuple(client.Tier) if options.tier == "auto" else (options.tier,),
        event_types=options.types.split(",") if options.types else None,
        on_status=None if options.quiet else _show_status,
        on_reset=_show_reset,
    )
    shown = 0
    async with connecting as following:
        async for event in following.events():
            print(_line(event, is_json=options.json), flush=True)
            shown += 1
            if shown == options.count:
                return


def _line(event: client.Event, *, is_json: bool) -> str:
    if is_json:
        fields = {"id": event.id, "sequence": event.sequence, "type": event.type, "timestamp": event.timestamp}
        known: dict[str, Any] = {name: value for name, value in fields.items() if value is not None}
        return _shown(_encode(known | {"data": event.data}).decode())
    place = "-" if event.sequence is None else event.sequence
    columns = (place, event.timestamp or "-", event.type, _encode(event.data).decode())
    return "\t".join(_shown(column) for column in columns)


def _shown(found: object) -> str:
    """Return what was found as one line, with nothing in it that steers a terminal; JSON stays what it means."""
    return _STEERING.sub(lambda steering: f"\\u{ord(steering[0]):04x}", str(found))


def _say(words: str) -> None:
    print(f"rtserver: {_shown(words)}", file=sys.stderr, flush=True)


def _show_status(status: client.Status) -> None:
    words = [status.state]
    if status.tier:
        words.append(f"by {status.tier}")
    if status.reason:
        words.append(f"({status.reason})")
    _say(" ".join(words))


def _show_reset(reset: client.Reset) -> None:
    _say(f"a gap ({reset.reason}): events before {reset.last_event_id} may be missing")


async def _send(options: argparse.Namespace) -> None:
    if options.lines and options.message_id:
        raise client.Misused("--message-id is of one event; lines get their own")
    async with _connect(options, follows=False) as publishing:
        async for data in _letters(options):
            sending = publishing.send(data, type=options.type, message_id=options.message_id)
            try:
                event = await asyncio.wait_for(sending, options.timeout)
            except TimeoutError:
                why = publishing.send_problem or "no answer"
                raise TimeoutError(f"not published within {options.timeout:g} s: {why}") from None
            print(_shown(event.id or "-"), flush=True)


async def _letters(options: argparse.Namespace) -> AsyncIterator[dict[str, Any] | str]:
    """Yield what is to be published."""
    if options.content is not None:
        yield options.content
    elif options.data is not None:
        yield _object(options.data)
    else:
        async for line in _typed():
            if line:
                yield line if options.type == "message_added" else _object(line)


async def _typed() -> AsyncIterator[str]:
    """Yield the lines of standard input as they come, whatever it is: a terminal, a pipe, a file."""
    loop = asyncio.get_running_loop()
    pieces: asyncio.Queue[bytes] = asyncio.Queue(maxsize=4)

    def read() -> None:
        piece = b" "
        while piece:
            # Not by sys.stdin: this thread may still be waiting here when the program ends.
            piece = os.read(0, 65536)
            asyncio.run_coroutine_threadsafe(pieces.put(piece), loop).result()

    threading.Thread(target=read, daemon=True).start()
    rest = b""
    while piece := await pieces.get():
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            yield line.decode(errors="replace")
    if rest:
        yield rest.decode(errors="replace")


def _object(text: str) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise client.Misused(f"{text[:60]!r} is not a JSON object")
    return found


def _connect(options: argparse.Namespace, **more: Any) -> client.Client:
    if not is_name(options.session):
        raise client.Misused(f"{options.session[:64]!r} cannot be the id of a session")
    network = {"proxy": options.proxy, "tunnel": options.tunnel, "ca": options.ca}
    return client.connect(options.url, options.session, token=_token(options), **network, **more)


def _token(options: argparse.Namespace) -> client.TokenSource:
    """Return the token, or what gives it; the first way that was chosen counts."""
    if options.token:
        return str(options.token)
    if options.token_file:
        file = Path(options.token_file)
        _read(file)
        return lambda: _read(file)
    if options.data_dir:
        return _token_maker(Path(options.data_dir), options.sub)
    token = os.environ.get("RTSERVER_TOKEN", "").strip()
    if not token:
        raise client.Misused("a token is needed: --token-file FILE, RTSERVER_TOKEN, or --data-dir DIR --sub NAME")
    return token


def _read(file: Path) -> str:
    try:
        token = checked(file.read_text())
    except (OSError, UnicodeDecodeError) as error:
        raise client.Misused(f"{file} cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if not token:
        raise client.Misused(f"{file} holds no token")
    return token


def _token_maker(data_dir: Path, subject: str | None) -> client.TokenSource:
    if not (data_dir / "secret").is_file():
        raise client.Misused(f"{data_dir} holds no secret: it is not the data directory of a server that was started")
    if subject is not None and not is_name(subject):
        raise client.Misused(f"{subject[:64]!r} cannot be the id of a participant")
    secret = read_secret(data_dir)
    role = Role.SERVICE if subject is None else Role.PARTICIPANT
    return lambda: make_token(secret, subject or "rtserver-cli", role, TOKEN_SECONDS)
