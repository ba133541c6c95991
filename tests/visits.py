"""What happens in browsers, as tests and acceptance share it: a server behind a network, visitors, their figures."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from tests.browser import Browser, contents, follow, wait_for
from tests.network import Network
from tests.process import ServerProcess


class Service:
    """What an application does at the server, blocking."""

    def __init__(self, server: ServerProcess) -> None:
        self.server = server

    def post(self, path: str, document: object, who: str = "service") -> Any:
        return self.get(path, who, json.dumps(document).encode())

    def get(self, path: str, who: str = "service", body: bytes | None = None) -> Any:
        request = urllib.request.Request(f"{self.server.url}/api/sessions{path}", body, self.server.headers(who))
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)

    def create(self, session_id: str = "s", people: tuple[str, ...] = ("alice", "bob")) -> None:
        self.post("", {"sessionId": session_id, "participants": [{"participantId": person} for person in people]})

    def say(self, content: str, who: str = "bob", session_id: str = "s") -> str:
        body = {"type": "message_added", "data": {"content": content}}
        return self.post(f"/{session_id}/events", body, who)["events"][0]["id"]

    def token(self, who: str) -> str:
        return self.server.headers(who)["Authorization"].removeprefix("Bearer ")


@contextmanager
def running(path: Path, *arguments: str) -> Iterator[tuple[Service, Network]]:
    """A server with the session ``s`` behind a network."""
    with ServerProcess(path, *arguments) as server, Network(server.port) as network:
        service = Service(server)
        service.create()
        yield service, network


def visit(browser: Browser, service: Service, network: Network, who: str = "alice") -> Any:
    browser.sign_in(network.url, service.token(who))
    return browser.open(f"{network.url}/page")


# The probe comes 2 s after `connected`.
PROOF_MS = 2600


class Killed(NamedTuple):
    """What twenty tabs saw of a server that was killed; ``lost`` and ``doubled`` over all tabs."""

    tabs: int
    kills: int
    said: int
    lost: int
    doubled: int
    most_held: int
    requests_per_second_and_tab: float


def killed_under_tabs(directory: Path, browser: Browser, tabs: int, kills: int) -> Killed:
    """Kill and restart the server under tabs of one browser, with messages before, between and after."""
    said: list[str] = []

    def say(count: int) -> None:
        for _ in range(count):
            said.append(str(len(said)))
            service.say(said[-1])

    with running(directory / "data") as (service, network):
        browser.sign_in(network.url, service.token("alice"))
        pages = [browser.open(f"{network.url}/page") for _ in range(tabs)]
        began_at = time.monotonic()
        for page in pages:
            follow(page, history=50)
        for page in pages:
            wait_for(page, "client.status.state === 'live'")
        first = service.server
        for number in range(kills):
            if number:
                # So long a stream takes to prove itself; one that breaks before is taken for less and less likely.
                pages[0].wait_for_timeout(PROOF_MS)
            say(10)
            service.server.kill()
            service.server = ServerProcess(first.data_dir, "--port", str(first.port)).start()
            say(3)
            for page in pages:
                wait_for(
                    page, f"client.status.state === 'live' && seen.events.at(-1)?.data.content === '{said[-1]}'", 30
                )
        seconds = time.monotonic() - began_at
        seen = [contents(page) for page in pages]
        service.server.kill()
    lost = sum(len(set(said) - set(each)) for each in seen)
    doubled = sum(len(each) - len(set(each)) for each in seen)
    assert all(each == sorted(each, key=int) for each in seen), "out of order"
    asked = sum(exchange.is_api for exchange in network.exchanges)
    return Killed(tabs, kills, len(said), lost, doubled, network.most_held, round(asked / seconds / tabs, 3))


class Blocked(NamedTuple):
    """How soon a page had its history, and tiers that the network lets through; seconds since it was opened."""

    history_seconds: float
    long_poll_seconds: float
    short_poll_seconds: float
    is_complete: bool  # every message came once and in order, on both pages


def blocked(directory: Path, new_browser: Callable[[], Browser]) -> Blocked:
    """Visit through a network that holds streams back, and through one where nothing that is held is answered."""
    with running(directory / "data") as (service, mute), Network(service.server.port) as nothing_held:
        mute.rules.streams = "hold"
        nothing_held.rules.held = "mute"
        service.say("before")
        pages = [visit(new_browser(), service, network) for network in (mute, nothing_held)]
        for page in pages:
            follow(page, history=10)
        for page in pages:
            wait_for(page, "seen.events.length === 1", 5)
        history_seconds = max(page.evaluate("seen.at.first") for page in pages)
        on_long_poll, on_short_poll = pages
        wait_for(on_long_poll, "client.status.tier === 'long-poll'", 12)
        service.say("over long poll")
        wait_for(on_long_poll, "seen.events.length === 2", 6)
        wait_for(on_short_poll, "client.status.state === 'polling'", 27)
        service.say("over short poll")
        for page in pages:
            wait_for(page, "seen.events.at(-1).data.content === 'over short poll'", 12)
        is_complete = all(contents(page) == ["before", "over long poll", "over short poll"] for page in pages)
        return Blocked(
            round(history_seconds, 2),
            round(on_long_poll.evaluate("seen.at.delayed"), 2),
            round(on_short_poll.evaluate("seen.at.polling"), 2),
            is_complete,
        )


def lifted(directory: Path, browser: Browser) -> float:
    """Lift a block under an open page; return after how many seconds it is live again, by itself."""
    with running(directory / "data") as (service, network):
        network.rules.streams = "html"
        page = visit(browser, service, network)
        follow(page)
        wait_for(page, "client.status.state === 'delayed'", 5)
        network.rules.streams = "pass"
        began_at = time.monotonic()
        wait_for(page, "client.status.state === 'live'", 120)
        return round(time.monotonic() - began_at, 1)


class Offline(NamedTuple):
    said: list[str]
    seen: list[list[str]]  # by each tab
    stored: list[str]  # by the server
    waiting: int


def said_offline(directory: Path, browser: Browser) -> Offline:
    """Say something in two tabs without a network, restart the server, and come back."""
    said = [str(number) for number in range(6)]
    with running(directory / "data") as (service, network):
        browser.sign_in(network.url, service.token("alice"))
        pages = [browser.open(f"{network.url}/page") for _ in range(2)]
        for page in pages:
            follow(page)
            wait_for(page, "client.status.state === 'live'")
        browser.context.set_offline(True)
        service.server.kill()
        network.cut()
        for number, content in enumerate(said):
            pages[number % 2].evaluate(f"void client.send({{content: '{content}'}}).then((e) => (window.sent = e))")
        wait_for(pages[0], "seen.outbox.length === 6")
        with ServerProcess(directory / "data", "--port", str(service.server.port)) as again:
            service.server = again
            browser.context.set_offline(False)
            for page in pages:
                wait_for(page, "seen.events.length >= 6 && window.sent?.sequence >= 7 && seen.outbox.length === 0", 25)
            stored = [each["data"]["content"] for each in service.get("/s/messages")["messages"]][::-1]
            waiting = sum(page.evaluate("seen.outbox.length") for page in pages)
            return Offline(said, [contents(page) for page in pages], stored, waiting)
