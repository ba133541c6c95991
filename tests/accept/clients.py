"""What the browser client claims: in Debian's Chromium, against the real server, by the real clock."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests import screenshots, visits
from tests.accept.core import planted, run_tests
from tests.accept.lines import Line, Outcome
from tests.browser import CHROMIUM, Browser, in_thread

TABS, KILLS = 20, 5
# A page is opened, timed and told about by three processes; the promise is in whole seconds.
TOLERANCE_SECONDS = 0.7
# The first probe comes after a minute, give or take a fifth, and verifies itself in two seconds.
FIRST_PROBE_SECONDS = 72 + 10


def browsing(act: Callable[[Callable[[], Browser]], Any]) -> Any:
    """Do something with browsers, which are closed afterwards."""
    opened: list[Browser] = []

    def new_browser() -> Browser:
        opened.append(Browser())
        return opened[-1]

    def run() -> Any:
        try:
            return act(new_browser)
        finally:
            for browser in opened:
                browser.close()

    assert CHROMIUM is not None, "chromium is not installed (Debian package chromium)"
    return in_thread(run)


def kills(directory: Path) -> Outcome:
    found = browsing(lambda new_browser: visits.killed_under_tabs(directory, new_browser(), TABS, KILLS))
    is_met = found.lost == found.doubled == 0 and found.most_held <= 2 and found.requests_per_second_and_tab <= 1
    return Outcome(is_met, str(found))


def blocks(directory: Path) -> Outcome:
    found = browsing(lambda new_browser: visits.blocked(directory, new_browser))
    is_met = found.is_complete and found.history_seconds < 1
    is_met &= found.long_poll_seconds <= 10 + TOLERANCE_SECONDS and found.short_poll_seconds <= 25 + TOLERANCE_SECONDS
    return Outcome(is_met, str(found))


def lift(directory: Path) -> Outcome:
    seconds = browsing(lambda new_browser: visits.lifted(directory, new_browser()))
    return Outcome(seconds <= FIRST_PROBE_SECONDS, f"live again {seconds} s after the block was lifted")


def offline(directory: Path) -> Outcome:
    found = browsing(lambda new_browser: visits.said_offline(directory, new_browser()))
    is_met = found.stored == found.said and all(seen == found.said for seen in found.seen) and found.waiting == 0
    return Outcome(is_met, str(found))


def hostile(directory: Path) -> Outcome:
    return Outcome(*run_tests("tests/test_chat.py", "-k", "hostile or contrast or keyboard or cut_off"))


def modules(directory: Path) -> Outcome:
    return Outcome(*run_tests("tests/test_client_modules.py", "tests/test_browser.py"))


def pictures(directory: Path) -> Outcome:
    in_thread(lambda: screenshots.main(directory))
    taken = sorted(path.name for path in directory.glob("*.png"))
    kept = sorted(path.name for path in screenshots.PLACE.glob("*.png"))
    return Outcome(taken == kept, f"{len(taken)} taken anew, to be looked at: {', '.join(taken)}")


def defects(directory: Path) -> Outcome:
    return planted("5")


LINES = (
    Line(
        f"{KILLS} kills of the server under {TABS} open tabs: nothing lost or doubled, at most two held connections, "
        "at most one request a second and tab",
        kills,
    ),
    Line("History at once; streams held back: long poll in 10 s; nothing held: short poll in 25 s", blocks),
    Line("A block that is lifted: live again at the next probe, without reload", lift),
    Line("Said offline in two tabs, the server restarted in between: arrives once and in order", offline),
    Line(
        "Hostile messages, names and session ids are inert; the policy has nothing to report; contrast, keyboard",
        hostile,
    ),
    Line("The state table row by row, every module under Node, every behaviour in Chromium", modules),
    Line("The pictures of the documentation, taken anew", pictures),
    Line("Every planted defect of the client is noticed", defects),
)
