/** The network check's judging: observations in, causes out. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { ask, listen } from "../../rtserver/web/diagnostics/asking.js";
import { judge, tiersOf } from "../../rtserver/web/diagnostics/judge.js";
import { Check } from "../../rtserver/web/diagnostics/run.js";
import { addressed, headlineOf, STEPS, stepOf } from "../../rtserver/web/diagnostics/words.js";

const ORDER = [
  "unreachable", "gateway-error", "unavailable", "block-page", "sign-in-page", "proxy-sign-in", "signed-out", "buffering", "bursts",
  "compressed-without-flush", "blocked-event-streams", "refused-chunks", "rewritten-content-type", "altered-content", "time-cap",
  "idle-cut", "refused-waiting", "silent-connection", "stripped-headers", "cached-answers", "one-connection", "slow", "rate-limited",
];
const ALL = ["sse", "long-poll", "short-poll"];
const CATALOGUE = Object.fromEntries(ORDER.map((code) => [code, { title: code, request: "", fails: [], limits: [] }]));
for (const code of ["unreachable", "gateway-error", "block-page", "sign-in-page", "signed-out"]) CATALOGUE[code].fails = ALL;
for (const code of ["unavailable", "slow", "rate-limited", "altered-content"]) CATALOGUE[code].limits = ALL;
CATALOGUE["refused-waiting"].fails = ["long-poll"];
CATALOGUE["idle-cut"].limits = ["sse", "long-poll"];
CATALOGUE.buffering.fails = ["sse"];
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

/** What a page shows of these observations at the end: [headline, summary]. */
function told(seen) {
  const causes = judge({ pace: 1, ...seen }, ORDER);
  const tiers = tiersOf(causes, CATALOGUE, seen);
  const steps = Object.keys(STEPS).map((name) => stepOf(name, isTried(name, seen) ? "done" : "skipped", causes, seen));
  return { headline: headlineOf({ causes, tiers, steps }, seen)[0], causes, tiers, steps: steps.map((each) => each.state) };
}
const isTried = (name, seen) => ({ reach: seen.pings, content: seen.repeats, pair: seen.pair, payload: seen.payload, stream: seen.stream, hold: seen.hold })[name];
/** Everything that a check sees where nothing is wrong. */
const sound = (more = {}) => ({
  pings: [ping()], repeats: [ping()], pair: [at("2026-03-02T09:41:07.1Z"), at("2026-03-02T09:41:07.2Z")], stream: stream(), holdSeconds: 35,
  hold: hold(), payload: { outcome: "ok", status: 200, seconds: 0.1, bytes: 256 << 10 }, ...more,
});
const at = (serverTime) => ({ outcome: "ok", status: 200, seconds: 1, body: { serverTime } });
const hold = (more = {}) => ({ outcome: "ok", status: 200, seconds: 35, ...more });
const found = (seen) => judge({ pace: 1, pings: [ping()], stream: stream(), hold: hold(), ...seen }, ORDER);

test("what is punctual and whole has no cause", () => assert.deepEqual(found({}), []));

test("one stall of six seconds is no burst", () => {
  assert.deepEqual(found({ stream: stream((at) => Math.max(0, at > 9000 ? 15_000 - at : 0)) }), []);
  // Of few parts it is a good share.
  const { chunks, ...rest } = stream(stalled(6000, 3100));
  const cut = { ...rest, chunks: chunks.filter((each) => each.serverMs < 11_500), ending: "cut", endedMs: 12_000 };
  assert.deepEqual(found({ stream: cut }), ["time-cap"]);
});

/** How late each part is where nothing comes for `milliseconds` from each of these times on. */
const stalled = (milliseconds, ...from) => (at) => Math.max(0, ...from.filter((each) => at > each).map((each) => each + milliseconds - at));

test("two stalls of five seconds are no bursts, three are, and so is one that lasts", () => {
  assert.deepEqual(found({ stream: stream(stalled(5000, 7900, 25_500)) }), []);
  assert.deepEqual(found({ stream: stream(stalled(5000, 7000, 17_000, 28_000)) }), ["bursts"]);
  assert.deepEqual(found({ stream: stream(stalled(16_000, 7000)) }), ["bursts"]);
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
  assert.deepEqual(found({ pair: [at("2026-03-02T09:41:07.1Z"), at("2026-03-02T09:41:07.1Z")] }), ["cached-answers"]);
  assert.deepEqual(found({ pair: [at("2026-03-02T09:41:07.1Z"), at("2026-03-02T09:41:08.1Z")] }), ["one-connection"]);
});

