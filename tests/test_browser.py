"""The client in a real browser against the real server: streams, fallbacks, many tabs, a server that is killed."""

from __future__ import annotations

import json
import urllib.request
from contextlib import contextmanager

import pytest

from tests.browser import contents, follow, in_browser, new_browser, wait_for  # noqa: F401, the fixture
from tests.network import Network
from tests.process import ServerProcess


class Service:
    """What an application does at the server, blocking."""

    def __init__(self, server: ServerProcess) -> None:
        self.server = server

    def post(self, path: str, document: object, who: str = "service") -> dict:
        request = urllib.request.Request(
            f"{self.server.url}/api/sessions{path}",
            json.dumps(document).encode(),
            self.server.headers(who) | {"Content-Type": "application/json"},
        )
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
def running(path, *arguments):
    """A server with the session ``s`` behind a network."""
    with ServerProcess(path, *arguments) as server, Network(server.port) as network:
        service = Service(server)
        service.create()
        yield service, network


@pytest.fixture
def scene(tmp_path):
    with running(tmp_path / "data") as both:
        yield both


def visit(browser, service, network, who="alice"):
    browser.sign_in(network.url, service.token(who))
    return browser.open(f"{network.url}/page")


@in_browser
def test_history_comes_first_and_live_events_follow_each_once(scene, new_browser):  # noqa: F811
    """P2"""
    service, network = scene
    for number in range(5):
        service.say(f"before {number}")
    page = visit(new_browser(), service, network)

    follow(page, history=3)
    wait_for(page, "client.status.state === 'live'")
    for number in range(5):
        service.say(f"after {number}")
    wait_for(page, "seen.events.length >= 8")

    assert contents(page) == [*(f"before {n}" for n in (2, 3, 4)), *(f"after {n}" for n in range(5))]
    sequences = page.evaluate("seen.events.map((e) => e.sequence)")
    assert sequences == sorted(set(sequences))
    assert page.evaluate("client.status.tier") == "sse"
