"""The server: from settings to an address that listens, and back down to a data directory at rest.

start:  data directory locked -> database ready -> core open -> listening
stop:   not ready -> streams and polls sent away -> not listening -> writer flushed -> database closed -> unlocked
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import random
import resource
import socket
import ssl
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NoReturn

import tornado.netutil
from tornado.httpserver import HTTPServer
from tornado.httputil import HTTPServerConnectionDelegate

from rtserver import schema, tls
from rtserver.auth import Authenticator, JwksKeys, SecretKeys, read_secret
from rtserver.config import Config
from rtserver.core import Core
from rtserver.errors import RequestError, StartRefused
from rtserver.handlers.api import Api
from rtserver.handlers.base import BaseHandler, UnknownRoute
from rtserver.handlers.description import Description
from rtserver.handlers.files import CheckFile, CheckPage, ClientFile
from rtserver.handlers.history import Messages, OneEvent
from rtserver.handlers.network import ClientReports, Network
from rtserver.handlers.operation import Alive, Health
from rtserver.handlers.pages import Problem, Problems
from rtserver.handlers.probes import HoldProbe, PayloadProbe, StreamProbe
from rtserver.handlers.problem import refuse
from rtserver.handlers.publish import Publish
from rtserver.handlers.sessions import Leave, OneParticipant, OneSession, Participants, Sessions
from rtserver.handlers.sign_in import Cookie, Logout, Tickets
from rtserver.handlers.stream import Stream
from rtserver.handlers.updates import Updates
from rtserver.hub import Hub
from rtserver.schema import DataDirectory
from rtserver.terms import Timeouts
from rtserver.wire import Wire
from rtserver.worker import ThreadWorker

log = logging.getLogger(__name__)

# Descriptors that are not streams: the database, the log, the loop, and requests in between.
SPARE_DESCRIPTORS = 100
TIMEOUTS = Timeouts()
# EX_IOERR of sysexits.h; the systemd unit restarts after it.
EXIT_SYNC_FAILED = 74
# How long answers that are on their way get when the server stops.
LAST_ANSWERS_SECONDS = 2


class TornadoWire:
    """Tornado's own `HTTPServer` as the wire."""

    def __init__(
        self, delegate: HTTPServerConnectionDelegate, timeouts: Timeouts, context: ssl.SSLContext | None
    ) -> None:
        self._http = HTTPServer(
            delegate, ssl_options=context, idle_connection_timeout=timeouts.idle, body_timeout=timeouts.body
        )

    async def start(self, listeners: list[socket.socket], backlog: int) -> None:
        for listener in listeners:
            listener.listen(backlog)
        self._http.add_sockets(listeners)

    def stop(self) -> None:
        self._http.stop()

    async def close(self, timeout_seconds: float) -> None:
        await asyncio.wait([asyncio.ensure_future(self._http.close_all_connections())], timeout=timeout_seconds)


class Events(Publish, Stream):
    """One address: POST publishes, GET streams."""


def routes(base_path: str) -> list[tuple[str, type[BaseHandler]]]:
    """Return every address, as a pattern, with its handler."""
    session = f"{base_path}/api/sessions/([^/]+)"
    return [
        (f"{base_path}/api/sessions", Sessions),
        (session, OneSession),
        (f"{session}/participants", Participants),
        (f"{session}/participants/([^/]+)", OneParticipant),
        (f"{session}/leave", Leave),
        (f"{session}/tickets", Tickets),
        (f"{session}/events", Events),
        (f"{session}/events/([^/]+)", OneEvent),
        (f"{session}/messages", Messages),
        (f"{session}/updates", Updates),
        (f"{base_path}/api/auth/cookie", Cookie),
        (f"{base_path}/api/auth/logout", Logout),
        (f"{base_path}/api/diagnostics/network", Network),
        (f"{base_path}/api/diagnostics/reports", ClientReports),
        (f"{base_path}/api/diagnostics/stream", StreamProbe),
        (f"{base_path}/api/diagnostics/hold", HoldProbe),
        (f"{base_path}/api/diagnostics/payload", PayloadProbe),
        (f"{base_path}/api/openapi.json", Description),
        (f"{base_path}/api/health/realtime", Health),
        (f"{base_path}/healthz", Alive),
        (f"{base_path}/client/([^/]+)", ClientFile),
        (f"{base_path}/diagnostics", CheckPage),
        (f"{base_path}/diagnostics/([^/]+)", CheckFile),
        (f"{base_path}/problems", Problems),
        (f"{base_path}/problems/([^/]+)", Problem),
    ]


def now_us() -> int:
    """Return microseconds since 1970 by the system's clock."""
    return time.time_ns() // 1000