test("nothing but a server that cannot be reached is told of one", () => {
  assert.deepEqual(judge({ pace: 1, pings: [{ outcome: "error" }, { outcome: "late" }] }, ORDER), ["unreachable"]);
});

test("a cap of few seconds leaves no stream to be used, one of twenty does", () => {
  const catalogue = { "time-cap": { fails: [], limits: ["sse", "long-poll"] } };
  const tiers = (endedMs) => tiersOf(["time-cap"], catalogue, { pings: [ping()], stream: { endedMs, chunks: [{}] } });
  assert.equal(tiers(3000).sse.verdict, "fails");
  assert.equal(tiers(20_000).sse.verdict, "limited");
  assert.equal(tiers(20_000)["short-poll"].verdict, "works");
});

/** Let `answer` stand for the network in this test. */
function behind(context, answer) {
  const { fetch } = globalThis;
  globalThis.document = { baseURI: "http://bank.example/diagnostics", cookie: "" };
  globalThis.fetch = async (address, options) => answer(address, options);
  context.after(() => Object.assign(globalThis, { document: undefined, fetch }));
}
const answered = (body, status, type) => new Response(body, { status, headers: type ? { "content-type": type } : {} });
const signal = new AbortController().signal;
const PROBLEM = "application/problem+json";
const problem = (slug) => JSON.stringify({ type: `/problems/${slug}`, title: "Sorry" });

for (const [what, status, type, body, outcome] of [
  ["a 401 of the server", 401, PROBLEM, "{}", "signed-out"],
  ["a 401 in JSON of somebody else", 401, "application/json", "{}", "proxy-sign-in"],
  ["a 401 in HTML", 401, "text/html", "<p>", "proxy-sign-in"],
  ["a page with an error", 500, "text/html", "<p>", "page"],
  ["a refusal in JSON of somebody else", 403, "application/json", '{"message": "Forbidden"}', "page"],
  ["an error in JSON of somebody else", 500, "application/json", "{}", "page"],
  ["an error of a content delivery network, whose server is down", 521, "text/html", "<p>", "gateway"],
  ["a captive portal", 511, "text/html", "<p>", "redirect"],
  ["the server's own refusal", 403, PROBLEM, problem("forbidden"), "refused"],
  ["the server's own error", 500, PROBLEM, problem("internal-error"), "unavailable"],
  ["a problem of somebody else", 500, PROBLEM, '{"type": "about:blank"}', "page"],
  ["a limit of somebody else", 429, "text/html", "<p>", "too-many"],
  ["too many checks of one person", 429, PROBLEM, problem("too-many-probes"), "busy"],
  ["too many checks at once", 503, PROBLEM, problem("overloaded"), "busy"],
  ["a server that restarts", 503, PROBLEM, problem("draining"), "unavailable"],
  ["other JSON", 200, "application/json", '{"error": "blocked"}', "altered"],
  ["JSON that is nothing", 200, "application/json", "null", "altered"],
  ["plain text", 200, "text/plain", "blocked", "altered"],
]) {
  test(`${what} is ${outcome}`, async (context) => {
    behind(context, () => answered(body, status, type));
    const fits = (content) => typeof content?.nonce === "string";
    const seen = await ask("api/diagnostics/network", { deadlineMs: 1000, signal, fits });
    assert.equal(seen.outcome, outcome);
    // A stream of such is none.
    const heard = await listen("api/diagnostics/stream", { type: "text/event-stream", deadlineMs: 1000, silentMs: 500, signal });
    assert.equal(heard.outcome, outcome === "altered" ? "page" : outcome);
  });
}

/** Run a whole check, as fast as it goes. */
async function checked(onProgress = () => {}, pace = 1) {
  const check = new Check({ pace, signal, order: ORDER, onProgress });
  await check.run();
  return check;
}

