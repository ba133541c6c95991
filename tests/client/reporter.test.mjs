/** What a client says of its way to the server: when a tier was given up or proven, seldom, and to no one's harm. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { APART_SECONDS, Reporter } from "../../rtserver/web/client/reporter.js";
import { connect } from "../../rtserver/web/client/rtclient.js";
import { World, answer, contents, follow, storageArea } from "./world.mjs";

const start = async (change = () => {}, more = {}) => {
  const world = new World();
  change(world);
  const seen = follow(connect, world, { shareTabs: false }, world.environment(more));
  await world.clock.advance(0);
  return { world, seen, clock: world.clock };
};
const told = (world) => world.reports.map(({ body: { tier, previousTier, reason } }) => [tier, previousTier, reason]);

test("a tier that has proven itself is told a while later, with who and how far", async () => {
  const { world, clock } = await start();
  await clock.advance(2.1);
  assert.deepEqual(world.reports, []);
  await clock.advance(10);
  assert.deepEqual(told(world), [["sse", undefined, "verified"]]);
  const [{ method, path, body }] = world.reports;
  assert.equal(method, "POST");
  assert.ok(path.endsWith("/api/diagnostics/reports"));
  assert.equal(body.sessionId, "s");
  assert.match(body.clientId, /^[0-9a-f]{32}$/);
});

test("a tier that was given up is told with its cause, and the next one's proof is no other report", async () => {
  const { world, clock, seen } = await start((each) => (each.network.streams = "together"));
  await clock.advance(50);
  assert.equal(seen.client.status.tier, "long-poll");
  assert.deepEqual(told(world), [["long-poll", "sse", "probe-together"]]);
});

test("a stream that says nothing in time is told as that", async () => {
  const { world, clock } = await start((each) => (each.network.streams = "mute"));
  await clock.advance(30);
  assert.deepEqual(told(world), [["long-poll", "sse", "deadline"]]);
});

test("two tiers given up within a minute are told once or twice, from where it began to where it is", async () => {
  const { world, clock } = await start((each) => Object.assign(each.network, { streams: "refused", held: "page" }));
  await clock.advance(180);
  const reports = told(world);
  assert.ok(reports.length <= 2, String(reports));
  assert.equal(reports[0][1], "sse");
  assert.equal(reports.at(-1)[0], "short-poll");
  const [first, second] = world.reports;
  assert.ok(second === undefined || second.at - first.at >= APART_SECONDS * 1000);
});

test("coming back to the same tier is no news", async () => {
  const { world, clock } = await start();
  await clock.advance(20);
  for (let time = 0; time < 5; time++) {
    world.cut();
    await clock.advance(120);
  }
  assert.equal(world.reports.length, 1);
});

test("a page that is loaded again on the same tier says nothing", async () => {
  const sessionStorage = storageArea();
  const { world, clock, seen } = await start(undefined, { sessionStorage });
  await clock.advance(20);
  seen.client.close();
  follow(connect, world, { shareTabs: false }, world.environment({ sessionStorage }));
  await clock.advance(20);
  assert.equal(world.reports.length, 1);
});

test("a better tier that is found again is told as promoted", async () => {
  const { world, clock, seen } = await start((each) => (each.network.streams = "mute"));
  await clock.advance(30);
  world.network.streams = "pass";
  await clock.advance(200);
  assert.equal(seen.client.status.tier, "sse");
  assert.deepEqual(told(world).at(-1), ["sse", "long-poll", "promoted"]);
});

for (const [name, refuse] of Object.entries({
  "a network error": () => null,
  "a refusal": () => answer(429, { title: "no" }, { "retry-after": "60" }),
  "a sign-in": () => answer(401, { title: "no" }),
  "a page": () => ({ status: 200, type: "basic", headers: { "content-type": "text/html" }, body: "<h1>no</h1>" }),
})) {
  test(`a report that is answered by ${name} changes nothing and is not repeated`, async () => {
    const { world, clock, seen } = await start((each) => {
      each.network.plain = (request) => (request.path.endsWith("/diagnostics/reports") ? refuse() : undefined);
    });
    await clock.advance(300);
    assert.equal(world.reports.length, 1);
    assert.equal(seen.client.status.state, "live");
    world.server.say("hello");
    await clock.advance(0.1);
    assert.deepEqual(contents(seen), ["hello"]);
  });
}

test("a client that was closed says nothing more", async () => {
  const { world, clock, seen } = await start();
  await clock.advance(3);
  seen.client.close();
  await clock.advance(300);
  assert.deepEqual(world.reports, []);
});

test("what happens while no tier runs is not the tier's fault", async () => {
  const reports = [];
  const { clock } = new World();
  const requests = { roundTripMs: 0, report: (report) => reports.push(report) };
  const reporter = new Reporter({ requests, clock, storage: storageArea(), signal: new AbortController().signal });
  const machine = { tier: "sse", failures: 10, verified: false, state: "live" };
  reporter.saw(machine, "silent", { ...machine, state: "reconnecting" });
  reporter.saw({ ...machine, state: "reconnecting" }, "failed", machine);
  reporter.saw({ ...machine, state: "reconnecting" }, "ok", { ...machine, tier: "long-poll", failures: 0 });
  await clock.advance(20);
  assert.deepEqual(reports.map(({ tier, reason, attempts }) => [tier, reason, attempts]), [["long-poll", "silent", 10]]);
});

test("a tier that is given up soon after the last report is told when a minute has passed", async () => {
  const sent = [];
  const { clock } = new World();
  const began = clock.ms;
  const requests = { roundTripMs: 0, report: ({ tier }) => sent.push([tier, (clock.ms - began) / 1000]) };
  const reporter = new Reporter({ requests, clock, storage: storageArea(), signal: new AbortController().signal });
  const live = { tier: "sse", failures: 0, verified: true, state: "live" };
  reporter.saw({ ...live, verified: false }, "probe apart", live);
  await clock.advance(10);
  reporter.saw({ ...live, state: "checking" }, "ok", { ...live, tier: "long-poll", verified: false });
  await clock.advance(120);
  const [[, first], [, second]] = sent;
  assert.deepEqual(sent.map(([tier]) => tier), ["sse", "long-poll"]);
  assert.equal(second - first, APART_SECONDS);
});
