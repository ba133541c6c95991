"""The settings: one table, from which come flags, environment variables, the file, the help and the documentation.

Precedence: flag, then ``RTSERVER_<NAME>``, then the TOML file, then the default.  A wrong value stops the start with
one line that names the setting, what was found and what is allowed.
"""

from __future__ import annotations

import math
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path
from typing import Any

from rtserver.errors import ConfigRefused

Value = str | int | float | bool | tuple[str, ...]

ENVIRONMENT_PREFIX = "RTSERVER_"

_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)?")
_DURATION_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, None: 1}
_SIZE = re.compile(r"([0-9]+)(k|m|g)?", re.IGNORECASE)
_SIZE_BYTES = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30, None: 1}
_BOOLEANS = {"true": True, "false": False}
# RFC 6454 section 6.2.
_ORIGIN = re.compile(r"https?://(?:[a-z0-9._-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?")
_USUAL_PORT = re.compile(r"http://.*:80|https://.*:443")


@dataclass(frozen=True, slots=True)
class Setting:
    """One row.  ``unit`` is seconds, bytes, count, text, list, boolean or one of; bounds are inclusive."""

    name: str
    default: Value
    unit: str
    help: str
    low: float = 0
    high: float = math.inf
    choices: tuple[str, ...] = ()

    @property
    def flag(self) -> str:
        return "--" + self.name.replace("_", "-")

    @property
    def variable(self) -> str:
        return ENVIRONMENT_PREFIX + self.name.upper()

    def read(self, found: object) -> Value:
        """Return the value of ``found``, a string or what TOML gives; raises `ValueError` with what is allowed."""
        match self.unit:
            case "seconds":
                return self._bounded(_read_duration(found), "seconds, or like 250ms, 15m, 8h, 30d")
            case "bytes":
                return self._bounded(_read_size(found), "bytes, or like 64k, 16m, 1g")
            case "count":
                return self._bounded(_read_count(found), "a whole number")
            case "boolean":
                return _read_boolean(found)
            case "list":
                return _read_list(found)
        if not isinstance(found, str):
            raise ValueError("a string")
        if self.choices and found not in self.choices:
            raise ValueError(f"one of {', '.join(self.choices)}")
        return found

    def _bounded(self, number: float | None, kind: str) -> float:
        bounds = f"{self.low:g} to {self.high:g}" if self.high < math.inf else f"at least {self.low:g}"
        if number is None or not self.low <= number <= self.high:
            raise ValueError(f"{kind}, {bounds}")
        return number


