/** The network check's judging: observations in, causes out. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { ask } from "../../rtserver/web/diagnostics/asking.js";
import { judge, tiersOf } from "../../rtserver/web/diagnostics/judge.js";
import { addressed } from "../../rtserver/web/diagnostics/words.js";

const ORDER = [
  "unreachable", "unavailable", "block-page", "signed-out", "buffering", "bursts", "compressed-without-flush",
  "blocked-event-streams", "time-cap", "idle-cut", "silent-connection", "stripped-headers", "cached-answers", "one-connection",
];
const NEEDED = { "cache-control": "no-store", "content-type": "application/json", "x-content-type-options": "nosniff" };

function ping(more = {}) {
  const body = { nonce: "n", httpVersion: "HTTP/1.1", clockSkewMs: 0, serverTime: "2026-03-02T09:41:07.000001Z", headers: { stripped: [] } };
  return { outcome: "ok", status: 200, seconds: 0.02, nonce: "n", headers: NEEDED, body, ...more };
}

/** A stream of 24 parts that come as late as `lateness` says of each time it was sent at. */
function stream(lateness = () => 0, more = {}) {
  const chunks = Array.from({ length: 24 }, (_, index) => ({ number: index + 1, serverMs: index * 1600, atMs: index * 1600 + 50 + lateness(index * 1600) }));
  const reads = chunks.map((each) => each.atMs);
  return { outcome: "ok", status: 200, type: "text/event-stream", encoding: "", chunks, reads, ending: "done", endedMs: 37_000, altered: false, ...more };
}

/** One that is cut after 12 s. */
function cutStream() {
  const { chunks, ...rest } = stream();
  return { ...rest, chunks: chunks.filter((each) => each.atMs < 12_000), ending: "cut", endedMs: 12_000 };
}

const hold = (more = {}) => ({ outcome: "ok", status: 200, seconds: 35, ...more });
const found = (seen) => judge({ pace: 1, pings: [ping()], stream: stream(), hold: hold(), ...seen }, ORDER);

test("what is punctual and whole has no cause", () => assert.deepEqual(found({}), []));

test("one stall of six seconds is no burst", () => {
  assert.deepEqual(found({ stream: stream((at) => Math.max(0, at > 9000 ? 15_000 - at : 0)) }), []);
});

test("parts that come together every five seconds are bursts", () => {
  assert.deepEqual(found({ stream: stream((at) => 5000 - (at % 5000)) }), ["bursts"]);
});

test("parts that come at the end were held back, by a compression if there is one", () => {
  const late = (at) => 37_000 - at;
  assert.deepEqual(found({ stream: stream(late, { reads: [37_000] }) }), ["buffering"]);
  assert.deepEqual(found({ stream: stream(late, { reads: [37_000], encoding: "gzip" }) }), ["compressed-without-flush"]);
});

test("a stream that was there sooner than it was sent comes from a cache", () => {
  assert.deepEqual(found({ stream: stream((at) => -at, { endedMs: 100 }) }), ["cached-answers"]);
});

test("what ends streams with data on them explains the end of a quiet answer of the same age", () => {
  const cut = cutStream();
  assert.deepEqual(found({ stream: cut, hold: hold({ outcome: "gateway", status: 504, seconds: 12 }) }), ["time-cap"]);
  assert.deepEqual(found({ hold: hold({ outcome: "error", seconds: 15 }) }), ["idle-cut"]);
});

test("a stream that ends because the server is gone is no cap", () => {
  const cut = cutStream();
  assert.deepEqual(found({ stream: cut, hold: hold({ outcome: "error", seconds: 12 }), afterCut: { outcome: "error" } }), ["unavailable"]);
});

test("what is refused as an event stream and passes as text is blocked by its type", () => {
  const refused = stream(() => 0, { outcome: "page", status: 403, chunks: [], ending: "refused" });
  assert.deepEqual(found({ stream: refused, control: stream() }), ["blocked-event-streams"]);
  assert.deepEqual(found({ stream: refused }), []);
});

test("a page that came once in a while is a web filter's and not the stream's", () => {
  const refused = stream(() => 0, { outcome: "page", status: 200, chunks: [], ending: "refused" });
  assert.deepEqual(found({ pings: [ping(), { outcome: "page", status: 200 }], stream: refused, control: stream() }), ["block-page"]);
});

test("who is answered with somebody else's nonce, or at the same moment as another, is given a copy", () => {
  assert.deepEqual(found({ pings: [ping({ nonce: "other" })] }), ["cached-answers"]);
  const at = (serverTime) => ({ outcome: "ok", status: 200, body: { serverTime } });
  assert.deepEqual(found({ pair: [at("2026-03-02T09:41:07.1Z"), at("2026-03-02T09:41:07.1Z")] }), ["cached-answers"]);
  assert.deepEqual(found({ pair: [at("2026-03-02T09:41:07.1Z"), at("2026-03-02T09:41:08.1Z")] }), ["one-connection"]);
});

test("nothing but a server that cannot be reached is told of one", () => {
  assert.deepEqual(judge({ pace: 1, pings: [{ outcome: "error" }, { outcome: "late" }] }, ORDER), ["unreachable"]);
});

test("a cap of few seconds leaves no stream to be used, one of twenty does", () => {
  const catalogue = { "time-cap": { fails: [], limits: ["sse", "long-poll"] } };
  const tiers = (endedMs) => tiersOf(["time-cap"], catalogue, { pings: [ping()], stream: { endedMs } });
  assert.equal(tiers(3000).sse.verdict, "fails");
  assert.equal(tiers(20_000).sse.verdict, "limited");
  assert.equal(tiers(20_000)["short-poll"].verdict, "works");
});

for (const [type, outcome] of [
  ["application/problem+json", "signed-out"], ["application/json", "proxy-sign-in"], ["text/html", "proxy-sign-in"],
]) {
  test(`a 401 in ${type} is ${outcome}`, async (context) => {
    globalThis.document = { baseURI: "http://bank.example/diagnostics" };
    const { fetch } = globalThis;
    context.after(() => Object.assign(globalThis, { document: undefined, fetch }));
    globalThis.fetch = async () => new Response("{}", { status: 401, headers: { "content-type": type } });
    const seen = await ask("api/diagnostics/network", { deadlineMs: 1000, signal: new AbortController().signal });
    assert.equal(seen.outcome, outcome);
  });
}

test("a request names the host and the port that a firewall sees", () => {
  const told = (address) => addressed("{service} {port} to {hostname}, {protocol}://{host}/ {else}", new URL(address));
  assert.equal(told("https://chat.example:8443/x"), "HTTPS 8443 to chat.example, https://chat.example:8443/ {else}");
  assert.equal(told("https://chat.example/"), "HTTPS 443 to chat.example, https://chat.example/ {else}");
  assert.equal(told("http://[2001:db8::1]/"), "HTTP 80 to 2001:db8::1, http://[2001:db8::1]/ {else}");
});
