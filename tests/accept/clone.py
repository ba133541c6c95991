"""A clean clone of this project, on this machine or in a fresh Debian, and what its README says to do there."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.readme import missing, run_session

ROOT = Path(__file__).parent.parent.parent
# What README.rst asks for before its two commands.
PACKAGES = "git,make,curl,python3"
SUITE = "bookworm"
BOOTSTRAP_SECONDS = 600
SET_UP_SECONDS = 600
# How this machine reaches its package sources is this machine's own business; a fresh Debian here needs the same.
HOST_FILES = ("/etc/resolv.conf", "/etc/hosts", "/etc/pip.conf", "/etc/ssl/certs/ca-certificates.crt")
HOST_VARIABLES = ("PIP_", "SSL_CERT", "REQUESTS_CA", "CURL_CA", "http_proxy", "https_proxy", "no_proxy")


class Place:
    """Where a clone is: ``path`` as this machine sees it; ``inside`` and ``prefix`` as commands run there do."""

    def __init__(self, path: Path, inside: str, prefix: tuple[str, ...] = ()) -> None:
        self.path = path
        self.inside = inside
        self.prefix = prefix

    def shell(self, script: str, seconds: float) -> subprocess.CompletedProcess[str]:
        command = [*self.prefix, "bash", "-c", f"cd {self.inside} && {script}"]
        return subprocess.run(command, capture_output=True, text=True, timeout=seconds, env=environment())


def environment() -> dict[str, str]:
    """Return an environment without the virtual environment that runs this."""
    kept = {name: value for name, value in os.environ.items() if name.startswith(HOST_VARIABLES)}
    return kept | {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LANG": "C"}


def clone(directory: Path) -> Place:
    """Clone this project's last commit into an empty directory."""
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(directory)], check=True)
    return Place(directory, str(directory))


@contextlib.contextmanager
def fresh_debian(directory: Path) -> Iterator[Place | str]:
    """A clone in a Debian that has nothing else, or the reason why there is none."""
    if os.getuid() != 0 or shutil.which("debootstrap") is None:
        yield "not in a fresh Debian: that needs root and debootstrap"
        return
    root = directory / "debian"
    made = subprocess.run(
        ["debootstrap", "--variant=minbase", f"--include={PACKAGES},ca-certificates", SUITE, str(root)],
        capture_output=True,
        text=True,
        timeout=BOOTSTRAP_SECONDS,
    )
    if made.returncode:
        yield f"not in a fresh Debian: debootstrap said {made.stdout.splitlines()[-1:]}"
        return
    wheels = os.environ.get("PIP_FIND_LINKS", "")
    for name in (*HOST_FILES, wheels):
        if name and Path(name).exists():
            target = root / name.lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copytree(name, target) if Path(name).is_dir() else shutil.copy(name, target)
    clone(root / "rtserver")
    with mounted(root, "/proc", "/dev"):
        yield Place(root / "rtserver", "/rtserver", ("chroot", str(root)))


@contextlib.contextmanager
def mounted(root: Path, *names: str) -> Iterator[None]:
    done: list[Path] = []
    try:
        for name in names:
            subprocess.run(["mount", "--bind", name, str(root) + name], check=True)
            done.append(root / name.lstrip("/"))
        yield
    finally:
        for point in reversed(done):
            subprocess.run(["umount", "--lazy", str(point)], check=True)


def demonstrate(place: Place) -> str:
    """Start ``make run``, wait for its introduction, end it with Ctrl-C; return what it has shown."""
    command = [*place.prefix, "bash", "-c", f"cd {place.inside} && exec make run"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment(), start_new_session=True
    ) as running:
        assert running.stdout is not None
        shown = ""
        for line in running.stdout:
            shown += line
            if "Stop with Ctrl-C" in line:
                break
        # As a terminal does: to the whole group.
        os.killpg(running.pid, signal.SIGINT)
        shown += running.stdout.read()
        running.wait(timeout=30)
    return shown


def session_of(place: Place) -> list[str]:
    """Run the README's terminal session there; return what it should have shown and did not."""
    return missing(run_session(place.path, shell=(*place.prefix, "bash"), inside=place.inside, env=environment()))