# Groups are for the reader of `rtserver serve --help`; their order is the order of first questions.
SETTINGS: dict[str, tuple[Setting, ...]] = {
    "Address": (
        Setting("host", "127.0.0.1", "text", "address to listen on; :: for all of IPv6 and IPv4"),
        Setting("port", 8080, "count", "port to listen on; 0 takes a free one", high=65535),
        Setting("unix_socket", "", "text", "listen on this unix socket instead of host and port"),
        Setting("tls_cert", "", "text", "PEM file of the certificate, with its chain; with it, HTTPS alone (TLS 1.2+)"),
        Setting("tls_key", "", "text", "PEM file of the certificate's key, without a password"),
        Setting("base_path", "", "text", "prefix of every path, like /rt, when a proxy passes only that on"),
        Setting("backlog", 4096, "count", "connections the kernel may hold before they are accepted", low=1),
        Setting(
            "wire",
            "fast",
            "text",
            "what reads HTTP: fast is this server's own; tornado is Tornado's HTTPServer, several times slower "
            "and less strict",
            choices=("fast", "tornado"),
        ),
    ),
    "Data": (
        Setting("data_dir", "rtserver-data", "text", "directory of the database and the secret; one server each"),
        Setting(
            "durability",
            "full",
            "text",
            "full: acknowledged events survive power loss; normal: faster, the last "
            "moments may be lost at power loss, never at a crash",
            choices=("full", "normal"),
        ),
        Setting("retention_events", 100_000, "count", "events kept per session; 0 keeps all"),
        Setting("retention_age", 30 * 86400, "seconds", "how long events are kept; 0 keeps them for ever"),
        Setting("max_pending_bytes", 16 << 20, "bytes", "events that may wait for the disk before 503", low=1 << 16),
    ),
    "Who may": (
        Setting(
            "jwks",
            "",
            "text",
            "file or https URL of an identity provider's keys (RS256, ES256), instead of this server's own secret",
        ),
        Setting("token_audience", "", "text", "aud that tokens must have; empty: any"),
        Setting("token_issuer", "", "text", "iss that tokens must have; empty: any"),
        Setting("ticket_ttl", 30, "seconds", "how long a ticket for one request is good", low=1, high=600),
        Setting("max_tickets", 10_000, "count", "tickets that have not been used yet; the oldest give way", low=1),
        Setting(
            "trusted_proxies",
            (),
            "list",
            "addresses and networks, like 10.1.2.3 or 10.0.0.0/8, of proxies before this server: what these say of a "
            "client in X-Forwarded-For and X-Forwarded-Proto is believed; -Proto is from this machine, too",
        ),
        Setting("cors_origins", (), "list", "origins whose pages may call this server, or *; empty: none"),
    ),
    "Memory and limits": (
        Setting("ring_events", 1000, "count", "newest events of a session kept in memory", low=1),
        Setting("ring_bytes", 4 << 20, "bytes", "and how many bytes of them", low=1 << 10),
        Setting("max_ring_bytes", 256 << 20, "bytes", "bytes of all sessions' events in memory", low=1 << 10),
        Setting("max_sessions", 10_000, "count", "sessions in memory", low=1),
        Setting("session_idle", 300, "seconds", "how long an unused session stays in memory"),
        Setting("max_participants", 1000, "count", "participants of one session", low=1),
        Setting("max_streams", 0, "count", "open streams in all; 0: as many as the file descriptor limit allows"),
        Setting(
            "max_streams_per_participant", 50, "count", "open streams of one participant in all sessions; 0: any number"
        ),
        Setting(
            "rate_limit",
            100,
            "count",
            "requests per second of one participant, with bursts of three seconds' worth; the same for failed "
            "sign-ins of one address; 0: any number",
        ),
        Setting(
            "stream_rate_limit",
            5,
            "count",
            "new streams per second of one participant, with bursts of three seconds' worth; 0: any number",
        ),
        Setting("max_waiting_polls", 10_000, "count", "long polls that wait at once", low=1),
        Setting("max_probes", 200, "count", "probes of the network (/api/diagnostics) that run at once; 0: none"),
        Setting(
            "max_probes_per_participant",
            12,
            "count",
            "and those of one participant, who may have some open pages; 0: any number",
        ),
        Setting(
            "max_reported_networks",
            1000,
            "count",
            "networks of which clients' reports are kept in sum; those not heard of for longest give way",
            low=1,
        ),
        Setting("max_body_bytes", 1 << 20, "bytes", "size of a request body", low=1 << 10),
        Setting("gzip_min_bytes", 256, "bytes", "answers larger than this are gzipped for who accepts it"),
        Setting("max_event_bytes", 64 << 10, "bytes", "size of one event's data", low=256),
        Setting("max_metadata_bytes", 16 << 10, "bytes", "size of a session's metadata", low=256),
        Setting("replay_step", 128, "count", "events that one step of catching up brings", low=1),
        Setting("replay_step_bytes", 256 << 10, "bytes", "and at most about so many bytes", low=1 << 10),
        Setting("replay_cache_bytes", 64 << 20, "bytes", "what is kept of them for others who catch up", low=0),
    ),
    "Streams": (
        Setting("heartbeat_interval", 30, "seconds", "how often a stream says that it lives", low=1, high=3600),
        Setting("max_connection_time", 3600, "seconds", "streams end between 80 and 100 % of this", low=1),
        Setting("retry_interval", 5, "seconds", "after which EventSource reconnects"),
        Setting(
            "sse_padding",
            2048,
            "bytes",
            "padding before the first event, for proxies that hold the first kilobytes back; 0: none",
            high=1 << 16,
        ),
        Setting(
            "sse_gzip",
            False,
            "boolean",
            "gzip streams for who accepts it: about half the bytes; a proxy that unpacks may hold them back",
        ),
        Setting("slow_reader_timeout", 60, "seconds", "how long a stream may take nothing before it is ended", low=1),
        Setting("typing_indicators", True, "boolean", "whether typing is shown at all"),
    ),
    "Polls": (
        Setting("poll_timeout", 30, "seconds", "how long a long poll may wait", low=1, high=120),
        Setting("poll_interval_min", 3, "seconds", "how often clients poll a lively session", low=1, high=3600),
        Setting("poll_interval_default", 5, "seconds", "and one of which nothing is known", low=1, high=3600),
        Setting("poll_interval_max", 10, "seconds", "and one that is silent, or on a busy server", low=1, high=3600),
        Setting(
            "critical_types",
            ("session_status_changed", "ai_response_ready"),
            "list",
            "types of events that come first within a page of a short poll",
        ),
        Setting("poll_retry_after", 5, "seconds", "Retry-After of a long poll without news"),
    ),
    "Process": (
        Setting("drain_seconds", 5, "seconds", "over how long streams are ended at SIGTERM", high=600),
        Setting("log_level", "info", "text", "how much is logged", choices=("debug", "info", "warning", "error")),
    ),
}

TABLE: dict[str, Setting] = {setting.name: setting for group in SETTINGS.values() for setting in group}


class Config:
    """The settings of one server, as attributes by their names."""

    def __init__(self, values: Mapping[str, Value]) -> None:
        self._values = dict(values)

    def __getattr__(self, name: str) -> Any:
        try:
            return self._values[name]
        except KeyError:
            raise AttributeError(name) from None

    def as_dict(self) -> dict[str, Value]:
        return dict(self._values)


