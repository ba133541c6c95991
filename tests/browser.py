"""A real browser for tests: Debian's Chromium, driven by playwright in a thread of its own.

Playwright's calls block and keep a loop running in their thread, and the other tests have loops of their own; so a test
that is marked `in_browser` runs in the browser's thread as a whole.
"""

from __future__ import annotations

import functools
import shutil
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium")
OPTIONS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
# A name that is no secure context, unlike 127.0.0.1 and localhost.
PLAIN_HOST = "branch.example"
WAIT_MS = 15_000
POLL_MS = 30

needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed (Debian package chromium)")
_thread = ThreadPoolExecutor(1, "browser")


def in_browser(test: Callable[..., None]) -> Callable[..., None]:
    """Run a test in the browser's thread, or skip it by name where there is no browser."""

    @needs_browser
    @functools.wraps(test)
    def run(**fixtures: Any) -> None:
        _thread.submit(test, **fixtures).result()

    return run


def in_thread(act: Callable[[], Any]) -> Any:
    """Do something in the browser's thread."""
    return _thread.submit(act).result()


@functools.cache
def _chromium() -> Any:
    from playwright.sync_api import sync_playwright

    playwright = sync_playwright().start()
    rules = f"--host-resolver-rules=MAP {PLAIN_HOST} 127.0.0.1"
    return playwright.chromium.launch(executable_path=CHROMIUM, args=[*OPTIONS, rules])


class Browser:
    """One visitor's browser: cookies and storage of its own; ``close`` when the test is over."""

    def __init__(self, **options: Any) -> None:
        self.context = _chromium().new_context(**options)
        self.context.set_default_timeout(WAIT_MS)
        self.problems: list[str] = []

    def sign_in(self, url: str, token: str) -> None:
        self.context.add_cookies([{"name": "rt_token", "value": token, "url": url}])

    def open(self, url: str) -> Any:
        """Return a new tab on a page; what the page complains of is noted in ``problems``."""
        page = self.context.new_page()
        page.on("pageerror", lambda error: self.problems.append(f"error: {error}"))
        page.on("console", lambda said: self._note(said))
        page.add_init_script(
            "addEventListener('securitypolicyviolation', (event) => "
            "console.warn('CSP', event.violatedDirective, event.blockedURI, event.sourceFile))"
        )
        page.goto(url)
        return page

    def _note(self, said: Any) -> None:
        if said.type in ("error", "warning") and "Failed to load resource" not in said.text:
            self.problems.append(f"{said.type}: {said.text}")

    def close(self) -> None:
        self.context.close()


@pytest.fixture
def new_browser():
    """Make browsers: ``new_browser(viewport=...)``; to be called from a test that runs `in_browser`."""
    opened: list[Browser] = []

    def make(**options: Any) -> Browser:
        opened.append(Browser(**options))
        return opened[-1]

    yield make
    for browser in opened:
        _thread.submit(browser.close).result()


# Puts a client on a page and keeps what it says.
FOLLOW = """
async (options) => {
  const { connect } = await import(options.module ?? "/client/rtclient.js");
  delete options.module;
  const seen = (window.seen = { events: [], resets: [], states: [], tiers: [], at: {}, outbox: [] });
  const beganAt = performance.now();
  window.client = connect({
    ...options,
    onEvent: (event) => {
      seen.events.push(event);
      seen.at.first ??= (performance.now() - beganAt) / 1000;
    },
    onReset: (reset) => seen.resets.push(reset),
    onOutbox: (entries) => (seen.outbox = entries),
    onStatus: (status) => {
      if (seen.states.at(-1) !== status.state) {
        seen.states.push(status.state);
        seen.at[status.state] ??= (performance.now() - beganAt) / 1000;
      }
    },
  });
}
"""


def follow(page: Any, session_id: str = "s", **options: Any) -> None:
    """Connect on a page: ``window.client``, and ``window.seen`` of it."""
    page.evaluate(FOLLOW, {"sessionId": session_id, **options})


def wait_for(page: Any, condition: str, seconds: float = 15) -> None:
    """Wait until a JavaScript expression is true on the page.

    Asked again and again: a page's strict policy lets nobody evaluate text inside of it.
    """
    deadline = time.monotonic() + seconds
    while not page.evaluate(condition):
        assert time.monotonic() < deadline, f"not true within {seconds} s: {condition}\n{_shown(page)}"
        page.wait_for_timeout(POLL_MS)


def _shown(page: Any) -> str:
    """Return what the client on the page says of itself."""
    handle = "(window.client ?? document.querySelector('rt-status')?.client)"
    return page.evaluate(f"JSON.stringify([{handle}?.status, {handle}?.transitions], null, 1)") or ""


def contents(page: Any) -> list[str]:
    """Return the messages that the page has seen, in order."""
    return page.evaluate("seen.events.filter((e) => e.type === 'message_added').map((e) => e.data.content)")
