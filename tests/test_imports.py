"""Importing does nothing: no event loop, no thread, no file, no socket, no process, no output."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

# Run in a process of its own, because this one has imported everything already.
PROGRAM = """
import asyncio, importlib, json, os, pkgutil, signal, sys, threading

loops, doings = [], []
make_loop = asyncio.BaseEventLoop.__init__

def remember_loop(self, *arguments):
    loops.append(type(self).__name__)
    make_loop(self, *arguments)

asyncio.BaseEventLoop.__init__ = remember_loop
WATCHED = {"sqlite3.connect", "sqlite3.connect/handle", "socket.__new__", "socket.connect", "socket.bind", "os.mkdir",
           "os.remove", "os.rename", "os.putenv", "subprocess.Popen", "os.fork", "os.exec", "os.system",
           "shutil.rmtree", "tempfile.mkstemp", "tempfile.mkdtemp"}

def watch(event, arguments):
    is_writing = event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wxa+")
    if event in WATCHED or is_writing:
        doings.append([event, repr(arguments)])

def state():
    return {
        "descriptors": sorted(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else [],
        "threads": sorted(thread.name for thread in threading.enumerate()),
        "signals": {str(number): str(signal.getsignal(number)) for number in signal.valid_signals()},
        "environment": dict(os.environ),
        "working directory": os.getcwd(),
    }

before = state()
sys.addaudithook(watch)
import rtserver
names = ["rtserver"] + [module.name for module in pkgutil.walk_packages(rtserver.__path__, "rtserver.")]
for name in names:
    importlib.import_module(name)
{sabotage}
print(json.dumps({"names": names, "loops": loops, "doings": doings, "before": before, "after": state()}))
"""


def imported(sabotage: str = "", *options: str) -> dict:
    """Import every module in a clean process and return what happened; ``sabotage`` runs with them."""
    program = PROGRAM.replace("{sabotage}", sabotage)
    command = [sys.executable, "-B", *options, "-c", program]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    *said, report = done.stdout.splitlines()
    assert said == [], "importing says nothing"
    return json.loads(report)


@pytest.fixture(scope="module")
def report():
    return imported("", "-W", "error")


def test_every_module_can_be_imported(report):
    files = {path.relative_to(ROOT) for path in (ROOT / "rtserver").rglob("*.py")}
    names = {".".join(path.with_suffix("").parts).removesuffix(".__init__") for path in files}

    assert set(report["names"]) == names
    assert len(names) > 30


def test_importing_starts_no_event_loop(report):
    assert report["loops"] == []


def test_importing_opens_nothing_and_writes_nothing(report):
    assert report["doings"] == []


def test_importing_leaves_the_process_as_it_was(report):
    """Descriptors, threads, signals, environment and working directory."""
    assert report["after"] == report["before"]


@pytest.mark.parametrize(
    ("sabotage", "where"),
    [
        ("kept = asyncio.new_event_loop()", "loops"),
        ("import sqlite3; kept = sqlite3.connect(':memory:')", "doings"),
        ("import socket; kept = socket.socket()", "doings"),
        ("kept = open(os.devnull, 'a')", "doings"),
        ("threading.Thread(target=threading.Event().wait, daemon=True).start()", "after"),
        ("kept = os.open(os.devnull, os.O_RDONLY)", "after"),
        ("signal.signal(signal.SIGTERM, signal.SIG_IGN)", "after"),
    ],
)
def test_this_test_would_notice(sabotage, where):
    """The observation itself must be able to fail."""
    report = imported(sabotage)

    if where == "after":
        assert report["after"] != report["before"]
    else:
        assert report[where] != []
