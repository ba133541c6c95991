/** Many tabs of one browser: one reads for all, each gets every event once, nobody hangs when it goes away. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { connect } from "../../rtserver/web/client/rtclient.js";
import { World, contents, follow } from "./world.mjs";

const open = async (world, count, options = {}, more = {}) => {
  const tabs = Array.from({ length: count }, () => follow(connect, world, options, world.environment(more)));
  await world.clock.advance(4);
  return tabs;
};

test("twenty tabs hold one connection, and each has its history and every event once", async () => {
  const world = new World();
  world.server.say("before");
  const tabs = await open(world, 20, { history: 10 });
  assert.equal(world.streams.length, 1);
  for (const content of ["a", "b", "c"]) world.server.say(content);
  await world.clock.advance(0.1);
  for (const tab of tabs) {
    assert.deepEqual(contents(tab), ["before", "a", "b", "c"]);
    assert.equal(tab.client.status.state, "live");
  }
});

test("when the tab that reads is closed another reads on, and nothing is missed", async () => {
  const world = new World();
  const tabs = await open(world, 3);
  world.server.say("a");
  await world.clock.advance(0.1);
  tabs[0].client.close();
  world.server.say("while nobody reads");
  await world.clock.advance(4);
  world.server.say("b");
  await world.clock.advance(0.1);
  assert.equal(world.streams.length, 1);
  for (const tab of tabs.slice(1)) {
    assert.deepEqual(contents(tab), ["a", "while nobody reads", "b"]);
    assert.equal(tab.client.status.state, "live");
  }
});

test("when the tab that reads sleeps the others help themselves, until it is back", async () => {
  const world = new World();
  const tabs = await open(world, 2);
  const channel = [...world.channels].find(({ name, onmessage }) => name.includes("/api/") && onmessage);
  const post = channel.postMessage;
  channel.postMessage = () => {}; // frozen: holds its lock and says nothing
  world.server.say("a");
  await world.clock.advance(60);
  assert.deepEqual(contents(tabs[1]), ["a"]);
  assert.equal(tabs[1].client.status.state, "polling");
  // What other listeners say is no sign of its life.
  const late = follow(connect, world);
  tabs[1].client.send({ content: "of a listener" });
  await world.clock.advance(20);
  assert.equal(tabs[1].client.status.state, "polling");
  late.client.close();
  channel.postMessage = post;
  await world.clock.advance(15);
  world.server.say("b");
  await world.clock.advance(15);
  assert.equal(tabs[1].client.status.state, "live");
  assert.deepEqual(contents(tabs[1]), ["a", "of a listener", "b"]);
});

test("a restart of the server is one tab's business", async () => {
  const world = new World();
  const tabs = await open(world, 20);
  world.network.plain = "gone";
  world.cut();
  const asked = world.requests.length;
  await world.clock.advance(30);
  assert.ok(world.requests.length - asked <= 6, String(world.requests.length - asked));
  for (const tab of tabs) assert.equal(tab.client.status.state, "reconnecting");
  world.network.plain = "pass";
  await world.clock.advance(65);
  for (const tab of tabs) assert.equal(tab.client.status.state, "live");
});

test("a gap is told to all", async () => {
  const world = new World();
  const tabs = await open(world, 2, { history: 5 });
  world.cut();
  world.server.epoch = 9;
  world.server.events = [];
  world.server.say("restored");
  await world.clock.advance(20);
  for (const tab of tabs) {
    assert.equal(tab.resets.length, 1);
    assert.deepEqual(contents(tab), ["restored"]);
  }
});

test("sessions of their own get two places in all, the others poll until one is free", async () => {
  const world = new World();
  const tabs = [];
  for (const sessionId of ["one", "two", "three"]) tabs.push(...(await open(world, 1, { sessionId })));
  assert.deepEqual(tabs.map(({ client }) => client.status.state), ["live", "live", "polling"]);
  tabs[0].client.close();
  await world.clock.advance(60);
  assert.equal(tabs[2].client.status.state, "live");
});

test("without a secure context two tabs hold connections and the others poll, until one is closed", async () => {
  const world = new World();
  const tabs = [];
  for (let count = 0; count < 5; count++) tabs.push(...(await open(world, 1, {}, { locks: undefined })));
  assert.deepEqual(tabs.map(({ client }) => client.status.state), ["live", "live", "polling", "polling", "polling"]);
  world.server.say("to all");
  await world.clock.advance(11);
  for (const tab of tabs) assert.deepEqual(contents(tab), ["to all"]);
  tabs[0].client.close();
  await world.clock.advance(60);
  assert.equal(tabs.slice(1).filter(({ client }) => client.status.state === "live").length, 2);
});

test("tabs that open at the same moment without a secure context share the two places, too", async () => {
  const world = new World();
  const tabs = await open(world, 6, {}, { locks: undefined });
  assert.equal(world.streams.length <= 2, true, String(world.streams.length));
  assert.ok(tabs.every(({ client }) => ["live", "polling"].includes(client.status.state)));
});

test("a tab without BroadcastChannel is alone and holds its connection", async () => {
  const world = new World();
  const [tab] = await open(world, 1, {}, { locks: undefined, BroadcastChannel: undefined });
  assert.equal(tab.client.status.state, "live");
});
