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
