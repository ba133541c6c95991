"""Imports point down only, and what is pure stays pure: the source is read, nothing is run.

An import that is hidden in a function, or under ``TYPE_CHECKING``, counts like any other.
"""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "rtserver"

# A module may import what stands in a line above its own, and nothing beside or below it.
LEVELS = (
    "rtserver",
    "addresses diagnosis errors interval turns",
    "framing probes problems terms tls",
    "wire",
    "clock conditional config counters cursor deflate limits schema timers timestamps worker",
    "event",
    "publication readers records ring sse",
    "auth changes documents queries reports",
    "sealing session tickets",
    "store",
    "pace registry reader writer",
    "access blocks fanout history polls sink",
    "edits replay",
    "streams updates",
    "participants sessions",
    "hub",
    "maintenance",
    "core",
    "handlers handlers.api handlers.body handlers.cors handlers.exchange handlers.negotiation",
    "handlers.credentials handlers.problem handlers.query handlers.remembered",
    "handlers.answer handlers.asked handlers.next_publish handlers.standing handlers.unchanged",
    "handlers.base",
    "handlers.flow",
    "handlers.files handlers.history handlers.network handlers.operation handlers.pages handlers.probes "
    "handlers.publish handlers.sessions handlers.sign_in handlers.stream handlers.updates",
    "handlers.demonstration",
    "openapi.schemas",
    "openapi.parameters openapi.responses",
    "openapi.operations",
    "openapi",
    "handlers.description",
    "app",
    "demo",
    "client.errors",
    "client.answer client.eventstream client.machine client.position client.proxy client.timing",
    "client.connection client.delays client.status client.tokens client.verdict",
    "client.reporter",
    "client.inbox client.runs client.transport",
    "client.api",
    "client.bootstrap client.outbox client.polls client.stream",
    "client.driver",
    "client.client",
    "client",
    "commands",
    "commands.following",
    "cli",
    "__main__",
)
LEVEL = {module: level for level, line in enumerate(LEVELS) for module in line.split()}

# No I/O, no clock, no event loop: time and randomness are arguments.
PURE = {
    "addresses", "changes", "conditional", "config", "counters", "cursor", "deflate", "diagnosis", "errors", "event",
    "framing", "interval",
    "limits", "publication", "records", "reports", "ring", "sealing", "sse", "terms", "timers", "timestamps",
    "client.answer", "client.delays", "client.errors", "client.eventstream", "client.machine", "client.position",
    "client.proxy", "client.status", "client.verdict",
}  # fmt: skip
IMPURE_PACKAGES = {
    "asyncio", "concurrent", "http", "logging", "multiprocessing", "select", "selectors", "signal", "socket", "sqlite3",
    "sqlite_utils", "ssl", "subprocess", "threading", "tornado", "urllib",
}  # fmt: skip
# Taking addresses apart is arithmetic on strings.
STILL_PURE = "urllib.parse"
CLOCKS = {"monotonic", "perf_counter", "time", "time_ns", "now", "today", "utcnow", "monotonic_ns", "localtime"}

# Blocking: it knows no event loop, so that it can be tested in plain functions and run in a thread.
BLOCKING = {"schema", "store", "queries"}


@cache
def modules() -> dict[str, ast.Module]:
    """Return the source of every module by its name below ``rtserver``."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts) or "rtserver"
        found[name] = ast.parse(path.read_text(), path.name)
    return found


def imports(module: str) -> set[str]:
    """Return the full names that a module imports, each as deep as the import names it."""
    found = set()
    for node in ast.walk(modules()[module]):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} imports relative to itself: write the name out"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def our_imports(module: str) -> set[str]:
    """Return the modules of ours that a module imports; ``rtserver`` for what it takes from the package itself."""
    ours = set()
    for name in imports(module):
        first, *rest = name.split(".")
        if first != "rtserver":
            continue
        while rest and ".".join(rest) not in modules():
            rest.pop()  # a name in the module
        ours.add(".".join(rest) or "rtserver")
    return ours


def packages(module: str) -> set[str]:
    return {name.split(".")[0] for name in imports(module)}


def test_every_module_has_its_level():
    assert set(modules()) == set(LEVEL), "give a new module its place in LEVELS"


@pytest.mark.parametrize("module", sorted(modules()))
def test_imports_point_down(module):
    level = LEVEL[module]

    beside_or_above = {each for each in our_imports(module) if LEVEL[each] >= level}

    assert not beside_or_above, f"{module} reaches beside or above itself"


@pytest.mark.parametrize("module", sorted(PURE))
def test_pure_modules_import_nothing_that_waits_or_talks(module):
    names = {name for name in imports(module) if not name.startswith(STILL_PURE)}

    assert not {name.split(".")[0] for name in names} & IMPURE_PACKAGES


@pytest.mark.parametrize("module", sorted(PURE))
def test_pure_modules_import_only_pure_modules_of_ours(module):
    assert our_imports(module) <= PURE


@pytest.mark.parametrize("module", sorted(PURE))
def test_pure_modules_read_no_clock(module):
    """P8: time is an argument."""
    read = {
        f"{node.value.id}.{node.attr}"
        for node in ast.walk(modules()[module])
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
        if node.value.id in ("time", "datetime", "date") and node.attr in CLOCKS
    }

    assert not read
    assert not {name for name in imports(module) if name.startswith("time.")}, "import the module, so that this sees it"


@pytest.mark.parametrize("module", sorted(modules()))
def test_module_that_claims_to_be_pure_is_checked_for_it(module):
    claims = "No I/O, no clock, no event loop" in (ast.get_docstring(modules()[module]) or "")

    assert not claims or module in PURE


@pytest.mark.parametrize("module", sorted(BLOCKING))
def test_store_knows_no_event_loop(module):
    assert not packages(module) & {"asyncio", "tornado", "threading", "concurrent"}


@pytest.mark.parametrize("module", sorted(modules()))
def test_tornado_stays_at_the_edge(module):
    """The core runs without HTTP: what it needs of the loop is asyncio's."""
    is_edge = module.startswith("handlers") or module in ("app", "auth", "sink", "tls", "wire")

    assert is_edge or "tornado" not in packages(module)


# All that client and server have in common is how a cursor is read.
SHARED_WITH_THE_CLIENT = {"cursor", "errors"}
CLIENT = {module for module in modules() if module.split(".")[0] == "client"}


@pytest.mark.parametrize("module", sorted(CLIENT))
def test_the_client_knows_nothing_of_the_server(module):
    assert our_imports(module) <= CLIENT | SHARED_WITH_THE_CLIENT


@pytest.mark.parametrize("module", sorted(set(modules()) - CLIENT))
def test_the_server_knows_nothing_of_the_client(module):
    is_command = module.startswith("commands")

    assert is_command or not our_imports(module) & CLIENT


@pytest.mark.parametrize("module", sorted(modules()))
def test_sql_stays_in_the_store(module):
    speaks_sql = packages(module) & {"sqlite3", "sqlite_utils", "pysqlite3"}

    assert not speaks_sql or module in BLOCKING


@pytest.mark.parametrize("module", sorted(modules()))
def test_every_module_says_what_it_is(module):
    assert ast.get_docstring(modules()[module])