for (const [status, type, body] of [
  [200, "application/json", '{"error": "blocked"}'], [200, "application/json", "null"], [200, "text/plain", "blocked"], [200, "", "blocked"],
  [500, "text/html", "<p>"], [403, "application/json", "{}"],
]) {
  test(`a network that answers everything with ${status} ${body} in ${type || "no type"} lets nothing through`, async (context) => {
    behind(context, () => answered(new TextEncoder().encode(body), status, type));
    const { headline, causes, tiers, steps } = told((await checked()).seen);
    assert.deepEqual(causes, ["block-page"]);
    assert.deepEqual(Object.values(tiers).map((each) => each.verdict), ["fails", "fails", "fails"]);
    assert.equal(headline, "It does not work from here");
    assert.equal(steps[0], "bad");
  });
}

test("a check ends, whatever is thrown", async (context) => {
  behind(context, () => answered("{}", 200, "application/json"));
  const check = await checked(() => {
    throw new TypeError("a page that fails");
  });
  assert.equal(check.seen.pings.length, 3);
  assert.ok(Object.values(check.steps).every((each) => ["done", "skipped"].includes(each)));
  check._reach = () => Promise.reject(new TypeError("a step that fails"));
  assert.equal(await check.run(), check.seen);
  assert.equal(check.steps.reach, "skipped");
});

for (const [outcome, cause] of [["unavailable", "unavailable"], ["too-many", "rate-limited"]]) {
  test(`a server that only ever answers ${outcome} does not work now`, () => {
    const { headline, causes, tiers, steps } = told({ pings: [1, 2, 3].map(() => ({ outcome, status: 503, seconds: 0.1 })) });
    assert.deepEqual(causes, [cause]);
    assert.equal(headline, "It does not work now");
    assert.deepEqual(Object.values(tiers), ALL.map(() => ({ verdict: "unknown", causes: [cause] })));
    assert.equal(steps[0], "bad");
  });
}

test("a server that goes during the check does not work now", () => {
  const { headline, causes } = told({ pings: [ping(), { outcome: "error", seconds: 0.1 }, { outcome: "error", seconds: 0.1 }] });
  assert.deepEqual([headline, causes], ["It does not work now", ["unavailable"]]);
});

test("a server that refuses everything was not checked", () => {
  const { headline, causes, steps } = told({ pings: [1, 2, 3].map(() => ({ outcome: "refused", status: 403, seconds: 0.1 })) });
  assert.deepEqual([headline, causes, steps[0]], ["It could not be checked", [], "bad"]);
});

test("a gateway that answers everything for a server that does not is told from a network that is down", () => {
  const gateway = { outcome: "gateway", status: 502, seconds: 0.1 };
  assert.deepEqual(told({ pings: [gateway, gateway, gateway] }).causes, ["gateway-error"]);
  assert.deepEqual(told({ pings: [{ outcome: "error" }, gateway] }).causes, ["gateway-error"]);
  assert.deepEqual(told({ pings: [gateway, gateway, ping()] }).causes, ["unavailable"]);
});

test("one error page among answers is an outage and no block", () => {
  assert.deepEqual(found({ pings: [ping(), { outcome: "page", status: 500 }, ping()] }), ["unavailable"]);
  assert.deepEqual(found({ pings: [ping(), { outcome: "page", status: 403 }, ping()] }), ["block-page"]);
});

test("everything works where nothing is wrong", () => {
  const { headline, tiers, steps } = told(sound());
  assert.equal(headline, "Everything works");
  assert.deepEqual(Object.values(tiers).map((each) => each.verdict), ["works", "works", "works"]);
  assert.deepEqual(steps, Array(6).fill("good"));
});

