"""The servers that are compared: each started as its users start it, pinned to one core, and watched from outside."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.request
from http.client import HTTPResponse, HTTPSConnection
from pathlib import Path

from rtserver.auth import Role, make_token, read_secret

ROOT = Path(__file__).parent.parent
SERVER_CORE = "0"
READY_SECONDS = 20
TICKS = os.sysconf("SC_CLK_TCK")
# What stands in the way of a benchmark, by settings that are documented; the rest is as `make run` has it.
UNLIMITED = ("--rate-limit", "0", "--stream-rate-limit", "0", "--max-streams-per-participant", "0")
QUIET = ("--log-level", "warning")
PEOPLE = 1000  # participants of a session that is polled, as many as one may have

# Whatever happens to the benchmark, no server outlives it.
WITH_US = ("setpriv", "--pdeathsig", "TERM")


class Server:
    """One server in a process of its own: ``with Kind() as server``.  ``load`` are its arguments for the load."""

    name = ""
    load: tuple[str, ...] = ()
    authorization: dict[str, str] = {}
    first_rate = 100.0  # of publishes a second, with which the search for its limit begins
    log = "server.log"

    def __init__(self, core: str = SERVER_CORE) -> None:
        self.core = core
        self.port = free_port()

    def command(self) -> list[str]:
        raise NotImplementedError

    def environment(self) -> dict[str, str]:
        return {name: value for name, value in os.environ.items() if not name.startswith("RTSERVER_")}

    def __enter__(self) -> Server:
        # On a real disk: a file system in memory would flatter who writes to it.
        (ROOT / "build").mkdir(exist_ok=True)
        self.directory = Path(tempfile.mkdtemp(prefix="bench-", dir=ROOT / "build"))
        with (self.directory / self.log).open("w") as log:
            self.process = subprocess.Popen(
                [*WITH_US, "taskset", "-c", self.core, *self.command()],
                env=self.environment(),
                stdout=log,
                stderr=log,
                cwd=ROOT,
            )
        try:
            self._wait_until_ready()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while not self._answers():
            if time.monotonic() > deadline or self.process.poll() is not None:
                raise RuntimeError(f"{self.name} did not start: {(self.directory / self.log).read_text()[-500:]}")
            time.sleep(0.02)
        self.prepare()

    def __exit__(self, *error: object) -> None:
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)

    def prepare(self) -> None:
        """Make what the load needs."""

    def fall_behind(self, contents: list[str]) -> tuple[str, ...]:
        """Publish these; return what the load has to say to be told of them when it comes."""
        raise NotImplementedError

    def polls(self) -> dict[str, object]:
        """Prepare for long polls; return what they and who publishes to them have to say."""
        raise NotImplementedError

    def question(self) -> dict[str, object]:
        """Return what is to be asked for that is answered 304."""
        raise NotImplementedError

    def unchanged(self, target: str) -> dict[str, object]:
        """Return how to ask for a target that one has already."""
        tag = self.open("GET", target).headers["ETag"]
        return {"request_target": target, "request_headers": f"If-None-Match: {tag}\r\n", "wanted": 304}

    def open(self, method: str, path: str, body: bytes | None = None) -> HTTPResponse:
        url = f"http://127.0.0.1:{self.port}{path}"
        request = urllib.request.Request(url, body, self.authorization, method=method)
        answer: HTTPResponse = urllib.request.urlopen(request, timeout=30)
        return answer

    def request(self, method: str, path: str, body: bytes | None = None) -> bytes:
        with self.open(method, path, body) as answer:
            return answer.read()

    def _answers(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), 0.2).close()
        except OSError:
            return False
        return True

    def processes(self) -> list[int]:
        """Return the processes that do the work."""
        return [self.process.pid]

    def cpu_seconds(self) -> float:
        """Return what all threads have had until now: to the nanosecond, where /proc/PID/stat counts 10 ms."""
        threads = (each for pid in self.processes() for each in Path(f"/proc/{pid}/task").iterdir())
        return sum(int((each / "schedstat").read_text().split()[0]) for each in threads) / 1e9

    def resident_bytes(self) -> int:
        pages = [int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in self.processes()]
        return sum(pages) * os.sysconf("SC_PAGE_SIZE")


class RTServer(Server):
    name = "rtserver"
    first_rate = 1500.0
    settings: tuple[str, ...] = ()

    def command(self) -> list[str]:
        serve = [sys.executable, "-m", "rtserver", "serve", "--port", str(self.port)]
        return [*serve, "--data-dir", str(self.directory), "--drain-seconds", "0", *UNLIMITED, *QUIET, *self.settings]

    def prepare(self) -> None:
        token = self._token("bench", Role.SERVICE)
        self.authorization = {"Authorization": f"Bearer {token}"}
        self.request("POST", "/api/sessions", b'{"sessionId":"bench"}')
        self.load = (
            "stream_target=/api/sessions/bench/events",
            "publish_target=/api/sessions/bench/events",
            f"headers=Authorization: Bearer {token}\r\nContent-Type: application/json\r\n",
            "ready=event: connected",
            'event_format={"type":"message_added",%s"data":{"content":"%s"}}',
        )

    def _token(self, subject: str, role: Role = Role.PARTICIPANT) -> str:
        return make_token(read_secret(self.directory), subject, role, 8 * 3600)

    def people(self, count: int, *sessions: str) -> dict[str, object]:
        """Make sessions with so many participants; return how each shows its own token."""
        names = [f"person-{number}" for number in range(count)]
        participants = [{"participantId": name} for name in names]
        for session in sessions:
            self.request(
                "POST", "/api/sessions", json.dumps({"sessionId": session, "participants": participants}).encode()
            )
        path = self.directory / "people"
        path.write_text("".join(f"Authorization: Bearer {self._token(name)}\n" for name in names))
        return {"people": path}

    def polls(self) -> dict[str, object]:
        return self.people(PEOPLE, "polled") | {
            "stream_target": "/api/sessions/polled/updates?clientId=tab-{client}",
            "publish_target": "/api/sessions/polled/events",
            "carry": "Last-Event-ID>Last-Event-ID",
        }

    def question(self) -> dict[str, object]:
        """A short poll in which there is nothing new, of a participant with a token, as our clients ask."""
        people = self.people(PEOPLE, "asked")
        snapshot = json.loads(self.request("GET", "/api/sessions/asked"))
        since, cursor = snapshot["lastModified"], snapshot["lastEventId"]
        return people | self.unchanged(f"/api/sessions/asked/updates?since={since}&lastEventId={cursor}")

    def fall_behind(self, contents: list[str]) -> tuple[str, ...]:
        cursor = json.loads(self.request("GET", "/api/sessions/bench"))["lastEventId"]
        for first in range(0, len(contents), 50):
            events = [{"type": "message_added", "data": {"content": each}} for each in contents[first : first + 50]]
            self.request("POST", "/api/sessions/bench/events", json.dumps({"events": events}).encode())
        return (f"stream_headers=Last-Event-ID: {cursor}\r\n",)


class SlowDisk(RTServer):
    """rtserver on a disk whose every sync takes 10 ms longer."""

    name = "rtserver, every sync 10 ms slower"

    def environment(self) -> dict[str, str]:
        return super().environment() | {"LD_PRELOAD": str(ROOT / "build/slowsync.so")}


class TLS(RTServer):
    """rtserver with a certificate that vouches for itself, and connections to it that have been answered once."""

    def command(self) -> list[str]:
        key, certificate = str(self.directory / "key.pem"), str(self.directory / "certificate.pem")
        made = ["openssl", "req", "-x509", "-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
        made += ["-subj", "/CN=localhost", "-days", "1", "-keyout", key, "-out", certificate]
        subprocess.run(made, check=True, capture_output=True)
        return [*super().command(), "--tls-cert", certificate, "--tls-key", key]

    def prepare(self) -> None:
        """Nothing: who only connects needs no session."""

    def kept_connections(self, count: int) -> list[HTTPSConnection]:
        context = ssl.create_default_context(cafile=str(self.directory / "certificate.pem"))
        connections = [HTTPSConnection("localhost", self.port, context=context) for _ in range(count)]
        for connection in connections:
            connection.request("GET", "/healthz")
            connection.getresponse().read()
        return connections


class Nchan(Server):
    name = "nchan"
    load = (
        "stream_target=/sub",
        "publish_target=/pub",
        "event_format=%s%s",
        "stream_headers=Accept: text/event-stream\r\n",
    )

    def command(self) -> list[str]:
        modules = next(p for p in ("/usr/lib/nginx/modules", "/usr/lib64/nginx/modules") if Path(p).exists())
        configuration = (ROOT / "bench/nginx.conf").read_text()
        for name, value in {"directory": self.directory, "port": self.port, "modules": modules}.items():
            configuration = configuration.replace(f"@{name}@", str(value))
        (self.directory / "nginx.conf").write_text(configuration)
        # The worker must be able to enter its own directory, whoever it runs as.
        self.directory.chmod(0o755)
        return ["nginx", "-p", str(self.directory), "-c", str(self.directory / "nginx.conf")]

    def polls(self) -> dict[str, object]:
        return {
            "stream_target": "/poll",
            "stream_headers": "",
            "carry": "Last-Modified>If-Modified-Since;Etag>If-None-Match",
        }

    def processes(self) -> list[int]:
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(pid) for pid in children.split()]


class NginxStatic(Nchan):
    name = "nginx, a static file"

    def question(self) -> dict[str, object]:
        (self.directory / "static.json").write_text('{"updates":[]}')
        return self.unchanged("/static.json")


class Peer(Server):
    """A small program in Python, as its documentation shows it."""

    load = ("stream_target=/stream", "publish_target=/publish", "event_format=%s%s", "ready=event: connected")
    first_rate = 8.0

    def command(self) -> list[str]:
        return [sys.executable, str(ROOT / "bench/peers" / self.program), str(self.port)]

    program = ""


class SseStarlette(Peer):
    name = "sse-starlette on uvicorn"
    program = "sse_starlette_app.py"


class PlainTornado(Peer):
    name = "Tornado, a plain handler"
    program = "tornado_app.py"

    def question(self) -> dict[str, object]:
        return self.unchanged("/updates")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
