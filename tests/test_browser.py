"""The client in a real browser against the real server: streams, fallbacks, many tabs, a server that is killed."""

from __future__ import annotations

import urllib.parse

import pytest

from tests.browser import PLAIN_HOST, contents, follow, in_browser, new_browser, wait_for  # noqa: F401, the fixture
from tests.visits import blocked, killed_under_tabs, running, said_offline, visit

# Counts the streams that a page opens, at the moment it opens them.
COUNT_STREAMS = """
() => {
  window.opened = 0;
  window.EventSource = class extends EventSource {
    constructor(...given) {
      super(...given);
      window.opened++;
    }
  };
}
"""


@pytest.fixture
def scene(tmp_path):
    with running(tmp_path / "data") as both:
        yield both


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


@in_browser
def test_what_blocks_streams_or_holds_nothing_is_noticed_in_time(tmp_path, new_browser):  # noqa: F811
    """The 10 and 15 seconds, once by the real clock; everywhere else a clock of the tests' own."""
    figures = blocked(tmp_path, new_browser)

    # At once, 10 and 25; what is allowed beyond is how busy a machine may be that runs tests.
    assert figures.history_seconds < 3
    assert 9.9 <= figures.long_poll_seconds < 12
    assert 24.9 <= figures.short_poll_seconds < 28
    assert figures.is_complete


@in_browser
def test_block_pages_are_named_and_never_rendered(scene, new_browser):  # noqa: F811
    service, network = scene
    network.rules.everything = "html"
    browser = new_browser()
    page = visit(browser, service, network)

    follow(page, history=10)
    wait_for(page, "client.status.state === 'blocked'", 5)

    assert page.evaluate("client.status.nextRetryAt") is not None
    assert page.evaluate("document.documentElement.dataset.hacked") is None
    assert page.locator("#blocked").count() == 0
    network.rules.everything = "pass"
    page.evaluate("client.refresh()")
    wait_for(page, "client.status.state === 'live'")
    assert browser.problems == []


@in_browser
def test_a_stream_that_is_refused_by_a_filter_costs_no_time(scene, new_browser):  # noqa: F811
    service, network = scene
    network.rules.streams = "html"
    page = visit(new_browser(), service, network)

    follow(page)
    wait_for(page, "client.status.state === 'delayed'", 5)
    service.say("hello")

    wait_for(page, "seen.events.length === 1", 8)
    assert page.evaluate("client.transitions.map((t) => t.event)")[:5] == ["start", "ok", "stream refused", "ok", "ok"]


@in_browser
def test_killing_the_server_under_twenty_tabs_loses_and_doubles_nothing(tmp_path, new_browser):  # noqa: F811
    """P2"""
    figures = killed_under_tabs(tmp_path, new_browser(), tabs=20, kills=1)

    assert (figures.lost, figures.doubled) == (0, 0)
    assert figures.most_held <= 2
    assert figures.requests_per_second_and_tab <= 1


@in_browser
def test_a_block_that_is_lifted_is_noticed_beside_the_running_tier(scene, new_browser):  # noqa: F811
    service, network = scene
    network.rules.streams = "html"
    browser = new_browser()
    browser.sign_in(network.url, service.token("alice"))
    page = browser.open("about:blank")
    page.clock.install()
    page.goto(f"{network.url}/page")
    page.evaluate(COUNT_STREAMS)
    follow(page, history=10)
    wait_for(page, "client.status.state === 'delayed'", 5)
    network.rules.streams = "pass"
    streams = page.evaluate("opened")
    said = []
    # A second at a time: a trial has 10 of them, which must not go by before the network was asked.
    for second in range(150):
        if page.evaluate("opened") > streams:
            break
        if second % 5 == 0:
            said.append(f"{len(said)}")
            service.say(said[-1])
        page.clock.run_for(1000)
    assert page.evaluate("opened") == streams + 1
    wait_for(page, "client.status.state === 'live'")
    service.say("live again")
    wait_for(page, "seen.events.at(-1).data.content === 'live again'")
    assert contents(page) == [*said, "live again"]
    assert page.evaluate("seen.states") == ["connecting", "delayed", "live"]


@in_browser
def test_a_page_of_a_plain_http_name_shares_its_connections_with_dignity(scene, new_browser):  # noqa: F811
    """No secure context, so no locks: two tabs hold connections, the others poll."""
    service, network = scene
    url = network.url.replace("127.0.0.1", PLAIN_HOST)
    browser = new_browser()
    browser.sign_in(url, service.token("alice"))
    pages = [browser.open(f"{url}/page") for _ in range(5)]
    assert pages[0].evaluate("isSecureContext") is False

    for page in pages:
        follow(page)
    for page in pages:
        wait_for(page, "['live', 'polling'].includes(client.status.state)")
    service.say("to all")
    for page in pages:
        wait_for(page, "seen.events.length === 1", 12)

    assert sorted(page.evaluate("client.status.state") for page in pages) == [*["live"] * 2, *["polling"] * 3]
    assert network.most_held <= 2
    assert browser.problems == []


@in_browser
def test_what_is_said_offline_in_two_tabs_arrives_once_and_in_order_over_a_restart(tmp_path, new_browser):  # noqa: F811
    found = said_offline(tmp_path, new_browser())

    assert found.stored == found.said
    assert found.seen == [found.said, found.said]
    assert found.waiting == 0


@in_browser
def test_a_token_function_makes_streams_by_ticket_and_no_token_stands_in_an_address(scene, new_browser):  # noqa: F811
    service, network = scene
    page = new_browser().open(f"{network.url}/page")
    token = service.token("alice")

    follow(page, token=token)
    wait_for(page, "client.status.state === 'live'")

    streams = [each for each in network.exchanges if each.is_stream]
    assert len(streams) == 1 and "ticket=" in streams[0].query
    assert not [each for each in network.exchanges if token in each.query]


@in_browser
def test_signing_in_is_asked_for_once_and_without_it_nothing_more_is_asked(scene, new_browser):  # noqa: F811
    _, network = scene
    page = new_browser().open(f"{network.url}/page")

    with page.expect_navigation(url="**/page?next=*"):
        follow(page, loginUrl="/page")
    follow(page, loginUrl="/page")
    wait_for(page, "client.status.state === 'signed-out'")

    assert page.url.endswith("next=" + urllib.parse.quote(f"{network.url}/page", safe=""))
    assert len([each for each in network.exchanges if each.is_api]) == 2
