"""``python -m tests.screenshots``: the pictures in ``docs/screenshots/``, taken of the real thing.

The chat of ``rtserver demo`` in Chromium, behind a network that holds streams back, then everything, then is gone.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.browser import Browser, in_thread, wait_for
from tests.hostile import HopThread
from tests.network import Network, Rules
from tests.process import COMMAND, environment

PLACE = Path(__file__).parent.parent / "docs" / "screenshots"
WIDE = {"viewport": {"width": 1200, "height": 760}}
PHONE = {"viewport": {"width": 390, "height": 780}, "device_scale_factor": 2}
CHECK = {"viewport": {"width": 780, "height": 640}}
DARK = {"color_scheme": "dark"}

MUTE = Rules(streams="html")
NOTHING_HELD = Rules(streams="html", held="mute")
GONE = Rules(everything="gone")
BLOCKED = Rules(everything="html")

IS_LIVE = "document.querySelector('rt-status').client?.status.state === 'live'"
# Every state with what goes with it, as the indicator is given it.
GALLERY = """
async () => {
  await import("/client/indicator.js");
  const features = {};
  const asOf = "2026-03-02T09:41:07.123Z";
  const soon = (seconds) => new Date(Date.now() + seconds * 1000 + 400).toISOString();
  const common = { tier: null, reason: null, asOf, nextRetryAt: null, expectedDelay: null, features };
  const states = [
    { state: "connecting", asOf: null },
    { state: "live", tier: "sse", expectedDelay: 0 },
    { state: "delayed", tier: "long-poll", expectedDelay: 5, reason: "the connection was lost" },
    { state: "polling", tier: "short-poll", expectedDelay: 7, reason: "live updates did not arrive in time" },
    { state: "reconnecting", reason: "the connection was lost", nextRetryAt: soon(12) },
    { state: "offline", nextRetryAt: soon(38) },
    { state: "blocked", reason: "something on the network answered in the server's place", nextRetryAt: soon(41) },
    { state: "signed-out", reason: "you need to sign in again" },
    { state: "stopped", reason: "the session is closed" },
  ];
  document.body.style = "margin: 0; padding: 1.5rem; background: Canvas; color-scheme: light dark";
  for (const each of states) {
    const indicator = document.createElement("rt-status");
    indicator.style = "max-width: 44rem; margin-block-end: 1.1rem";
    document.body.append(indicator);
    indicator.show({ ...common, ...each });
  }
}
"""


class Demo:
    """``rtserver demo`` in a process of its own: ``url`` where it is, ``service`` a token that may do everything."""

    def __enter__(self) -> Demo:
        self._process = subprocess.Popen(
            [*COMMAND, "demo", "--port", "0"], stdout=subprocess.PIPE, text=True, env=environment()
        )
        assert self._process.stdout is not None
        said = ""
        while "Stop with Ctrl-C" not in said:
            line = self._process.stdout.readline()
            assert line, "the demo has ended"
            said += line
        self.url = said.split()[2]
        self.port = int(self.url.rpartition(":")[2])
        found = re.search(r"SERVICE=(\S+)", said)
        assert found is not None
        self.service = found[1]
        return self

    def __exit__(self, *details: object) -> None:
        self._process.terminate()
        self._process.wait(10)
        assert self._process.stdout is not None
        self._process.stdout.close()


def shoot(network: Network, path: Path, options: dict[str, Any], rules: Rules, act: Callable[[Any], None]) -> None:
    """Open the chat under these rules, do something there, and take the picture."""
    network.rules = rules
    browser = Browser(**options)
    try:
        page = browser.open(f"{network.url}/")
        act(page)
        page.screenshot(path=path)
        assert not browser.problems, browser.problems
    finally:
        browser.close()


def shows(state: str, more: str = "true", seconds: float = 60) -> Callable[[Any], None]:
    condition = f"document.querySelector('rt-status').client?.status.state === '{state}' && ({more})"
    return lambda page: wait_for(
        page, f"{condition} && document.querySelectorAll('#messages .message').length > 3", seconds
    )


def at_work(element: str = "progress") -> str:
    return f"!document.getElementById('{element}').hidden"


def offline(network: Network) -> Callable[[Any], None]:
    def act(page: Any) -> None:
        shows("live")(page)
        network.rules = GONE
        page.context.set_offline(True)
        network.cut()
        wait_for(page, "document.querySelector('rt-status').client.status.state === 'offline'")
        page.fill("#text", "This is said on the train, and arrives when there is a network again.")
        page.press("#text", "Enter")
        page.wait_for_selector("#outbox .waiting")

    return act


def details(page: Any) -> None:
    shows("polling")(page)
    page.locator("rt-status summary").click()
    page.locator("rt-status dl dt").first.wait_for()


def gallery(network: Network, path: Path, options: dict[str, Any]) -> None:
    browser = Browser(viewport={"width": 780, "height": 640}, **options)
    try:
        page = browser.open(f"{network.url}/page")
        page.evaluate(GALLERY)
        page.locator("body").screenshot(path=path)
        assert not browser.problems, browser.problems
    finally:
        browser.close()


def check(demo: Demo, path: Path, options: dict[str, Any], *network: str) -> None:
    """Take the picture of a network check behind this network, run fast."""
    browser = Browser(**options)
    try:
        with HopThread(demo.port, *network, speed=5) as hop:
            browser.sign_in(hop.url, demo.service)
            page = browser.open(f"{hop.url}/diagnostics?pace=5")
            wait_for(page, "window.result !== null && window.result !== undefined", 60)
            page.screenshot(path=path, full_page=True)
        assert not browser.problems, browser.problems
    finally:
        browser.close()


def main(place: Path) -> None:
    """Take every picture."""
    place.mkdir(exist_ok=True)
    chats: dict[str, tuple[dict[str, Any], Rules, Callable[[Any], None]]] = {
        "live": (WIDE, Rules(), shows("live", at_work())),
        "live-typing-dark": (WIDE | DARK, Rules(), shows("live", at_work("typing"))),
        "long-poll": (WIDE, MUTE, shows("delayed", at_work())),
        "short-poll": (WIDE, NOTHING_HELD, shows("polling", at_work())),
        "details": (WIDE, NOTHING_HELD, details),
        "phone": (PHONE, Rules(), shows("live")),
        "phone-dark": (PHONE | DARK, Rules(), shows("live", at_work())),
    }
    with Demo() as demo, Network(demo.port) as network:
        gallery(network, place / "states.png", {})
        gallery(network, place / "states-dark.png", DARK)
        for name, (options, rules, act) in chats.items():
            shoot(network, place / f"{name}.png", options, rules, act)
        shoot(network, place / "phone-offline.png", PHONE, Rules(), offline(network))
        check(demo, place / "check-good.png", CHECK, "pass")
        check(demo, place / "check-bad.png", CHECK, "buffer-body", "idle-kill:15")


if __name__ == "__main__":
    in_thread(lambda: main(PLACE))