for (const [what, more, causes, headline] of [
  ["a quiet answer that is refused", { hold: hold({ outcome: "page", status: 403, seconds: 0.1 }) }, ["refused-waiting"], "It works, with limits"],
  ["a quiet answer that fails at once", { hold: hold({ outcome: "page", status: 500, seconds: 0.1 }) }, ["refused-waiting"], "It works, with limits"],
  ["a quiet answer of somebody else", { hold: hold({ outcome: "altered", seconds: 0.1 }) }, ["refused-waiting"], "It works, with limits"],
  ["a quiet answer that a page ends after a while", { hold: hold({ outcome: "page", status: 500, seconds: 20 }) }, ["idle-cut"], "It works, with limits"],
  ["a payload that is late", { payload: { outcome: "late", status: 0, seconds: 20 } }, ["slow"], "It works, with limits"],
  ["a payload that fails", { payload: { outcome: "error", status: 0, seconds: 2 } }, [], "Not all of it worked"],
  ["two at once that both fail", { pair: [1, 2].map(() => ({ outcome: "error", status: 0, seconds: 1 })) }, [], "Not all of it worked"],
  ["a stream that fails as plain text as well", { stream: stream(() => 0, { outcome: "late", chunks: [], ending: "silent" }), control: { outcome: "error", chunks: [], ending: "cut" } }, ["buffering"], null],
  ["a stream nobody could try", { stream: stream(() => 0, { outcome: "busy", status: 503, chunks: [], ending: "refused" }) }, [], "Only part could be checked"],
  ["a payload nobody could try", { payload: { outcome: "busy", status: 429, seconds: 0.1 } }, [], "Only part could be checked"],
  ["a quiet answer nobody could try", { hold: hold({ outcome: "busy", status: 429, seconds: 0.1 }) }, [], "Only part could be checked"],
]) {
  test(`${what} is not all that works`, () => {
    const seen = told(sound(more));
    assert.deepEqual(seen.causes, causes);
    assert.notEqual(seen.headline, "Everything works");
    if (headline) assert.equal(seen.headline, headline);
    const isBusy = Object.values(more)[0].outcome === "busy";
    assert.deepEqual(seen.steps.filter((each) => each !== "good"), [isBusy ? "skipped" : "bad"]);
  });
}

test("long polling does not work where its answers are somebody else's", () => {
  const { tiers } = told(sound({ hold: hold({ outcome: "page", status: 501, seconds: 0.1 }) }));
  assert.deepEqual(ALL.map((tier) => tiers[tier].verdict), ["works", "fails", "works"]);
});

test("a stream that nothing came of is no cap unless it took its time", () => {
  const empty = { chunks: [], reads: [], ending: "cut" };
  assert.deepEqual(found({ stream: stream(() => 0, { ...empty, endedMs: 40 }) }), []);
  assert.deepEqual(found({ stream: stream(() => 0, { ...empty, endedMs: 20_000 }) }), ["buffering"]);
  // The limit itself is seen by the quiet answer.
  const quiet = hold({ outcome: "gateway", status: 504, seconds: 20 });
  assert.deepEqual(found({ stream: stream(() => 0, { ...empty, endedMs: 20_000 }), hold: quiet }), ["buffering", "idle-cut"]);
});

test("what fails as an event stream and passes as text is blocked by its type only if it failed sooner than the text took", () => {
  const parts = stream().chunks.slice(0, 4);
  const control = (more = {}) => ({ outcome: "ok", chunks: parts, reads: parts.map((each) => each.atMs), ending: "done", endedMs: 5000, ...more });
  const failed = (outcome, endedMs) => ({ outcome, status: 504, type: "", chunks: [], reads: [], ending: "cut", endedMs });
  const together = control({ chunks: parts.map((each) => ({ ...each, atMs: 4900 })) });
  assert.deepEqual(found({ stream: failed("gateway", 3000), control: control() }), ["blocked-event-streams"]);
  assert.deepEqual(found({ stream: failed("late", 48_000), control: control() }), ["buffering"]);
  assert.deepEqual(found({ stream: failed("gateway", 20_000), control: control() }), ["buffering"]);
  assert.deepEqual(found({ stream: failed("error", 3000), control: together }), ["buffering"]);
  assert.deepEqual(found({ stream: { ...failed("page", 20_000), status: 403 }, control: together }), ["blocked-event-streams"]);
  // As plain text neither.
  assert.deepEqual(found({ stream: failed("error", 100), control: failed("error", 100) }), ["refused-chunks"]);
  assert.deepEqual(found({ stream: failed("error", 20_000), control: failed("error", 5000) }), ["buffering"]);
  assert.deepEqual(found({ stream: failed("error", 3000), control: control({ ending: "cut" }) }), ["time-cap"]);
});

