"""The real program in a process of its own, as an operator runs it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from rtserver.auth import Role, make_token, read_secret

COMMAND = [sys.executable, "-m", "rtserver"]
READY_SECONDS = 20


def environment() -> dict[str, str]:
    """Return this environment without the settings of whoever runs the tests, for the server and for Python."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("RTSERVER_", "PYTHONWARN"))}


def run(*arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
    """Run one command to its end."""
    return subprocess.run(
        [*COMMAND, *arguments], capture_output=True, text=True, timeout=60, env=environment(), **options
    )


class ServerProcess:
    """``rtserver serve`` on a data directory: ``with ServerProcess(path) as server``."""

    def __init__(
        self, data_dir: Path, *arguments: str, prefix: tuple[str, ...] = (), command: Sequence[str] = COMMAND
    ) -> None:
        self.data_dir = data_dir
        self._arguments = [*prefix, *command, "serve", "--data-dir", str(data_dir), "--drain-seconds", "0"]
        if "--port" not in arguments:
            self._arguments += ["--port", "0"]
        # Tests are faster than people.
        self._arguments += ["--rate-limit", "0", "--stream-rate-limit", "0"]
        self._arguments += arguments
        self.url = ""
        self._logged = ""
        self.process: subprocess.Popen[str]

    def start(self) -> ServerProcess:
        # A file: a pipe that nobody reads would fill with the log and hold the server up.
        self._log = tempfile.TemporaryFile("w+")  # noqa: SIM115, closed when the process has ended
        self.process = subprocess.Popen(
            self._arguments, stdout=subprocess.PIPE, stderr=self._log, text=True, env=environment()
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line.startswith("rtserver ready "):
            self.process.kill()
            raise AssertionError(f"not ready: {line!r} {self.wait()[1]}")
        self.url = line.split()[2]
        return self

    @property
    def port(self) -> int:
        return int(self.url.rsplit(":", 1)[1].split("/")[0])

    def headers(self, who: str, role: str | None = None) -> dict[str, str]:
        role = role or ("service" if who == "service" else "participant")
        return {"Authorization": f"Bearer {make_token(read_secret(self.data_dir), who, Role(role), 3600)}"}

    def kill(self) -> None:
        """SIGKILL: nothing is flushed, nothing is said."""
        self.process.kill()
        self.wait()

    def stop(self) -> tuple[int, str]:
        """SIGTERM; return the exit status and what was logged."""
        self.process.send_signal(signal.SIGTERM)
        return self.wait()

    def wait(self) -> tuple[int, str]:
        """Return the exit status and what was logged, when the process has ended."""
        self.process.communicate(timeout=READY_SECONDS)
        if not self._log.closed:
            with self._log:
                self._log.seek(0)
                self._logged = self._log.read()
        return self.process.returncode, self._logged

    def resident_bytes(self) -> int:
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        raise AssertionError("the process has no VmRSS")

    def __enter__(self) -> ServerProcess:
        return self.start()

    def __exit__(self, *details: object) -> None:
        if self.process.poll() is None:
            self.kill()
