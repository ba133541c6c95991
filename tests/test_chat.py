"""The demonstration chat in a real browser: people talk, whatever they write is text, and it adapts to the tier."""

from __future__ import annotations

import json
import urllib.request

import pytest

from tests.browser import in_browser, new_browser, wait_for  # noqa: F401, the fixture
from tests.network import Network, Rules
from tests.screenshots import GALLERY, Demo

STATE = "document.querySelector('rt-status').client?.status.state"
HOSTILE = (
    "<img src=x onerror=\"document.title='hacked'\">",
    "<script>document.title='hacked'</script>",
    "javascript:document.title='hacked'",
    "</li></ol><style>*{display:none}</style>",
    "{{constructor.constructor('document.title=1')()}}",
    "\u202etxet desrever\u202c \u0000 \ufeff 👩\u200d👧",
    "a" * 3000,
)


@pytest.fixture(scope="module")
def demo():
    with Demo() as demo, Network(demo.port) as network:
        demo.network = network
        yield demo


def ask(demo, method, path, body=None):
    request = urllib.request.Request(
        f"{demo.url}/api/sessions/demo{path}",
        None if body is None else json.dumps(body).encode(),
        {"Authorization": f"Bearer {demo.service}"},
        method=method,
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


def messages(page):
    return page.evaluate("[...document.querySelectorAll('#messages .bubble')].map((each) => each.textContent)")


def chat(demo, browser, query="", rules=None):
    demo.network.rules = rules or Rules()
    return browser.open(f"{demo.network.url}/{query}")


@in_browser
def test_two_people_talk_and_the_assistant_answers(demo, new_browser):  # noqa: F811
    alice, bob = (chat(demo, new_browser(), f"?as={who}") for who in ("alice", "bob"))
    for page in (alice, bob):
        wait_for(page, f"{STATE} === 'live'")

    bob.locator("#text").press_sequentially("Can you")
    wait_for(alice, "document.getElementById('typing').textContent.startsWith('Bob')")
    bob.fill("#text", "Can you hear me?")
    bob.press("#text", "Enter")

    wait_for(alice, "document.getElementById('messages').textContent.includes('Can you hear me?')")
    wait_for(alice, "!document.getElementById('progress').hidden")
    wait_for(bob, "document.getElementById('messages').textContent.includes('“Can you hear me?”')")
    assert "Can you hear me?" in bob.locator("#messages .mine .bubble").all_text_contents()
    assert messages(alice).count("Can you hear me?") == 1
    assert bob.input_value("#text") == ""


@in_browser
def test_hostile_messages_and_names_are_text(demo, new_browser):  # noqa: F811
    """And the policy of the page has had nothing to refuse."""
    browser = new_browser()
    page = chat(demo, browser)
    title = page.title()
    wait_for(page, f"{STATE} === 'live'")
    ask(demo, "PUT", "/participants/mallory", {"displayName": HOSTILE[0], "kind": "ai"})
    for content in HOSTILE:
        body = {"type": "message_added", "data": {"content": content, "participantId": "mallory"}}
        ask(demo, "POST", "/events", body)
    for type in ("typing_indicator", "ai_progress"):
        data = {"participantId": "mallory", "isTyping": True, "status": HOSTILE[0], "step": "<b>", "steps": 1}
        ask(demo, "POST", "/events", {"type": type, "data": data})

    wait_for(page, f"document.getElementById('messages').textContent.includes('{'a' * 3000}')")
    page.reload()
    wait_for(page, f"document.getElementById('messages').textContent.includes('{'a' * 3000}')")

    shown = messages(page)
    for content in HOSTILE:
        assert content in shown
    assert page.title() == title
    assert page.locator("main img, main script, main style").count() == 0
    assert HOSTILE[0] in page.locator("#people").text_content()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert browser.problems == []


@in_browser
def test_a_hostile_session_id_is_refused_before_anything_is_asked(demo, new_browser):  # noqa: F811
    page = chat(demo, new_browser())
    before = len(demo.network.exchanges)
    refused = page.evaluate(
        "async () => { const { connect } = await import('/client/rtclient.js');"
        "try { connect({ sessionId: '../<img src=x onerror=alert(1)>' }); } catch (error) { return String(error); } }"
    )
    assert "TypeError: connect(): sessionId" in refused
    assert not [each for each in demo.network.exchanges[before:] if "img" in each.path]


@in_browser
def test_the_page_adapts_to_what_the_tier_can_show(demo, new_browser):  # noqa: F811
    page = chat(demo, new_browser(viewport={"width": 1200, "height": 800}))
    wait_for(page, f"{STATE} === 'live'")
    assert page.locator("#features").text_content() == "Messagesat onceTypingshownAI at workstep by stepPeopleat once"

    page.select_option("#way", "short-poll")
    wait_for(page, f"{STATE} === 'polling'")
    body = {"type": "ai_progress", "data": {"participantId": "ava", "status": "counting", "step": 1, "steps": 3}}
    ask(demo, "POST", "/events", body)
    typing = {"type": "typing_indicator", "data": {"participantId": "bob", "isTyping": True}}
    ask(demo, "POST", "/events", typing)
    page.click("#refresh")

    wait_for(page, "document.getElementById('progress').textContent.includes('is working')")
    assert page.locator("#typing").is_hidden()
    assert page.locator("progress").count() == 0
    assert "not shown" in page.locator("#features").text_content()
    page.select_option("#way", "sse")
    wait_for(page, f"{STATE} === 'live'")
    count = page.locator("#messages .message").count()
    assert count == len(messages(page)) > 0


@in_browser
def test_a_message_that_comes_before_the_answer_to_it_is_shown_once(demo, new_browser):  # noqa: F811
    page = chat(demo, new_browser())
    wait_for(page, f"{STATE} === 'live'")
    held = []

    def hold(route):
        if "message_added" in (route.request.post_data or ""):
            held.append((route, route.fetch()))
        else:
            route.continue_()

    page.route("**/api/sessions/demo/events*", hold)
    page.fill("#text", "said once")
    page.press("#text", "Enter")
    wait_for(page, "document.getElementById('messages').textContent.includes('said once')")
    [(route, answer)] = held
    assert page.locator("#outbox .waiting").count() == 0

    route.fulfill(response=answer)
    page.fill("#text", "and on")
    page.press("#text", "Enter")
    wait_for(page, "document.getElementById('messages').textContent.includes('and on')")
    assert page.locator("#outbox .waiting").count() == 0
    route, answer = held[1]
    route.fulfill(response=answer)
    assert [each for each in messages(page) if each in ("said once", "and on")] == ["said once", "and on"]


@in_browser
def test_what_is_written_offline_is_shown_as_waiting_and_sent_later(demo, new_browser):  # noqa: F811
    page = chat(demo, new_browser())
    wait_for(page, f"{STATE} === 'live'")
    demo.network.rules = Rules(everything="gone")
    page.context.set_offline(True)
    demo.network.cut()
    wait_for(page, f"{STATE} === 'offline'")
    for content in ("first from the train", "second from the train"):
        page.fill("#text", content)
        page.press("#text", "Enter")
    waiting = page.locator("#outbox .waiting .bubble")
    waiting.nth(1).wait_for()
    assert waiting.all_text_contents() == ["first from the train", "second from the train"]

    demo.network.rules = Rules()
    page.context.set_offline(False)

    wait_for(page, "document.getElementById('messages').textContent.includes('second from the train')")
    assert waiting.count() == 0
    sent = [content for content in messages(page) if content.endswith("from the train")]
    assert sent == ["first from the train", "second from the train"]


@in_browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_state_has_words_a_shape_of_its_own_and_enough_contrast(demo, new_browser, scheme):  # noqa: F811
    """WCAG 2.1: 1.4.1 use of colour, 1.4.3 contrast (4.5 : 1), 1.4.11 (3 : 1)."""
    page = new_browser(color_scheme=scheme).open(f"{demo.network.url}/page")
    page.evaluate(GALLERY)
    states = page.evaluate(
        """[...document.querySelectorAll("rt-status")].map(({ shadowRoot }) => {
          const find = (part) => shadowRoot.querySelector(`[part="${part}"]`);
          const luminance = (color) => {
            const [r, g, b] = color.match(/[\\d.]+/g).slice(0, 3).map((value) => {
              const part = value / 255;
              return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
            });
            return 0.2126 * r + 0.7152 * g + 0.0722 * b;
          };
          const back = luminance(getComputedStyle(document.body).backgroundColor);
          const contrast = (color) => {
            const [low, high] = [luminance(color), back].sort((one, other) => one - other);
            return (high + 0.05) / (low + 0.05);
          };
          return {
            title: find("title").textContent, hint: find("hint").textContent,
            shape: shadowRoot.querySelector("path").getAttribute("d"),
            announced: shadowRoot.querySelector("[aria-live=polite]").textContent,
            contrasts: [
              contrast(getComputedStyle(find("title")).color), contrast(getComputedStyle(find("hint")).color),
              contrast(getComputedStyle(find("shape")).fill),
            ],
          };
        })"""
    )
    assert len(states) == 9
    assert len({state["shape"] for state in states}) == len({state["title"] for state in states}) == 9
    for state in states:
        assert state["hint"] and state["announced"].startswith(state["title"])
        assert min(state["contrasts"]) >= 4.5, state


@in_browser
def test_the_indicator_is_worked_by_keyboard_and_tells_the_help_desk(demo, new_browser):  # noqa: F811
    browser = new_browser(viewport={"width": 1200, "height": 800}, permissions=["clipboard-read", "clipboard-write"])
    page = chat(demo, browser)
    wait_for(page, f"{STATE} === 'live'")
    page.locator("rt-status summary").focus()
    page.keyboard.press("Enter")
    page.locator("rt-status dl dt").first.wait_for()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    wait_for(page, "document.querySelector('rt-status').shadowRoot.textContent.includes('Copied')")

    copied = page.evaluate("navigator.clipboard.readText()")

    assert "State: live" in copied and "Session: demo" in copied and "verifying sse → live" in copied
    assert "Bearer" not in copied and "eyJ" not in copied
    page.keyboard.press("Escape")
    assert page.evaluate("document.querySelector('rt-status').shadowRoot.querySelector('details').open") is False


@in_browser
def test_nothing_is_cut_off_on_any_screen(demo, new_browser):  # noqa: F811
    page = chat(demo, new_browser())
    wait_for(page, f"{STATE} === 'live' && document.querySelectorAll('#messages .message').length > 0")
    for width in (320, 390, 768, 1280):
        page.set_viewport_size({"width": width, "height": 700})
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        for name in ("rt-status", "#text", "#compose button"):
            box = page.locator(name).bounding_box()
            assert box["x"] >= 0 and box["x"] + box["width"] <= width, (name, width)
            assert box["y"] + box["height"] <= 700, (name, width)