test("two that were answered in turn once were so because the second connection was slow to open", async (context) => {
  const seen = { pair: [at("2026-03-02T09:41:07.1Z"), at("2026-03-02T09:41:07.2Z")] };
  const inTurn = [at("2026-03-02T09:41:07.1Z"), at("2026-03-02T09:41:08.1Z")];
  assert.deepEqual(found({ ...seen, coldPair: inTurn }), []);
  assert.deepEqual(found({ pair: inTurn, coldPair: inTurn }), ["one-connection"]);
  // The pair is sent again if the first one says so, and not otherwise.
  const times = ["2026-03-02T09:41:07.1Z", "2026-03-02T09:41:08.1Z", "2026-03-02T09:41:09.1Z", "2026-03-02T09:41:09.1001Z", "2026-03-02T09:41:10.1Z", "2026-03-02T09:41:10.2Z"];
  let count = 0;
  behind(context, () => answered(JSON.stringify({ heldSeconds: 1, serverTime: times[count++] }), 200, "application/json"));
  const check = new Check({ pace: 1, signal, order: ORDER, onProgress() {} });
  await check._pair();
  assert.equal(count, 4);
  assert.deepEqual(judge(check.seen, ORDER), []);
  await check._pair();
  assert.equal(count, 6);
});

test("bursts are not silence as well", () => {
  const silent = stream((time) => 5000 - (time % 5000), { ending: "silent" });
  assert.deepEqual(found({ stream: silent }), ["bursts"]);
  assert.deepEqual(found({ stream: stream(() => 0, { ending: "silent" }) }), ["silent-connection"]);
});

test("a pause that has been before is no silence", async (context) => {
  const parts = (from) => [0, 1].map((each) => `event: chunk\ndata: {"number": ${from + each}, "serverTime": "2026-03-02T09:41:07Z"}\n\n`).join("");
  const pauses = [150, 150, 150];
  behind(context, (_, options) => new Response(new ReadableStream({
    async start(controller) {
      options.signal.addEventListener("abort", () => controller.error(new Error("left")));
      for (const [index, milliseconds] of pauses.entries()) {
        await new Promise((resolve) => { setTimeout(resolve, milliseconds); });
        controller.enqueue(new TextEncoder().encode(parts(index * 2)));
      }
      controller.close();
    },
  }), { headers: { "content-type": "text/event-stream" } }));
  const hear = (silentMs) => listen("api/diagnostics/stream", { type: "text/event-stream", deadlineMs: 3000, silentMs, signal });
  assert.equal((await hear(50)).ending, "ended");
  pauses[2] = 700;
  assert.equal((await hear(50)).ending, "silent");
});

test("a request names the host and the port that a firewall sees", () => {
  const told = (address) => addressed("{service} {port} to {hostname}, {protocol}://{host}/ {else}", new URL(address));
  assert.equal(told("https://chat.example:8443/x"), "HTTPS 8443 to chat.example, https://chat.example:8443/ {else}");
  assert.equal(told("https://chat.example/"), "HTTPS 443 to chat.example, https://chat.example/ {else}");
  assert.equal(told("http://[2001:db8::1]/"), "HTTP 80 to 2001:db8::1, http://[2001:db8::1]/ {else}");
});

/** What the server answers to a request that is not to last. */
function served({ pathname, searchParams }) {
  const serverTime = new Date().toISOString().replace("Z", `${String(served.count++).padStart(3, "0")}Z`);
  if (pathname.endsWith("/payload")) return answered("x".repeat(256 << 10), 200, "application/octet-stream");
  const body = { ...ping().body, nonce: searchParams.get("nonce"), serverTime };
  return new Response(JSON.stringify(body), { headers: NEEDED });
}
served.count = 0;
const never = (_, { signal: given }) => new Promise((_, reject) => {
  given.addEventListener("abort", () => reject(new Error("left")));
});
const OUTAGES = {
  gateway: () => answered("<p>", 502, "text/html"),
  error: () => Promise.reject(new TypeError("refused")),
  late: never,
};
/** How an outage is told. */
const NOT_NOW = [["unavailable"], "It does not work now", ["unknown", "unknown", "unknown"]];
const inShort = ({ causes, headline, tiers }) => [causes, headline, ALL.map((tier) => tiers[tier].verdict)];

for (const [outcome, down] of Object.entries(OUTAGES)) {
  for (const from of ["/stream", "/payload"]) {
    test(`an outage that begins at ${from} and is all ${outcome} is no network's fault`, async (context) => {
      let isDown = false;
      behind(context, (address, options) => {
        isDown ||= address.pathname.endsWith(from);
        return isDown ? down(address, options) : served(address);
      });
      const { seen } = await checked(() => {}, 200);
      assert.equal(seen.stream.outcome, outcome);
      assert.deepEqual(inShort(told(seen)), NOT_NOW);
    });
  }
}

