"""The network check in a browser, behind networks that are not on anybody's side: each trouble is named, and no other.

The page and the hops run five times as fast; several checks run at once, each in a tab behind a hop of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.browser import Browser, in_browser, new_browser, wait_for  # noqa: F401
from tests.hostile import HopThread
from tests.process import ServerProcess

PACE = 5
CHECK_SECONDS = 60
IS_OVER = "window.result !== null && window.result !== undefined"


class Scene:
    """A server, and one person's browser."""

    def __init__(self, server: ServerProcess, browser: Browser) -> None:
        self._server = server
        self._browser = browser
        browser.sign_in(server.url, server.headers("alice")["Authorization"].removeprefix("Bearer "))

    @contextmanager
    def behind(self, *behaviours: str) -> Iterator[tuple[HopThread, Any]]:
        with HopThread(self._server.port, *behaviours, speed=PACE) as hop:
            page = self._browser.open(f"{hop.url}/diagnostics?pace={PACE}")
            try:
                yield hop, page
            finally:
                page.close()

    def found_behind(self, *networks: str) -> dict[str, list[str]]:
        """Return what is found behind each of these networks, tried at once."""
        with ExitStack() as stack:
            pages = {network: stack.enter_context(self.behind(*network.split()))[1] for network in networks}
            return {network: found(page) for network, page in pages.items()}


def found(page: Any) -> list[str]:
    wait_for(page, IS_OVER, CHECK_SECONDS)
    return page.evaluate("window.result.causes")


def answering(status: int, type: str, body: str) -> Callable[[Any], None]:
    return lambda route: route.fulfill(status=status, content_type=type, body=body)


def check_again(page: Any) -> list[str]:
    page.click("#again")
    return found(page)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path / "data", "--max-probes-per-participant", "0") as server:
        yield server


@in_browser
def test_a_clean_network_has_nothing_wrong_with_it(server, new_browser):  # noqa: F811
    scene = Scene(server, new_browser())
    with scene.behind("pass") as (_, page):
        assert found(page) == []
        result = page.evaluate("window.result")
        steps = page.locator("#steps .mark").all_text_contents()

    assert [tier["verdict"] for tier in result["tiers"].values()] == ["works"] * 3
    assert steps == ["good"] * 6
    assert result["asks"] == []
    assert not scene._browser.problems


@in_browser
def test_what_holds_streams_back_is_told_from_what_is_punctual(server, new_browser):  # noqa: F811
    expected = {
        "buffer-whole": ["buffering"],
        "buffer-body": ["buffering"],
        "buffer-blocks:4096": ["buffering"],
        "buffer-until:4096": ["buffering"],
        "bursts:5": ["bursts"],
        "trickle:1": ["bursts"],
        "gzip": ["compressed-without-flush"],
    }
    assert Scene(server, new_browser()).found_behind(*expected) == expected


@in_browser
def test_what_ends_connections_is_told_by_when_it_does(server, new_browser):  # noqa: F811
    expected = {
        "cut-at:20": ["time-cap"],
        "cut-at-rst:20": ["time-cap"],
        "cut-at-truncated:20": ["time-cap"],
        "cut-early:3": ["time-cap"],
        "idle-kill:15": ["idle-cut"],
        "idle-kill:8": ["idle-cut"],
        "cap:12": ["time-cap"],
        "black-hole:30": ["silent-connection"],
        "buffer-body idle-kill:15": ["buffering", "idle-cut"],
    }
    assert Scene(server, new_browser()).found_behind(*expected) == expected


@in_browser
def test_what_answers_in_the_servers_place_is_named(server, new_browser):  # noqa: F811
    expected = {
        "block-streams": ["blocked-event-streams"],
        "block-accept": ["blocked-event-streams"],
        "refuse-chunked": ["refused-chunks"],
        "block-page": ["block-page"],
        "block-page:1in5": ["block-page"],
        "too-many:5": ["rate-limited"],
        "unavailable:5": ["unavailable"],
    }
    assert Scene(server, new_browser()).found_behind(*expected) == expected


# Filters, gateways and portals: what they answer everything with, and what is said of it.
NOTHING_FROM_HERE = {
    (500, "text/html", "<h1>Oops</h1>"): (["block-page"], "It does not work from here"),
    (403, "application/json", '{"message": "Forbidden"}'): (["block-page"], "It does not work from here"),
    (200, "application/json", '{"error": "blocked"}'): (["block-page"], "It does not work from here"),
    (200, "application/json", "null"): (["block-page"], "It does not work from here"),
    (200, "text/plain", "blocked"): (["block-page"], "It does not work from here"),
    (511, "text/html", "<h1>Sign in</h1>"): (["sign-in-page"], "It does not work from here"),
    (521, "text/html", "<h1>Down</h1>"): (["gateway-error"], "It does not work from here"),
    (503, "text/html", "<h1>Later</h1>"): (["unavailable"], "It does not work now"),
    (429, "text/html", "<h1>Slower</h1>"): (["rate-limited"], "It does not work now"),
}


@in_browser
def test_a_network_that_lets_nothing_through_is_never_called_well(server, new_browser):  # noqa: F811
    with Scene(server, new_browser()).behind("pass") as (_, page):
        for (status, type, body), (causes, headline) in NOTHING_FROM_HERE.items():
            page.unroute_all()
            page.route("**/api/diagnostics/**", answering(status, type, body))
            assert check_again(page) == causes, (status, type, body)
            assert page.text_content("#headline") == headline
            assert page.locator("#steps .mark").all_text_contents() == ["trouble"] + ["skipped"] * 5


@in_browser
def test_a_proxy_that_wants_a_sign_in_on_each_connection_makes_no_other_trouble(server, new_browser):  # noqa: F811
    assert Scene(server, new_browser()).found_behind("ntlm-answered") == {"ntlm-answered": []}


@in_browser
def test_what_takes_away_or_shares_answers_is_named(server, new_browser):  # noqa: F811
    expected = {
        "strip:last-event-id": ["stripped-headers"],
        "strip:x-": ["stripped-headers"],
        "strip:cache-control": ["stripped-headers"],
        "strip:cookie": ["signed-out"],
        "cache:30": ["cached-answers"],
        "cache-path:30": ["cached-answers"],
        "collapse": ["cached-answers"],
        "one-connection": ["one-connection"],
    }
    assert Scene(server, new_browser()).found_behind(*expected) == expected


@in_browser
def test_a_server_that_goes_and_comes_back_and_a_block_that_is_lifted(server, new_browser):  # noqa: F811
    with Scene(server, new_browser()).behind("block-streams") as (hop, page):
        assert found(page) == ["blocked-event-streams"]
        hop.set("restart:5")
        assert check_again(page) == ["unavailable"]
        hop.set("gone")
        assert check_again(page) == ["unreachable"]
        hop.set("pass")
        assert check_again(page) == []
