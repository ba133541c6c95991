/** How a client finds the best tier, keeps it, loses it and gets it back: the whole client, on a clock moved by hand. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { connect } from "../../rtserver/web/client/rtclient.js";
import { World, answer, contents, follow } from "./world.mjs";

const start = async (change = () => {}, options = {}) => {
  const world = new World();
  change(world);
  const seen = follow(connect, world, { shareTabs: false, ...options });
  await world.clock.advance(0);
  return { world, seen, clock: world.clock };
};
const live = async (options) => {
  const started = await start(undefined, options);
  await started.clock.advance(3);
  assert.equal(started.seen.client.status.state, "live");
  return started;
};
const polling = (world) => Object.assign(world.network, { streams: "refused", held: "page" });

test("the page has its history before any tier is decided", async () => {
  const { seen } = await start((world) => {
    world.server.say("one");
    world.network.streams = "mute";
  }, { history: 50 });
  assert.deepEqual(contents(seen), ["one"]);
  assert.equal(seen.client.status.state, "connecting");
});

test("a stream is live when connected and probe have come apart", async () => {
  const { clock, seen } = await start();
  await clock.advance(1.9);
  assert.equal(seen.client.status.state, "connecting");
  await clock.advance(0.2);
  assert.equal(seen.client.status.state, "live");
  assert.equal(seen.client.status.tier, "sse");
  assert.equal(seen.client.status.features.typingIndicators, true);
});

test("that a stream opens proves nothing", async () => {
  const { clock, seen } = await start((world) => (world.network.streams = "open-only"));
  await clock.advance(9.9);
  assert.equal(seen.client.status.state, "connecting");
  await clock.advance(0.2);
  assert.ok(seen.client.transitions.some(({ event }) => event === "deadline"));
  assert.equal(seen.client.status.tier, "long-poll");
});

test("what is said together was held back on the way", async () => {
  const { clock, world, seen } = await start((each) => (each.network.streams = "together"));
  await clock.advance(0.1);
  assert.equal(seen.client.status.tier, "long-poll");
  assert.equal(world.streams.length, 0);
});

test("a mute stream is closed after 10 s and long polling takes over", async () => {
  const { clock, world, seen } = await start((each) => (each.network.streams = "mute"));
  await clock.advance(10);
  assert.equal(world.streams.length, 0);
  assert.equal(seen.client.status.state, "delayed");
  world.server.say("hello");
  await clock.advance(0.1);
  assert.deepEqual(contents(seen), ["hello"]);
});

test("where nothing may be held short polling takes over after 10 and 15 s", async () => {
  const { clock, world, seen } = await start((each) => Object.assign(each.network, { streams: "mute", held: "mute" }));
  await clock.advance(24.9);
  assert.equal(seen.client.status.tier, "long-poll");
  await clock.advance(0.2);
  assert.equal(seen.client.status.state, "polling");
  world.server.say("hello");
  await clock.advance(5);
  assert.deepEqual(contents(seen), ["hello"]);
});

test("a tier is not given up before a plain request has succeeded", async () => {
  const { clock, world, seen } = await start((each) => (each.network.streams = "mute"));
  world.network.plain = "gone";
  await clock.advance(10.1);
  assert.equal(seen.client.status.state, "reconnecting");
  world.network = { streams: "pass", plain: "pass", held: "pass" };
  await clock.advance(10);
  assert.equal(seen.client.status.state, "live");
});

test("an outage costs no tier, however long it lasts", async () => {
  const { clock, world, seen } = await live();
  world.network.plain = "gone";
  world.cut();
  await clock.advance(3600);
  assert.equal(seen.client.status.state, "reconnecting");
  world.network.plain = "pass";
  await clock.advance(62);
  assert.equal(seen.client.status.state, "live");
});

test("retries wait 5 s at first, then longer, a minute at most", async () => {
  const { clock, world } = await live();
  await clock.advance(20);
  world.network.plain = "gone";
  world.cut();
  const before = world.requests.length;
  const began = clock.ms;
  await clock.advance(400);
  const waits = world.requests.slice(before).map(({ at }, index, all) => (at - (all[index - 1]?.at ?? began)) / 1000);
  assert.deepEqual(waits.slice(0, 6), [5, 10, 20, 40, 60, 60]);
});

test("a stream that breaks again and again, while plain requests work, is given up after ten times", async () => {
  const { clock, world, seen } = await live();
  world.cut();
  world.network.streams = "lost";
  await clock.advance(900);
  const lost = seen.client.transitions.filter(({ event }) => event === "stream lost").length;
  assert.equal(seen.client.status.tier, "long-poll");
  assert.equal(world.opened.length >= 10, true);
  assert.ok(lost >= 9, String(lost));
});

test("streams that are cut early again and again are given up, and probed less and less often", async () => {
  const { clock, world, seen } = await live();
  const openings = () => world.opened.length;
  for (let cut = 1; cut <= 3; cut++) {
    assert.equal(seen.client.status.state, "live", `before cut ${cut}`);
    world.cut();
    await clock.advance(10);
  }
  assert.equal(seen.client.status.tier, "long-poll");
  await clock.advance(75);
  assert.equal(seen.client.status.state, "live");
  world.cut();
  await clock.advance(2);
  assert.equal(seen.client.status.tier, "long-poll");
  const before = openings();
  await clock.advance(298);
  assert.equal(openings(), before);
  await clock.advance(15);
  assert.equal(seen.client.status.state, "live");
});

test("where what is silent for 15 s is closed, heartbeats are asked for in time", async () => {
  const { clock, world, seen } = await live();
  for (let cut = 1; cut <= 2; cut++) {
    await clock.advance(14);
    world.cut();
    await clock.advance(8);
    assert.equal(seen.client.status.state, "live");
  }
  assert.match(world.opened.at(-1), /heartbeat=7/);
  assert.doesNotMatch(world.opened.at(-2), /heartbeat/);
});

test("an outage is no strike against streams", async () => {
  const { clock, world, seen } = await live();
  for (let cut = 1; cut <= 5; cut++) {
    world.network.plain = "gone";
    world.cut();
    await clock.advance(1);
    world.network.plain = "pass";
    await clock.advance(10);
    assert.equal(seen.client.status.state, "live", `after cut ${cut}`);
  }
});

test("streams that fall silent again and again are given up", async () => {
  const { clock, world, seen } = await live();
  world.network.streams = "silent";
  await clock.advance(70);
  world.network.streams = "pass";
  await clock.advance(10);
  assert.equal(seen.client.status.state, "live");
  world.network.streams = "silent";
  await clock.advance(67);
  assert.equal(seen.client.status.tier, "long-poll");
});

test("Try now probes a better tier, one at a time", async () => {
  const { clock, world, seen } = await start((each) => (each.network.streams = "refused"));
  await clock.advance(12);
  assert.equal(seen.client.status.state, "delayed");
  world.network.streams = "mute";
  const before = world.opened.length;
  for (let press = 0; press < 4; press++) {
    seen.client.refresh();
    await clock.advance(2);
  }
  assert.equal(world.opened.length, before + 1);
  await clock.advance(10);
  world.network.streams = "pass";
  seen.client.refresh();
  await clock.advance(4);
  assert.equal(seen.client.status.state, "live");
});

test("Retry-After is a floor", async () => {
  const { clock, world, seen } = await start((each) => {
    each.network.plain = () => answer(503, { detail: "full" }, { "retry-after": "90" });
  });
  assert.equal(seen.client.status.state, "reconnecting");
  const asked = world.requests.length;
  await clock.advance(89);
  assert.equal(world.requests.length, asked);
  await clock.advance(20);
  assert.ok(world.requests.length > asked);
});

test("a stream that is refused is asked about: 429 counts against no tier", async () => {
  const { clock, world, seen } = await start((each) => {
    each.network.streams = "refused";
    each.network.why = answer(429, { detail: "slowly" }, { "retry-after": "30" });
  });
  assert.equal(seen.client.status.state, "reconnecting");
  world.network = { streams: "pass", plain: "pass", held: "pass" };
  await clock.advance(29);
  assert.equal(world.opened.length, 1);
  await clock.advance(12);
  assert.equal(seen.client.status.state, "live");
});

test("a closed session ends the client with its reason", async () => {
  const { seen } = await start((each) => {
    each.network.streams = "refused";
    each.network.why = answer(204, null);
  });
  assert.equal(seen.client.status.state, "stopped");
  assert.match(seen.client.status.reason, /closed/);
});

test("a block page is named, and looked past after a while", async () => {
  const { clock, world, seen } = await start((each) => (each.network.plain = "page"));
  assert.equal(seen.client.status.state, "blocked");
  world.network.plain = "pass";
  await clock.advance(63);
  assert.equal(seen.client.status.state, "live");
});

test("a server's problem is an outage, and 403 is the end", async () => {
  const { clock, world, seen } = await start((each) => (each.network.plain = () => answer(502, "bad gateway", { "content-type": "text/html" })));
  assert.equal(seen.client.status.state, "reconnecting");
  world.network.plain = () => answer(403, { detail: "not in it" });
  await clock.advance(10);
  assert.equal(seen.client.status.state, "stopped");
  assert.match(seen.client.status.reason, /participant/);
});

test("the tier that worked is remembered, and a better one is tried beside it", async () => {
  const world = new World();
  polling(world);
  world.network.held = "pass";
  const environment = world.environment();
  const first = follow(connect, world, { shareTabs: false }, environment);
  await world.clock.advance(12);
  assert.equal(first.client.status.tier, "long-poll");
  first.client.close();
  world.opened.length = 0;

  const second = follow(connect, world, { shareTabs: false }, environment);
  await world.clock.advance(12);

  assert.equal(second.client.status.tier, "long-poll");
  assert.deepEqual(world.opened, []);
  world.network.streams = "pass";
  await world.clock.advance(62);
  assert.equal(second.client.status.state, "live");
});

test("what is cut after two seconds, whenever there is nothing to say, is no long poll", async () => {
  const { clock, world, seen } = await start((each) => {
    each.network.streams = "refused";
    each.network.held = "cut unless there is news";
  });
  for (let step = 0; step < 20; step++) {
    world.server.say(`${step}`);
    await clock.advance(5);
  }
  assert.equal(seen.client.status.state, "polling");
  assert.equal(contents(seen).length, 20);
});

test("a proxy that waits no longer than 12 s is asked to hold less, and long polls go on", async () => {
  const { clock, world, seen } = await start((each) => {
    each.network.streams = "refused";
    each.network.held = "504 after 12 s";
  });
  await clock.advance(10);
  assert.equal(seen.client.status.state, "delayed");
  await clock.advance(45);
  assert.equal(seen.client.status.tier, "long-poll");
  const asked = world.requests.filter(({ path, parameters }) => path === "/updates" && Number(parameters.timeout) > 0);
  assert.deepEqual(asked.map(({ parameters }) => Number(parameters.timeout)).slice(0, 3), [10, 30, 8]);
});

test("a promotion loses nothing: what came by both is told once", async () => {
  const { clock, world, seen } = await start(polling);
  await clock.advance(12);
  assert.equal(seen.client.status.state, "polling");
  Object.assign(world.network, { streams: "pass", held: "pass" });
  for (let second = 0; second < 80; second++) {
    world.server.say(`${second}`);
    await clock.advance(1);
  }
  await clock.advance(5);
  assert.equal(seen.client.status.state, "live");
  assert.deepEqual(contents(seen), Array.from({ length: 80 }, (_, second) => `${second}`));
});

test("where streams stay blocked a held poll is promoted to", async () => {
  const { clock, world, seen } = await start(polling);
  await clock.advance(12);
  world.network.held = "pass";
  await clock.advance(90);
  assert.equal(seen.client.status.state, "delayed");
});

test("a promotion that fails leaves the running tier alone", async () => {
  const { clock, world, seen } = await start(polling);
  await clock.advance(12);
  world.network.streams = "mute";
  const states = seen.states.length;
  await clock.advance(400);
  assert.equal(seen.states.length, states);
  assert.equal(world.streams.length, 0);
  assert.ok(world.opened.length >= 3);
});

test("a watchdog looks after the heartbeat", async () => {
  const { clock, world, seen } = await live();
  world.network.streams = "silent";
  await clock.advance(70);
  assert.ok(seen.client.transitions.some(({ event }) => event === "silent"));
});

test("as of says when the server was last heard, and stays there when it is lost", async () => {
  const { clock, world, seen } = await live();
  await clock.advance(28);
  const asOf = seen.client.status.asOf;
  assert.equal(Date.parse(asOf), clock.ms - 1000);
  await clock.advance(10);
  world.network.plain = "gone";
  world.cut();
  await clock.advance(100);
  assert.equal(seen.client.status.asOf, asOf);
});

test("an announced end is no failure", async () => {
  const { clock, world, seen } = await live();
  world.streams[0].say("reconnect", { reason: "max_connection_time" });
  assert.equal(seen.client.status.state, "reconnecting");
  await clock.advance(1);
  assert.equal(seen.client.status.state, "live");
  world.streams[0].say("reconnect", { reason: "removed" });
  assert.equal(seen.client.status.state, "stopped");
});

test("waking up resynchronises once", async () => {
  const { clock, world, seen } = await live();
  const opened = world.opened.length;
  const asked = world.requests.length;
  clock.sleep(600);
  await clock.advance(6);
  assert.equal(world.opened.length, opened + 1);
  assert.ok(world.requests.length - asked <= 1);
  assert.equal(seen.client.status.state, "live");
});

test("a page that comes back from the cache resynchronises", async () => {
  const { clock, world, seen } = await live();
  world.server.onPublish = () => {};
  world.server.say("while away");
  seen.environment.window.dispatchEvent(Object.assign(new Event("pageshow"), { persisted: true }));
  await clock.advance(0.1);
  assert.deepEqual(contents(seen), ["while away"]);
});

test("no network is a hint: it is looked at, shown when it is true, and never stops anything", async () => {
  const { clock, world, seen } = await live();
  seen.environment.navigator.onLine = false;
  seen.environment.window.dispatchEvent(new Event("offline"));
  await clock.advance(0.1);
  assert.equal(seen.client.status.state, "live");
  world.network.plain = "gone";
  world.cut();
  await clock.advance(0.1);
  assert.equal(seen.client.status.state, "offline");
  world.network.plain = "pass";
  await clock.advance(62);
  assert.equal(seen.client.status.state, "live");
});

test("when the network is back nobody waits", async () => {
  const { clock, world, seen } = await live();
  world.network.plain = "gone";
  world.cut();
  await clock.advance(100);
  world.network.plain = "pass";
  seen.environment.window.dispatchEvent(new Event("online"));
  await clock.advance(0.1);
  assert.equal(seen.client.status.state, "live");
});

test("Try now asks once, however often it is pressed", async () => {
  const { clock, world, seen } = await live();
  world.network.plain = "gone";
  world.cut();
  await clock.advance(20);
  const asked = world.requests.length;
  for (let press = 0; press < 20; press++) seen.client.refresh();
  await clock.advance(0.1);
  assert.equal(world.requests.length, asked + 1);
});

test("a gap is said, and history begins anew before what is live", async () => {
  const { clock, world, seen } = await live({ history: 10 });
  world.server.say("old");
  world.cut();
  world.server.epoch = 7;
  world.server.events = [];
  world.server.say("restored");
  await clock.advance(20);
  world.server.say("new");
  await clock.advance(1);
  assert.equal(seen.resets.length, 1);
  assert.deepEqual(contents(seen), ["old", "restored", "new"]);
});

test("a type that nobody listens for is missed by its sequence, fetched, and listened for", async () => {
  const { clock, world, seen } = await live();
  world.server.publish("payment_blocked", { amount: 1 });
  world.server.say("after");
  await clock.advance(0.1);
  assert.deepEqual(seen.events.map(({ type }) => type), ["payment_blocked", "message_added"]);
  world.server.publish("payment_blocked", { amount: 2 });
  await clock.advance(0);
  assert.equal(seen.events.at(-1).data.amount, 2);
});

test("short polls are put back in sequence and ask with the tag of what they have", async () => {
  const { clock, world, seen } = await start(polling);
  await clock.advance(12);
  for (const content of ["a", "b", "c"]) world.server.say(content);
  await clock.advance(11);
  assert.deepEqual(contents(seen), ["a", "b", "c"]);
  const last = world.asked("/updates").at(-1);
  assert.match(last.headers["If-None-Match"], /^W\//);
  assert.match(last.parameters.since, /\.\d{6}Z$/);
});

test("however many events there are, a tab asks no more than once a second on average", async () => {
  const { clock, world, seen } = await start((each) => (each.network.streams = "refused"));
  await clock.advance(12);
  const asked = world.requests.length;
  for (let step = 0; step < 600; step++) {
    world.server.say(`${step}`);
    await clock.advance(0.1);
  }
  await clock.advance(10);
  assert.ok(world.requests.length - asked <= 70, String(world.requests.length - asked));
  assert.equal(contents(seen).length, 600);
});

test("a browser without EventSource begins with long polling", async () => {
  const world = new World();
  const seen = follow(connect, world, { shareTabs: false }, world.environment({ EventSource: undefined }));
  await world.clock.advance(11);
  assert.equal(seen.client.status.tier, "long-poll");
});

test("after close nothing is asked and nothing is said", async () => {
  const { clock, world, seen } = await live();
  seen.client.close();
  const asked = world.requests.length;
  world.server.say("too late");
  await clock.advance(1000);
  assert.equal(world.requests.length, asked);
  assert.equal(world.streams.length, 0);
  assert.deepEqual(contents(seen), []);
  assert.equal(seen.client.status.state, "stopped");
  assert.equal(clock.timers.size, 0);
});

test("a network that flaps costs a restart every few seconds, and the last word counts", async () => {
  const { clock, world, seen } = await live();
  const tell = (word) => seen.environment.window.dispatchEvent(new Event(word));
  const asked = world.requests.length + world.opened.length;
  for (let second = 0; second < 30; second++) {
    tell("offline");
    tell("online");
    await clock.advance(1);
  }
  const spent = world.requests.length + world.opened.length - asked;
  assert.ok(spent <= 25, String(spent));
  const opened = world.opened.length;
  await clock.advance(3);
  assert.ok(world.opened.length <= opened + 1);
  await clock.advance(3);
  assert.equal(seen.client.status.state, "live");
});

test("a network that comes back does not end the wait that the server asked for, a person does", async () => {
  const { clock, world, seen } = await start((each) => {
    each.network.plain = () => answer(503, { detail: "full" }, { "retry-after": "90" });
  });
  const asked = world.requests.length;
  for (const word of ["online", "offline", "online"]) {
    seen.environment.window.dispatchEvent(new Event(word));
    await clock.advance(10);
  }
  await clock.advance(55);
  assert.equal(world.requests.length, asked);
  seen.client.refresh();
  await clock.advance(0);
  assert.equal(world.requests.length, asked + 1);
});

test("a page that goes and comes back, however quickly, resynchronises each time", async () => {
  const { clock, world, seen } = await live();
  const { window } = seen.environment;
  world.server.onPublish = () => {};
  for (const content of ["a", "b", "c"]) {
    window.dispatchEvent(new Event("pagehide"));
    world.server.say(content);
    window.dispatchEvent(Object.assign(new Event("pageshow"), { persisted: true }));
    await clock.advance(0.5);
  }
  assert.deepEqual(contents(seen), ["a", "b", "c"]);
});