test("a server that is there after a stream has failed leaves the network to blame", async (context) => {
  behind(context, (address) => (address.pathname.endsWith("/stream") ? OUTAGES.error() : served(address)));
  const { seen } = await checked(() => {}, 200);
  assert.equal(seen.afterCut.outcome, "ok");
  assert.deepEqual(judge(seen, ORDER), ["refused-chunks"]);
});

test("where the quiet answer alone is lost the server is asked as well", async (context) => {
  let isDown = false;
  const end = 'event: end\ndata: {"reason": "done"}\n\n';
  behind(context, (address) => {
    if (address.pathname.endsWith("/stream")) return answered(end, 200, "text/event-stream");
    isDown ||= address.pathname.endsWith("/hold") && address.searchParams.get("seconds") !== "1";
    return isDown ? OUTAGES.gateway() : served(address);
  });
  const { seen } = await checked(() => {}, 200);
  assert.deepEqual(inShort(told(seen)), NOT_NOW);
});

test("a server that went in the middle of a stream and is not back does not work now", () => {
  const gone = { outcome: "error", status: 0, seconds: 0.1 };
  assert.deepEqual(inShort(told(sound({ stream: cutStream(), hold: hold({ outcome: "error", seconds: 12 }), afterCut: gone }))), NOT_NOW);
});

test("plain text that could not be tried says nothing of chunks", () => {
  const failed = stream(() => 0, { outcome: "error", chunks: [], ending: "cut", endedMs: 100 });
  for (const outcome of ["busy", "too-many", "unavailable", "signed-out", "redirect"]) {
    const control = { outcome, chunks: [], ending: "refused", endedMs: 100 };
    assert.ok(!found({ stream: failed, control }).includes("refused-chunks"), outcome);
  }
  assert.deepEqual(found({ stream: failed, control: { outcome: "error", chunks: [], ending: "cut", endedMs: 100 } }), ["refused-chunks"]);
});

test("a gateway that waited in vain for a quiet answer is not the server, whatever it says", async (context) => {
  const unavailable = (seconds, isOwn) => told(sound({ hold: hold({ outcome: "unavailable", status: 503, seconds, isOwn }) }));
  const { causes, headline, tiers } = unavailable(30, false);
  assert.deepEqual([causes, headline, tiers["short-poll"].verdict], [["idle-cut"], "It works, with limits", "works"]);
  assert.deepEqual(unavailable(30, true).causes, ["unavailable"]);
  assert.deepEqual(unavailable(0.1, false).causes, ["unavailable"]);
  for (const [type, body, isOwn] of [["text/html", "<p>", false], [PROBLEM, '{"type": "about:blank"}', false], [PROBLEM, problem("draining"), true]]) {
    behind(context, () => answered(body, 503, type));
    const seen = await ask("api/diagnostics/hold", { deadlineMs: 1000, signal });
    assert.deepEqual([seen.outcome, seen.isOwn], ["unavailable", isOwn]);
  }
});

test("a quiet answer that fails at once is no quiet connection that was cut", () => {
  for (const outcome of ["error", "gateway"]) {
    const { causes, headline } = told(sound({ hold: hold({ outcome, status: 502, seconds: 0.1 }) }));
    assert.deepEqual([causes, headline], [[], "Not all of it worked"]);
    assert.deepEqual(found({ hold: hold({ outcome, status: 502, seconds: 6 }) }), ["idle-cut"]);
  }
});

test("a sign-in that one request is led to among good ones is in the way of its tier alone", () => {
  const redirect = { outcome: "redirect", status: 0, seconds: 0.1 };
  const verdicts = (more) => inShort(told(sound(more)));
  const led = stream(() => 0, { outcome: "redirect", chunks: [], ending: "refused" });
  assert.deepEqual(verdicts({ hold: redirect }), [["sign-in-page"], "It works, with limits", ["works", "fails", "works"]]);
  assert.deepEqual(verdicts({ stream: led }), [["sign-in-page"], "It works, but not at its best", ["fails", "works", "works"]]);
  assert.deepEqual(verdicts({ payload: redirect }), [["sign-in-page"], "It works, with limits", ["works", "works", "fails"]]);
  assert.deepEqual(verdicts({ pings: [ping(), redirect, ping()] })[2], ["works", "works", "fails"]);
  // All of them from then on.
  assert.deepEqual(verdicts({ pings: [ping(), redirect] })[2], ["fails", "fails", "fails"]);
});
