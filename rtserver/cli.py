"""The command: ``rtserver serve``, ``rtserver token``, ``rtserver demo``; the others are in ``commands/``.

Turns arguments into settings and calls what does the work; ends with one line on stderr when something is refused.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import resource
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from rtserver import __version__, config
from rtserver.app import Server
from rtserver.auth import Role, make_token, read_secret
from rtserver.commands import following
from rtserver.config import Config, Setting
from rtserver.demo import Demo
from rtserver.errors import ConfigRefused, StartRefused
from rtserver.handlers.demonstration import demo_routes
from rtserver.publication import is_name
from rtserver.turns import new_event_loop

EXAMPLES = """\
examples:
  rtserver demo                                          see it work, with curl lines to paste
  rtserver serve --data-dir /var/lib/rtserver            run the server
  rtserver token --data-dir /var/lib/rtserver --sub alice --ttl 8h
  rtserver tail case-1 --url http://127.0.0.1:8080 --data-dir /var/lib/rtserver
  rtserver publish case-1 --url http://127.0.0.1:8080 --token-file token --content "Good morning"
  curl -N -H "Authorization: Bearer $TOKEN" http://127.0.0.1:8080/api/sessions/case-1/events
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status: 0, or 2 when it was used wrongly or could not start."""
    options = parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except StartRefused as error:
        print(f"rtserver: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def parser() -> argparse.ArgumentParser:
    """Return the command line as a parser; the settings' flags come from the table in `rtserver.config`."""
    top = argparse.ArgumentParser(
        prog="rtserver",
        description="Real-time events over plain HTTP, where WebSockets are blocked.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"rtserver {__version__}")
    commands = top.add_subparsers(title="commands", required=True, metavar="COMMAND")

    serve = commands.add_parser(
        "serve",
        help="run the server",
        description="Run the server until SIGTERM or SIGINT.  Prints one line when it is ready.",
        epilog="Every setting is also RTSERVER_<NAME> in the environment (RTSERVER_DATA_DIR) and a line in the "
        'TOML file (data_dir = "...").  A flag wins over the environment, the environment over the file.',
    )
    _add_settings(serve)
    serve.set_defaults(run=_serve)

    token = commands.add_parser(
        "token",
        help="make a token",
        description="Print a token signed with the secret of a data directory, and nothing else.",
    )
    token.add_argument("--data-dir", metavar="DIR", help="the server's data directory (default: rtserver-data)")
    token.add_argument("--config", metavar="FILE", help="the server's TOML file")
    token.add_argument("--sub", required=True, metavar="ID", help="who: the participant's id")
    token.add_argument(
        "--role",
        choices=[str(role) for role in Role],
        default="participant",
        help="what it may do (default: participant)",
    )
    token.add_argument(
        "--ttl", default="8h", metavar="TIME", help="how long it is good: 3s, 15m, 8h, 30d (default: 8h)"
    )
    token.set_defaults(run=_token)

    demo = commands.add_parser(
        "demo",
        help="see it work",
        description="Run a server on temporary data, with a conversation that goes on by itself and lines to paste.",
    )
    _add_settings(demo)
    demo.set_defaults(run=_demo)

    following.add_to(commands)
    return top


def _add_settings(command: argparse.ArgumentParser) -> None:
    command.add_argument("--config", metavar="FILE", help="a TOML file with settings")
    for title, settings in config.SETTINGS.items():
        group = command.add_argument_group(title)
        for setting in settings:
            group.add_argument(
                setting.flag,
                dest=setting.name,
                default=argparse.SUPPRESS,
                metavar=_metavar(setting),
                help=f"{setting.help} (default: {_shown(setting)})".replace("%", "%%"),
            )


def _metavar(setting: Setting) -> str:
    if setting.choices:
        return "|".join(setting.choices)
    return {"seconds": "TIME", "bytes": "SIZE", "count": "N", "boolean": "true|false", "list": "A,B"}.get(
        setting.unit, "TEXT"
    )


def _shown(setting: Setting) -> str:
    """Return a default as people write it."""
    value = setting.default
    if setting.unit == "bytes" and isinstance(value, int):
        for factor, unit in ((1 << 30, "g"), (1 << 20, "m"), (1 << 10, "k")):
            if value >= factor and value % factor == 0:
                return f"{value // factor}{unit}"
    if setting.unit == "seconds" and isinstance(value, int):
        for factor, unit in ((86400, "d"), (3600, "h"), (60, "m")):
            if value >= factor and value % factor == 0:
                return f"{value // factor}{unit}"
        return f"{value}s"
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(value) if isinstance(value, tuple) else str(value)


def _settings(options: argparse.Namespace) -> Config:
    flags = {name: value for name, value in vars(options).items() if name in config.TABLE}
    return config.load(flags, file=Path(options.config) if options.config else None)


def _serve(options: argparse.Namespace) -> int:
    settings = _settings(options)
    _set_up_logging(settings.log_level)
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(_run(Server(settings)))
    return 0


def _demo(options: argparse.Namespace) -> int:
    with tempfile.TemporaryDirectory(prefix="rtserver-demo-") as directory:
        options.data_dir = directory
        settings = _settings(options)
        _set_up_logging("warning")
        asyncio.run(_run_demo(Server(settings, more_routes=demo_routes)))
    return 0


def _token(options: argparse.Namespace) -> int:
    flags = {"data_dir": options.data_dir} if options.data_dir else {}
    settings = config.load(flags, file=Path(options.config) if options.config else None)
    if settings.jwks:
        raise ConfigRefused(f"tokens come from the identity provider of jwks, {settings.jwks}; get one there")
    if not is_name(options.sub):
        raise ConfigRefused(f"--sub is {options.sub!r}; it must be 1 to 128 of A-Z a-z 0-9 . _ ~ @ : -")
    try:
        ttl_seconds = config.parse_duration(options.ttl)
    except ValueError as error:
        raise ConfigRefused(f"--ttl: {error}") from None
    if not 1 <= ttl_seconds <= 10 * 365 * 86400:
        raise ConfigRefused(f"--ttl is {options.ttl}; it must be 1s to 3650d")
    secret = read_secret(Path(settings.data_dir))
    print(make_token(secret, options.sub, Role(options.role), round(ttl_seconds)))
    return 0


async def _run(server: Server) -> None:
    stopping = _stop_signal()
    await server.start()
    print(f"rtserver ready {server.url}", flush=True)
    await stopping.wait()
    await server.stop()


async def _run_demo(server: Server) -> None:
    stopping = _stop_signal()
    await server.start()
    demo = Demo(server)
    await demo.start()
    print(demo.introduction(), flush=True)
    await stopping.wait()
    await demo.close()
    await server.stop()


def _stop_signal() -> asyncio.Event:
    """Return an event for SIGTERM or SIGINT; a second signal ends the process at once."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()

    def stop() -> None:
        stopping.set()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    return stopping


def _set_up_logging(level: str) -> None:
    logging.basicConfig(level=level.upper(), format="%(asctime)s %(levelname)s %(name)s %(message)s", stream=sys.stderr)
    # What Tornado says of broken clients is noise to an operator, and quotes headers that it cannot read: also tokens.
    logging.getLogger("tornado.general").setLevel(logging.ERROR)
    with contextlib.suppress(ValueError, OSError):
        # Every stream is a descriptor; take what the system allows.
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
