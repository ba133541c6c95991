/** The parts without DOM, timers or network: cursors, inbox, outbox, verdict, waiting, pace, status, options. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { holdAfterCut, pollInterval, promotionDelay, retryAfter, retryDelay, slowDelay } from "../../rtserver/web/client/backoff.js";
import { decodeId, isSameLife, timestampOf } from "../../rtserver/web/client/cursor.js";
import { expectedDelay, featuresOf } from "../../rtserver/web/client/features.js";
import { Heartbeat } from "../../rtserver/web/client/heartbeat.js";
import { Inbox } from "../../rtserver/web/client/inbox.js";
import { readOptions } from "../../rtserver/web/client/options.js";
import { MAX_CHARACTERS, MAX_ENTRIES, add, merge, outcome, parse, remove } from "../../rtserver/web/client/outbox.js";
import { BURST, Pace } from "../../rtserver/web/client/pace.js";
import { reasonFor, tierInUse, wordFor } from "../../rtserver/web/client/status.js";
import { judge } from "../../rtserver/web/client/verdict.js";

// As rtserver.cursor writes them: encode_id(timestamp_us, epoch, sequence).
const id = (sequence, epoch = 0x2aaaaa, micros = 86) => {
  const tail = `${(epoch & 0xff).toString(16).padStart(2, "0")}${sequence.toString(16).padStart(10, "0")}`;
  return `01997a0e-1234-7${micros.toString(16).padStart(3, "0")}-${(0x8000 | (epoch >> 8)).toString(16)}-${tail}`;
};
const event = (sequence, more = {}) => ({ id: id(sequence), sequence, type: "message_added", data: {}, ...more });

test("an id holds its time to the microsecond, its epoch and its sequence", () => {
  assert.deepEqual(decodeId(id(2 ** 40 - 1, 2 ** 22 - 1, 999)), {
    milliseconds: 0x01997a0e1234, micros: 999, epoch: 2 ** 22 - 1, sequence: 2 ** 40 - 1,
  });
  assert.equal(timestampOf(id(1)), "2025-09-24T04:49:26.580086Z");
  assert.equal(decodeId(id(7).toUpperCase()).sequence, 7);
});

test("what is no id of the server is none", () => {
  for (const text of ["", "17", null, undefined, 5, {}, "01997a0e-1234-4056-8abc-ff0000000102", id(1, 1, 1000), `${id(1)} `]) {
    assert.equal(decodeId(text), null, String(text));
    assert.equal(timestampOf(text), null);
  }
  assert.equal(isSameLife(id(1), id(9)), true);
  assert.equal(isSameLife(id(1), id(9, 3)), false);
});

test("the inbox gives each event once and in sequence, whoever brings it", () => {
  const inbox = new Inbox(id(1));
  assert.deepEqual(inbox.take([event(4), event(2), event(3)]).map(({ sequence }) => sequence), [2, 3, 4]);
  assert.deepEqual(inbox.take([event(1), event(3), event(4), event(5)]).map(({ sequence }) => sequence), [5]);
  assert.equal(inbox.cursor, id(5));
});

test("the inbox lets passing states through, last and as often as they come", () => {
  const inbox = new Inbox(id(1));
  const typing = { id: null, type: "typing_indicator", data: {} };
  assert.deepEqual(inbox.take([typing, event(2), typing]).map(({ type }) => type), ["message_added", "typing_indicator", "typing_indicator"]);
});

test("the inbox knows events of another life are no news until it is reset", () => {
  const inbox = new Inbox(id(5));
  const restored = { ...event(6), id: id(6, 77) };
  assert.deepEqual(inbox.take([restored]), []);
  inbox.reset(id(5, 77));
  assert.equal(inbox.take([restored]).length, 1);
});

test("the inbox moves past what a filter left out, and never back", () => {
  const inbox = new Inbox(id(5));
  assert.equal(inbox.moveTo(id(9)), true);
  assert.equal(inbox.moveTo(id(7)), false);
  assert.equal(inbox.missingBefore(id(12)), 2);
  assert.equal(inbox.missingBefore(id(10)), 0);
  assert.equal(inbox.missingBefore(id(3)), 0);
});

const entry = (messageId, at = 0, content = "x") => ({ messageId, type: "message_added", data: { content }, at });

test("the outbox keeps what was said in the order in which it was said, over tabs", () => {
  const [one, two, three] = [entry("a", 1), entry("b", 2), entry("c", 3)];
  assert.deepEqual(merge([one, three], [two, three]), [one, two, three]);
  assert.deepEqual(remove([one, two], "a"), [two]);
});

test("the outbox refuses what has no room rather than lose what waits", () => {
  const full = Array.from({ length: MAX_ENTRIES - 1 }, (_, n) => entry(String(n)));
  assert.equal(add(full, entry("last")).length, MAX_ENTRIES);
  assert.equal(add(add(full, entry("last")), entry("more")), null);
  assert.equal(add([], entry("big", 0, "x".repeat(MAX_CHARACTERS))), null);
});

test("an outbox that somebody has tampered with is read as far as it is one", () => {
  for (const text of [null, "", "{", "7", "null", '{"a":1}']) assert.deepEqual(parse(text), []);
  assert.deepEqual(parse(JSON.stringify([entry("a"), null, { messageId: 5 }, { ...entry("b"), data: null }])), [entry("a")]);
});

test("what is wrong with a message itself stays wrong; everything else is tried again", () => {
  assert.equal(outcome("ok", 201), "sent");
  for (const status of [400, 409, 413, 415, 422]) assert.equal(outcome("broken", status), "refused");
  assert.equal(outcome("forbidden", 403), "refused");
  for (const verdict of ["failed", "page", "busy", "sign-in"]) assert.equal(outcome(verdict, 0), "later");
  assert.equal(outcome("broken", 500), "later");
  assert.equal(outcome("broken", 507), "later");
});

const JSON_TYPE = "application/json";
for (const [status, contentType, verdict] of [
  [0, null, "failed"], [407, "text/html", "failed"], [408, JSON_TYPE, "failed"],
  [200, JSON_TYPE, "ok"], [200, "application/json; charset=utf-8", "ok"], [204, null, "ok"], [304, null, "ok"],
  [200, "text/html", "page"], [200, null, "page"], [403, "text/html", "page"], [404, "text/html", "page"], [401, "text/html", "page"],
  [302, null, "page"], [307, JSON_TYPE, "page"], [401, "application/problem+json", "sign-in"],
  [401, null, "page"], [401, JSON_TYPE, "page"], [403, JSON_TYPE, "page"], [404, JSON_TYPE, "page"], [410, JSON_TYPE, "page"],
  [403, "application/problem+json", "forbidden"], [404, "application/problem+json", "gone"], [410, "application/problem+json", "gone"],
  [429, "text/html", "busy"], [503, "text/html", "busy"], [503, "application/problem+json", "busy"],
  [500, "application/problem+json", "broken"], [502, "text/html", "broken"], [504, "text/html", "broken"], [507, JSON_TYPE, "broken"],
  [400, "application/problem+json", "broken"], [413, "application/problem+json", "broken"],
]) {
  test(`${status} ${contentType} is ${verdict}`, () => assert.equal(judge({ status, contentType, type: "basic" }), verdict));
}

test("a redirect is a page of somebody on the way, and a stream is judged by its own type", () => {
  assert.equal(judge({ status: 0, type: "opaqueredirect", contentType: null }), "page");
  assert.equal(judge({ status: 200, type: "basic", contentType: "text/event-stream" }, "text/event-stream"), "ok");
  assert.equal(judge({ status: 200, type: "basic", contentType: "text/html" }, "text/event-stream"), "page");
});

test("retries double from 5 s, or 2 s on long polls, to a minute, spread over half to one and a half", () => {
  assert.deepEqual([0, 1, 2, 3, 4, 99].map((n) => retryDelay("sse", n, 0.5)), [5, 10, 20, 40, 60, 60]);
  assert.deepEqual([0, 1].map((n) => retryDelay("long-poll", n, 0.5)), [2, 4]);
  assert.equal(retryDelay("sse", 0, 0), 2.5);
  assert.equal(retryDelay("sse", 9, 0.99), 60);
});

test("Retry-After is a floor, spread upwards", () => {
  assert.equal(retryDelay("sse", 0, 0, 100), 100);
  assert.ok(Math.abs(retryDelay("sse", 0, 0.5, 100) - 110) < 1e-6);
  assert.equal(retryDelay("sse", 3, 0.5, 1), 40);
});

test("Retry-After is read as seconds or as a date, against the server's own clock", () => {
  const now = Date.parse("2026-03-01T00:00:00Z");
  assert.equal(retryAfter("30", null, now), 30);
  assert.equal(retryAfter("Sun, 01 Mar 2026 12:00:20 GMT", "Sun, 01 Mar 2026 12:00:00 GMT", now), 20);
  assert.equal(retryAfter("Sun, 01 Mar 2026 00:00:20 GMT", null, now), 20);
  for (const text of [null, "", "soon", "-5", "NaN"]) assert.equal(retryAfter(text, null, now), 0);
  assert.equal(retryAfter("86400", null, now), 600);
});

test("waiting slowly is half a minute to a minute; better tiers are tried after 1, 5, 15, 30 and every 60 minutes", () => {
  assert.deepEqual([slowDelay(0), slowDelay(0.999) < 60], [30, true]);
  assert.deepEqual([0, 1, 2, 3, 4, 50].map((n) => promotionDelay(n, 0.5) / 60), [1, 5, 15, 30, 60, 60]);
});

test("polls keep to 3 to 10 s, 5 where nobody says", () => {
  assert.deepEqual(["1", "3", "7", "10", "600", null, "x", ""].map(pollInterval), [3, 3, 7, 10, 10, 5, 5, 5]);
});

test("a network that closes what is silent is asked for heartbeats in time", () => {
  const heartbeat = new Heartbeat(undefined);
  for (const silent of [15, 22, 0.3, 0.4, 29, 15.2]) {
    heartbeat.wasCut(silent);
    assert.equal(heartbeat.seconds, undefined);
  }
  heartbeat.wasCut(15.1);
  assert.equal(heartbeat.seconds, 7);
  for (const silent of [6, 6.1, 20, 20]) heartbeat.wasCut(silent);
  assert.equal(heartbeat.seconds, 5);
});

test("a hold that was cut is shortened", () => assert.deepEqual([30, 10, 3].map(holdAfterCut), [21, 7, 5]));

test("the pace lets a burst through and then one request a second", () => {
  const pace = new Pace();
  const waits = Array.from({ length: BURST + 3 }, () => pace.take(0));
  assert.deepEqual(waits, [...Array(BURST).fill(0), 1, 2, 3]);
  assert.equal(pace.take(100), 0);
});

test("people hear whether it is the first time", () => {
  assert.equal(wordFor({ state: "verifying sse", verified: false }), "connecting");
  assert.equal(wordFor({ state: "verifying sse", verified: true }), "reconnecting");
  assert.equal(wordFor({ state: "closed", verified: true }), "stopped");
  assert.equal(tierInUse({ state: "verifying sse", tier: "sse" }), null);
  assert.equal(tierInUse({ state: "polling", tier: "short-poll" }), "short-poll");
});

test("a reason is kept until there is a better one, and gone when all is well", () => {
  assert.match(reasonFor("probe together", { state: "checking" }, null), /holds live updates back/);
  assert.match(reasonFor("ok", { state: "delayed" }, "because"), /because/);
  assert.equal(reasonFor("probe apart", { state: "live" }, "because"), null);
});

test("the matrix is read whole, whatever is missing", () => {
  assert.equal(featuresOf({ sse: { typingIndicators: true } }, "sse").typingIndicators, true);
  assert.equal(featuresOf({ sse: 5 }, "sse").typingIndicators, false);
  assert.equal(featuresOf(undefined, null).aiProgress, "status_only");
  assert.deepEqual(["sse", "long-poll", "short-poll", null].map((tier) => expectedDelay(tier, 7)), [0, 5, 7, null]);
});

test("an option that cannot be is named", () => {
  assert.throws(() => readOptions({ sessionId: "s", histroy: 50 }), /histroy is not an option/);
  assert.throws(() => readOptions({}), /sessionId/);
  for (const sessionId of ["", "..", "a b", "<img src=x onerror=alert(1)>", "../admin", "a/b"]) {
    assert.throws(() => readOptions({ sessionId }), /sessionId/, sessionId);
  }
  for (const [name, value] of Object.entries({
    baseUrl: "x?y", token: 5, history: 101, tiers: [], eventTypes: ["No"], heartbeat: 1, onEvent: "f", cursor: 5, loginUrl: 7,
  })) {
    assert.throws(() => readOptions({ sessionId: "s", [name]: value }), new RegExp(name));
  }
  assert.equal(readOptions({ sessionId: "a:b", baseUrl: "/rt/" }).api, "/rt/api/sessions/a%3Ab");
});
