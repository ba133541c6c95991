"""What the figures were taken on: the machine and the versions of everything that was measured."""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import sqlite3
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

ROOT = Path(__file__).parent.parent
CLIENTS = {"client", "commands", "web"}
PACKAGES = ("rtserver", "tornado", "httptools", "msgspec", "sse-starlette", "uvicorn")
TCP = Path("/proc/sys/net/ipv4/tcp_congestion_control")


def describe() -> list[str]:
    """Return one fact a line, as the report lists them."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    return [
        f"{cpu_model()}, {os.cpu_count()} cores, {memory:.0f} GB; the server has one core and the load another",
        f"Linux {platform.release()}; TCP congestion control {TCP.read_text().strip() if TCP.exists() else 'unknown'}",
        f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, "
        + ", ".join(f"{name} {package_version(name)}" for name in PACKAGES),
        nginx_version(),
    ]


def source() -> str:
    """Return what was measured and on what, as a digest by which figures can be told from older ones.

    That is the source of the server and of the benchmark (not of the clients), and the machine as it is described.
    """
    digest = hashlib.blake2b("\n".join(describe()).encode(), digest_size=8)
    for folder in ("rtserver", "bench"):
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in (".py", ".c", ".h", ".conf") and not CLIENTS & set(path.relative_to(ROOT).parts):
                digest.update(path.read_bytes())
    return digest.hexdigest()


def package_version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def nginx_version() -> str:
    if not shutil.which("nginx"):
        return "no nginx"
    nginx = subprocess.run(["nginx", "-v"], capture_output=True, text=True).stderr.strip().rpartition("/")[2]
    asked = ["dpkg-query", "-W", "-f", "${Version}", "libnginx-mod-nchan"]
    nchan = subprocess.run(asked, capture_output=True, text=True).stdout if shutil.which("dpkg-query") else ""
    return f"nginx {nginx} with nchan {nchan or 'of unknown version'}"
