"""A clean clone of this project, on this machine or in a fresh Debian, and what its README says to do there."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

from tests.command import Ran, run
from tests.readme import missing, run_session

ROOT = Path(__file__).parent.parent.parent
# What README.rst asks for before its two commands.
PACKAGES = "git,make,curl,python3"
SUITE = "bookworm"
BOOTSTRAP_SECONDS = 600
SET_UP_SECONDS = 600
# How this machine reaches its package sources is this machine's own business; a fresh Debian here needs the same.
HOST_PATHS = (
    *("/etc/resolv.conf", "/etc/hosts", "/etc/pip.conf", "/etc/ssl/certs/ca-certificates.crt"),
    *("/etc/apt/apt.conf", "/etc/apt/apt.conf.d", "/etc/apt/auth.conf.d"),
)
HOST_VARIABLES = ("PIP_", "SSL_CERT", "REQUESTS_CA", "CURL_CA", "http_proxy", "https_proxy", "no_proxy")
# The mounts are of a namespace of their own and end with the command: nothing is left for who removes the directory.
ENTER = 'mount -t proc proc "$0/proc" && exec chroot "$0" "$@"'


class Place:
    """Where a clone is: ``path`` as this machine sees it; ``inside`` and ``prefix`` as commands run there do."""

    def __init__(self, path: Path, inside: str, prefix: tuple[str, ...] = ()) -> None:
        self.path = path
        self.inside = inside
        self.prefix = prefix

    def shell(self, script: str, seconds: float) -> Ran:
        return run([*self.prefix, "bash", "-c", f"cd {self.inside} && {script}"], seconds, self.path, environment())


def environment() -> dict[str, str]:
    """Return an environment without the virtual environment that runs this."""
    kept = {name: value for name, value in os.environ.items() if name.startswith(HOST_VARIABLES)}
    return kept | {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LANG": "C"}


def clone(directory: Path) -> Place:
    """Clone this project's last commit into an empty directory."""
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(directory)], check=True)
    return Place(directory, str(directory))


def fresh_debian(directory: Path) -> Place | str:
    """Return a clone in a Debian that has nothing else, or the reason why there is none."""
    if os.getuid() != 0 or shutil.which("debootstrap") is None:
        return "not in a fresh Debian: that needs root and debootstrap"
    root = directory / "debian"
    command = ["debootstrap", "--variant=minbase", f"--include={PACKAGES},ca-certificates", SUITE, str(root), *mirror()]
    made = run(command, BOOTSTRAP_SECONDS, directory)
    if made.status != 0:
        return f"not in a fresh Debian: debootstrap said {made.last_line!r}"
    for path in host_paths():
        target = root / path.relative_to("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            shutil.copytree(path, target, dirs_exist_ok=True)
        else:
            shutil.copy(path, target)
    clone(root / "rtserver")
    return Place(
        root / "rtserver",
        "/rtserver",
        ("unshare", "--mount", "--propagation", "private", "sh", "-c", ENTER, str(root)),
    )


def mirror() -> list[str]:
    """Return from where this machine takes that Debian; nothing if it is another, and debootstrap knows best."""
    command = ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages", f"Codename: {SUITE}"]
    return subprocess.run(command, capture_output=True, text=True).stdout.split()[:1]


def host_paths() -> Iterator[Path]:
    """Yield the files that say from where packages come, and those that pip's variables name."""
    named = (word for name, value in os.environ.items() if name.startswith("PIP_") for word in value.split())
    for name in (*HOST_PATHS, *named):
        if name.startswith("/") and Path(name).exists():
            yield Path(name)


def demonstrate(place: Place) -> str:
    """Start ``make run``, wait for its introduction, end it with Ctrl-C; return what it has shown."""
    command = [*place.prefix, "bash", "-c", f"cd {place.inside} && exec make run"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment(), start_new_session=True
    ) as running:
        assert running.stdout is not None
        overdue = threading.Timer(SET_UP_SECONDS, os.killpg, (running.pid, signal.SIGKILL))
        overdue.start()
        shown = ""
        try:
            for line in running.stdout:
                shown += line
                if "Stop with Ctrl-C" in line:
                    break
            # As a terminal does: to the whole group.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(running.pid, signal.SIGINT)
            shown += running.stdout.read()
        finally:
            overdue.cancel()
    return shown


def session_of(place: Place) -> list[str]:
    """Run the README's terminal session there; return what it should have shown and did not."""
    return missing(run_session(place.path, shell=(*place.prefix, "bash"), inside=place.inside, env=environment()))