def load(flags: Mapping[str, object], environment: Mapping[str, str] = os.environ, file: Path | None = None) -> Config:
    """Return the effective settings; ``flags`` holds what was given on the command line.  Raises `ConfigRefused`."""
    values = {name: setting.default for name, setting in TABLE.items()}
    if file is not None:
        values |= _from_file(file)
    for name, setting in TABLE.items():
        if setting.variable in environment:
            values[name] = _read(setting, environment[setting.variable], setting.variable)
    for name, found in flags.items():
        values[name] = _read(TABLE[name], found, TABLE[name].flag)
    config = Config(values)
    _check_together(config)
    return config


def parse_duration(text: str) -> float:
    """Return seconds from ``3s``, ``15m``, ``8h``, ``30d`` or a plain number; raises `ValueError`."""
    seconds = _read_duration(text)
    if seconds is None:
        raise ValueError(f"{text!r} is not a duration like 3s, 15m, 8h or 30d")
    return seconds


def _from_file(file: Path) -> dict[str, Value]:
    try:
        found = tomllib.loads(file.read_text())
    except OSError as error:
        raise ConfigRefused(f"cannot read {file}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigRefused(f"{file} is not valid TOML: {error}") from None
    unknown = sorted(found.keys() - TABLE.keys())
    if unknown:
        raise ConfigRefused(f"{file}: there is no setting {unknown[0]!r}; see rtserver serve --help")
    return {name: _read(TABLE[name], value, f"{file}: {name}") for name, value in found.items()}


def _read(setting: Setting, found: object, where: str) -> Value:
    try:
        return setting.read(found)
    except ValueError as error:
        raise ConfigRefused(f"{where} is {found!r}; it must be {error}") from None


def _check_together(config: Config) -> None:
    """Refuse values that are each allowed and make no sense together."""
    if config.base_path and not re.fullmatch(r"(/[A-Za-z0-9._~-]+)+", config.base_path):
        raise ConfigRefused(f"base_path is {config.base_path!r}; it must be like /rt, without a slash at the end")
    if bool(config.tls_cert) != bool(config.tls_key):
        raise ConfigRefused(
            f"tls_cert is {config.tls_cert!r} and tls_key {config.tls_key!r}; each needs the other: name both or none"
        )
    if config.max_event_bytes > config.max_body_bytes:
        raise ConfigRefused(
            f"max_event_bytes is {config.max_event_bytes}; it must be at most max_body_bytes, {config.max_body_bytes}"
        )
    if not config.poll_interval_min <= config.poll_interval_default <= config.poll_interval_max:
        raise ConfigRefused(
            f"poll_interval_min, _default and _max are {config.poll_interval_min}, {config.poll_interval_default} and "
            f"{config.poll_interval_max}; each must be at most the next"
        )
    for proxy in config.trusted_proxies:
        try:
            ip_network(proxy)
        except ValueError:
            raise ConfigRefused(
                f"trusted_proxies has {proxy!r}; it must be an address like 10.1.2.3 or 2001:db8::7, or a network like "
                "10.0.0.0/8, with nothing behind its prefix"
            ) from None
    for origin in config.cors_origins:
        # One that no browser ever sends would let nobody in, and not say so.
        if origin != "*" and (not _ORIGIN.fullmatch(origin) or _USUAL_PORT.fullmatch(origin)):
            raise ConfigRefused(
                f"cors_origins has {origin!r}; it must be * or like https://app.example.com, as browsers send it: in "
                "lower case, names in ASCII, and without :443 for https or :80 for http"
            )


def _read_duration(found: object) -> float | None:
    if isinstance(found, str) and (match := _DURATION.fullmatch(found)):
        found = float(match[1]) * _DURATION_SECONDS[match[2]]
        found = int(found) if found.is_integer() else found
    return _number(found)


def _read_size(found: object) -> int | None:
    if isinstance(found, str) and (match := _SIZE.fullmatch(found)):
        return int(match[1]) * _SIZE_BYTES[match[2] and match[2].lower()]
    return found if isinstance(found, int) and not isinstance(found, bool) else None


def _read_count(found: object) -> int | None:
    if isinstance(found, str) and re.fullmatch("[0-9]+", found):
        return int(found)
    return found if isinstance(found, int) and not isinstance(found, bool) else None


def _number(found: object) -> float | None:
    is_number = isinstance(found, int | float) and not isinstance(found, bool) and math.isfinite(found)
    return found if is_number else None  # type: ignore[return-value]


def _read_boolean(found: object) -> bool:
    value = _BOOLEANS.get(found, found) if isinstance(found, str) else found
    if not isinstance(value, bool):
        raise ValueError("true or false")
    return value


def _read_list(found: object) -> tuple[str, ...]:
    items = found.split(",") if isinstance(found, str) else found
    if not isinstance(items, list | tuple) or not all(isinstance(item, str) for item in items):
        raise ValueError("a list of strings, on the command line with commas between them")
    return tuple(item.strip() for item in items if item.strip())
