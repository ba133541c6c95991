/** What tabs of one browser owe each other when one is closed, sleeps, leads anew or falls behind. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { connect } from "../../rtserver/web/client/rtclient.js";
import { World, contents, follow } from "./world.mjs";

const open = async (world, options = {}, environment = world.environment()) => {
  const tab = follow(connect, world, options, environment);
  await world.clock.advance(4);
  return tab;
};
/** Freeze the tab that leads: it holds its lock and says nothing.  Returns what wakes it up. */
const freeze = (world) => {
  const channel = [...world.channels].find(({ name }) => name.includes("/api/"));
  const post = channel.postMessage;
  channel.postMessage = () => {};
  return () => (channel.postMessage = post);
};

test("a tab that was closed before it knew its part asks nothing, ever", async () => {
  const world = new World();
  await open(world);
  const closed = follow(connect, world);
  closed.client.close();
  freeze(world);
  const asked = world.requests.length;
  world.server.say("to the living");
  await world.clock.advance(300);
  assert.equal(world.requests.length, asked);
  assert.deepEqual(contents(closed), []);
  assert.equal(closed.client.status.state, "stopped");
});

test("a tab that listens fetches what came after the cursor it was given, also when that fails at first", async () => {
  const world = new World();
  for (const content of ["a", "b", "c"]) world.server.say(content);
  const cursor = world.server.events[0].id;
  await open(world);
  world.network.plain = ({ path }) => (path === "/updates" ? null : undefined);
  const tab = await open(world, { cursor });
  assert.deepEqual(contents(tab), []);
  world.network.plain = "pass";
  await world.clock.advance(15);
  assert.deepEqual(contents(tab), ["b", "c"]);
  assert.equal(tab.client.status.state, "live");
});

test("a tab that missed something has it soon, although nothing more is said", async () => {
  const world = new World();
  await open(world);
  const tab = await open(world);
  const asleep = [...world.channels].filter(({ name }) => name.includes("/api/"))[1];
  const hear = asleep.onmessage;
  asleep.onmessage = () => {};
  world.server.say("missed");
  await world.clock.advance(1);
  asleep.onmessage = hear;
  world.network.plain = "gone";
  tab.environment.window.dispatchEvent(Object.assign(new Event("pageshow"), { persisted: true }));
  await world.clock.advance(1);
  world.network.plain = "pass";
  await world.clock.advance(10);
  assert.deepEqual(contents(tab), ["missed"]);
  const asked = world.requests.length;
  await world.clock.advance(25);
  assert.equal(world.requests.length, asked);
});

test("what a filter leaves out costs the tabs that listen no requests, and keeps their place", async () => {
  const world = new World();
  const lead = await open(world, { eventTypes: ["message_added"] });
  const tab = await open(world, { eventTypes: ["message_added"] });
  world.server.onPublish = () => {};
  world.server.publish("participant_joined", {});
  for (const stream of world.streams) stream.say("heartbeat", { timestamp: new Date(world.clock.ms).toISOString() }, world.server.last);
  const asked = world.requests.length;
  await world.clock.advance(11);
  assert.equal(world.requests.length, asked);
  world.network.plain = "page"; // so that the place can be seen in what is asked
  lead.client.close();
  await world.clock.advance(1);
  assert.equal(world.asked("/updates").at(-1).parameters.lastEventId, world.server.last);
  tab.client.close();
});

test("a tab that helped itself and then leads polls no more beside its stream", async () => {
  const world = new World();
  const lead = await open(world);
  const tab = await open(world);
  freeze(world);
  await world.clock.advance(60);
  assert.equal(tab.client.status.state, "polling");
  const polls = () => world.asked("/updates").filter(({ parameters }) => parameters.since).length;
  const asked = polls();
  lead.client.close();
  await world.clock.advance(10);
  assert.equal(tab.client.status.state, "live");
  assert.equal(polls(), asked);
});

test("polling for want of a place, or of a leader, is not remembered as what works", async () => {
  const world = new World();
  for (const sessionId of ["one", "two"]) await open(world, { sessionId });
  const environment = world.environment();
  const third = await open(world, { sessionId: "three" }, environment);
  await world.clock.advance(5);
  assert.equal(third.client.status.state, "polling");
  third.client.close();
  assert.equal(environment.sessionStorage.get("tier"), null);
});

test("a tab that is closed while it asks for a place keeps none", async () => {
  const world = new World();
  const tabs = [];
  for (const sessionId of ["one", "two", "three"]) tabs.push(await open(world, { sessionId }));
  const places = () => [...world.locks.held].filter((name) => name.includes("place"));
  const request = world.locks.request;
  world.locks.request = function (name, ...rest) {
    if (name.includes("place")) tabs[2].client.close(); // before it is answered
    return request.call(this, name, ...rest);
  };
  tabs[0].client.close();
  const asked = world.requests.length;
  await world.clock.advance(60);
  assert.equal(tabs[2].client.status.state, "stopped");
  assert.deepEqual(places(), ["rtclient place 2"]);
  assert.ok(world.requests.length - asked <= 10);
});
