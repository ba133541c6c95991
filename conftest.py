"""pytest-tornado, made to work with current setuptools and pytest.

pytest-tornado 0.8.1 imports ``pkg_resources``, which setuptools 82 removed, marks its hooks in a way that pytest 10
refuses, and makes its loop current in a way that Tornado deprecates.  The plugin is therefore not loaded by name
(``-p no:tornado`` in setup.cfg) but here, with these three things mended.
"""

import asyncio
import sys
import types

import pytest
import tornado.ioloop
from packaging.version import parse

if "pkg_resources" not in sys.modules:
    shim = types.ModuleType("pkg_resources")
    shim.parse_version = parse  # the only name the plugin uses
    sys.modules["pkg_resources"] = shim
    import pytest_tornado.plugin as plugin

    del sys.modules["pkg_resources"]
else:
    import pytest_tornado.plugin as plugin

for name in ("pytest_pycollect_makeitem", "pytest_pyfunc_call"):
    function = getattr(plugin, name)
    if hasattr(function, "pytestmark"):
        del function.pytestmark
    pytest.hookimpl(tryfirst=True)(function)
pytest_plugins = ["pytest_tornado.plugin"]

ASYNC_TEST_SECONDS = 30


def pytest_collection_modifyitems(items):
    """Run every ``async def`` test on the loop of pytest-tornado."""
    for item in items:
        if asyncio.iscoroutinefunction(getattr(item, "function", None)):
            item.add_marker(pytest.mark.gen_test(timeout=ASYNC_TEST_SECONDS))


@pytest.fixture
def io_loop():
    """A fresh loop per test; what a test leaves running is cancelled."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    io_loop = tornado.ioloop.IOLoop.current()
    yield io_loop
    pending = asyncio.all_tasks(loop)
    for task in pending:
        task.cancel()
    if pending:
        loop.run_until_complete(asyncio.gather(*pending, return_exceptions=True))
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.run_until_complete(loop.shutdown_default_executor())
    asyncio.set_event_loop(None)
    io_loop.close(all_fds=True)