def tune_garbage_collection() -> None:
    """Look for garbage less often: what begins and ends with a request has no cycles, and the rest is there to stay.

    The defaults look after every 700 objects; a batch of 50 events is as many.  Measured: 5 % of the CPU of publishes.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 50, 100)


def die(reason: str) -> NoReturn:
    """End the process at once, with nothing flushed or answered: the next start recovers from the log."""
    log.critical("%s; this process ends now, so that the next one recovers from the log", reason)
    logging.shutdown()
    os._exit(EXIT_SYNC_FAILED)


class Server:
    """One server: `start`, then `stop`."""

    _wire: Wire | TornadoWire

    def __init__(
        self,
        config: Config,
        clock: Callable[[], int] = now_us,
        more_routes: Callable[[str], list[tuple[str, type[BaseHandler]]]] = lambda base_path: [],
    ) -> None:
        """``clock`` gives microseconds since 1970; ``more_routes`` what else is served below the base path."""
        self.config = config
        self._more_routes = more_routes
        self._clock = clock
        self.url = ""  # where it listens, once it does
        self.tls: ssl.SSLContext | None = None

    @property
    def hub(self) -> Hub:
        return self._core.hub

    async def start(self) -> None:
        """Open the data directory and listen.  Raises `StartRefused`."""
        self._directory = DataDirectory(Path(self.config.data_dir))
        sockets: list[socket.socket] = []
        try:
            # First, so that an address that is taken, or a key that is not there, leaves the database alone.
            if self.config.tls_cert:
                self.tls = tls.make_context(Path(self.config.tls_cert), Path(self.config.tls_key))
            sockets = self._bind()
            authenticator = await self._authenticator()
            database = self._directory.database
            await asyncio.to_thread(schema.prepare, database)
            self._workers = ThreadWorker("rtserver-writer"), ThreadWorker("rtserver-reader")
            self._core = await Core.open(
                self.config,
                lambda read_only: schema.connect(database, read_only=read_only),
                store_worker=self._workers[0],
                query_worker=self._workers[1],
                clock=self._clock,
                rng=random.Random(),
                max_streams=self._max_streams(),
                die=die,
            )
        except BaseException as error:
            for listener in sockets:
                listener.close()
            self._directory.release()
            if isinstance(error, RequestError):
                raise StartRefused(f"cannot use the database in {self.config.data_dir}: {error.detail}") from None
            raise
        self._core.start()
        tune_garbage_collection()
        base_path = self.config.base_path
        every_route = [*routes(base_path), *self._more_routes(base_path), (".*", UnknownRoute)]
        self.api = Api(every_route, self.hub, authenticator, self.config)
        if self.config.wire == "fast":
            self._wire = Wire(self.api, partial(refuse, self.config.base_path), TIMEOUTS, self.tls)
        else:
            self._wire = TornadoWire(self.api, TIMEOUTS, self.tls)
        await self._wire.start(sockets, self.config.backlog)

    async def stop(self) -> None:
        """Send readers away over ``drain_seconds``, then leave everything durable and at rest."""
        await self.hub.drain(self.config.drain_seconds)
        self._wire.stop()
        await self.hub.writer.flush()
        # Answers to the last publishes are still being written.
        await self._wire.close(LAST_ANSWERS_SECONDS)
        await self._core.close()
        for worker in self._workers:
            await worker.close()
        self._directory.release()

    def _bind(self) -> list[socket.socket]:
        config = self.config
        try:
            if config.unix_socket:
                self.url = f"unix:{config.unix_socket}"
                return [tornado.netutil.bind_unix_socket(config.unix_socket, 0o660, config.backlog)]
            # None: a socket for each family, where :: itself would be IPv6 alone.
            host = None if config.host == "::" else config.host
            sockets = tornado.netutil.bind_sockets(config.port, host, backlog=config.backlog)
        except (OSError, ValueError) as error:
            where = config.unix_socket or f"{config.host} port {config.port}"
            raise StartRefused(f"cannot listen on {where}: {getattr(error, 'strerror', None) or error}") from None
        port = sockets[0].getsockname()[1]
        shown = f"[{config.host}]" if ":" in config.host else config.host
        self.url = f"{'https' if config.tls_cert else 'http'}://{shown}:{port}{config.base_path}"
        return sockets

    async def _authenticator(self) -> Authenticator:
        config = self.config
        keys = JwksKeys(config.jwks) if config.jwks else SecretKeys(read_secret(Path(config.data_dir)))
        authenticator = Authenticator(keys, config.token_audience, config.token_issuer)
        await authenticator.start()
        return authenticator

    def _max_streams(self) -> int:
        if self.config.max_streams:
            return int(self.config.max_streams)
        return max(1, resource.getrlimit(resource.RLIMIT_NOFILE)[0] - SPARE_DESCRIPTORS)
