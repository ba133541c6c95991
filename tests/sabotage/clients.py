"""Defects of the browser client; ``5`` is the section of the contract that it keeps."""

from __future__ import annotations

from tests.sabotage.defect import Defect


def _under_node(what: str, file: str, before: str, after: str, tests: str, promise: str = "5") -> Defect:
    test = f"test_client_modules.py::test_the_tests_under_node_pass[{tests}]"
    return Defect(promise, what, f"web/client/{file}.js", before, after, test)


def _of_the_check(what: str, before: str, after: str) -> Defect:
    test = "test_client_modules.py::test_the_tests_under_node_pass[check]"
    return Defect("4.9", what, "web/diagnostics/judge.js", before, after, test)


CLIENTS = (
    _of_the_check(
        "take one stall of a network for bursts",
        "each > LATE_MS / pace).length < MANY",
        "each > LATE_MS / pace).length < 1",
    ),
    _of_the_check(
        "blame a quiet connection for a cap on every answer",
        "if (isCut && stream.endedMs <= hold.seconds * 1000 + LATE_MS / pace) return [];",
        "",
    ),
    _under_node(
        "give an event again that was seen already",
        "inbox",
        "found.epoch === this._place.epoch && found.sequence > this._place.sequence",
        "found.epoch === this._place.epoch",
        "pure",
    ),
    _under_node(
        "give up a tier without asking whether anything works",
        "machine",
        'const check = to("checking", ...CHECK);',
        'const check = (machine = begin()) => ({ ...demote(machine), actions: ["stop tier", "start tier"] });',
        "tiers",
    ),
    _under_node(
        "come back for ever to streams that are cut early",
        "machine",
        "if (machine.strikes < MAX_STRIKES || isLast)",
        "if (machine.strikes < 100 * MAX_STRIKES || isLast)",
        "tiers",
    ),
    _under_node(
        "take a stream for verified because it opened",
        "stream",
        "    this._source.onerror = () => this._broken();\n",
        "    this._source.onerror = () => this._broken();\n    this._source.onopen = () => hear('probe apart', {});\n",
        "tiers",
    ),
    _under_node(
        "take a stream for verified whose probe came with its connected",
        "stream",
        "- this._connectedAt >= PROBE_APART_MS",
        "- this._connectedAt >= 0",
        "tiers",
    ),
    _under_node(
        "take a block page for an answer",
        "verdict",
        'return media === expected ? "ok" : "page";',
        'return "ok";',
        "pure",
    ),
    _under_node("ignore Retry-After", "backoff", "floor * (1 + 0.2 * random)", "0 * floor", "tiers"),
    _under_node(
        "send what waited under a new id",
        "sender",
        'post("/events", { type, data, messageId }, ',
        'post("/events", { type, data, messageId: randomId() }, ',
        "sending",
    ),
    _under_node(
        "send what was said later first",
        "outbox",
        "sort((one, other) => one.at - other.at)",
        "sort((one, other) => other.at - one.at)",
        "sending",
    ),
    _under_node(
        "send while the server asked to wait",
        "sender",
        "return this.clock.monotonic() < this._notBefore;",
        "return false;",
        "sending",
    ),
    _under_node(
        "send what one person said with the token of another",
        "token",
        "return claimed !== null && this._person !== null && claimed !== this._person;",
        "return false;",
        "sending",
    ),
    _under_node("watch no heartbeat", "client", '    attempt.after("watchdog", limit, look);\n', "", "tiers"),
    _under_node(
        "have every tab hold a connection of its own",
        "tabs",
        "return Boolean(locks && BroadcastChannel);",
        "return false;",
        "tabs",
    ),
    _under_node(
        "let any number of tabs hold connections",
        "places",
        "export const PLACES = 2;",
        "export const PLACES = 9;",
        "tabs",
    ),
    _under_node(
        "mix up what two people say in one browser",
        "rtclient",
        'const name = `${api} ${who ?? "cookie"}`;',
        "const name = api;",
        "sending",
    ),
    _under_node(
        "go to the sign-in page again and again",
        "signin",
        "return passed >= 0 && passed < seconds * 1000;",
        "return false;",
        "access",
    ),
    _under_node(
        "throw away what waits because a gateway redirects to its log-in",
        "verdict",
        'if (isRedirect({ status, type })) return "page";',
        'if (isRedirect({ status, type })) return "sign-in";',
        "sending",
    ),
    _under_node(
        "leave for the log-in at every try behind a gateway that redirects",
        "signin",
        "if (this._isArmed) this.go();",
        "this.go();",
        "access",
    ),
    _under_node("poll as often as there are events", "pace", "return Math.max(0, -this._free);", "return 0;", "tiers"),
    _under_node(
        "go back to a gap that was told already",
        "intake",
        "    if (isOfBefore && this._inbox.hasPassed(reset.lastEventId)) return;\n",
        "",
        "intake",
        "P3",
    ),
    _under_node(
        "read history after a gap once, and never if that fails",
        "intake",
        "if (!PASSING.includes(past.verdict)) break;",
        "break;",
        "intake",
    ),
    _under_node("say nothing of a gap", "intake", "    this._hand.reset(reset);\n", "", "tiers", "P3"),
    Defect(
        "5",
        "make markup of what people wrote",
        "web/demo/messages.js",
        'make("p", { className: "bubble", textContent: String(content) })',
        'make("p", { className: "bubble", innerHTML: String(content) })',
        "test_chat.py::test_hostile_messages_and_names_are_text",
    ),
)
