/** Who somebody is: tokens and their renewal, tickets, the cookie, signing in without going round in circles. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { connect } from "../../rtserver/web/client/rtclient.js";
import { World, answer, contents, follow } from "./world.mjs";

const jwt = (clock, seconds, number) => {
  const now = Math.floor(clock.ms / 1000);
  const claims = { sub: "alice", iat: now, exp: now + seconds, number };
  return `x.${Buffer.from(JSON.stringify(claims)).toString("base64url")}.y`;
};
const REDIRECT = { status: 0, type: "opaqueredirect", headers: {}, body: null };
const UNAUTHORIZED = answer(401, { detail: "the token has expired" }, { "www-authenticate": "Bearer" });

test("with a token a stream is opened by ticket, and the token is in no address", async () => {
  const world = new World();
  const seen = follow(connect, world, { token: "secret" });
  await world.clock.advance(3);
  assert.equal(seen.client.status.state, "live");
  assert.match(world.opened[0], /ticket=ticket-/);
  assert.ok(!JSON.stringify([world.opened, world.requests.map(({ path, parameters }) => [path, parameters])]).includes("secret"));
  assert.equal(world.requests[0].headers.Authorization, "Bearer secret");
});

test("by cookie there is no ticket and no header", async () => {
  const world = new World();
  follow(connect, world);
  await world.clock.advance(3);
  assert.ok(!world.opened[0].includes("ticket"));
  assert.equal(world.requests[0].headers.Authorization, undefined);
});

test("a token is renewed before it ends, without a gap", async () => {
  const world = new World();
  let made = 0;
  const seen = follow(connect, world, { token: async () => jwt(world.clock, 600, made++), shareTabs: false });
  await world.clock.advance(3);
  const states = [...seen.states];
  for (let minute = 0; minute < 30; minute++) {
    world.server.say(`${minute}`);
    await world.clock.advance(60);
  }
  assert.deepEqual(seen.states, states);
  assert.deepEqual(contents(seen), Array.from({ length: 30 }, (_, minute) => `${minute}`));
  assert.equal(made, 4);
  assert.equal(world.streams.length, 1);
});

test("a refused token is renewed once, for everybody who asks at the time", async () => {
  const world = new World();
  let made = 0;
  world.network.plain = ({ headers }) => (headers.Authorization === "Bearer token-2" ? undefined : UNAUTHORIZED);
  const seen = follow(connect, world, { token: () => `token-${++made}`, history: 5 });
  await world.clock.advance(3);
  assert.equal(seen.client.status.state, "live");
  assert.equal(made, 2);
});

test("who cannot be renewed is signed out, and nothing more is asked", async () => {
  const world = new World();
  world.network.plain = () => UNAUTHORIZED;
  const seen = follow(connect, world, { token: () => "bad" });
  await world.clock.advance(0);
  assert.equal(seen.client.status.state, "signed-out");
  const asked = world.requests.length;
  await world.clock.advance(600);
  assert.equal(world.requests.length, asked);
});

test("401 leads to the sign-in page at once, with the way back", async () => {
  const world = new World();
  world.network.plain = () => UNAUTHORIZED;
  const seen = follow(connect, world, { loginUrl: "/login" });
  await world.clock.advance(0);
  assert.equal(seen.environment.location.left, "http://bank.example/login?next=http%3A%2F%2Fbank.example%2Fchat");
});

test("a redirect of a gateway leads to the sign-in page, too", async () => {
  const world = new World();
  world.network.plain = () => REDIRECT;
  const seen = follow(connect, world, { loginUrl: "/login" });
  await world.clock.advance(0);
  assert.ok(seen.environment.location.left);
  assert.equal(seen.client.status.state, "blocked");
});

test("who comes back to a gateway that redirects is not led round in circles", async () => {
  const world = new World();
  world.network.plain = () => REDIRECT;
  const environment = world.environment();
  const first = follow(connect, world, { loginUrl: "/login" }, environment);
  await world.clock.advance(20);
  first.client.close();
  environment.location.left = null;
  const again = follow(connect, world, { loginUrl: "/login", shareTabs: false }, environment);
  await world.clock.advance(600);
  assert.equal(environment.location.left, null);
  again.client.refresh();
  await world.clock.advance(0);
  assert.ok(environment.location.left);
});

test("a redirect without a sign-in page is a page of the network: it is tried again", async () => {
  const world = new World();
  world.network.plain = () => REDIRECT;
  const seen = follow(connect, world);
  await world.clock.advance(10);
  assert.equal(seen.client.status.state, "blocked");
  world.network.plain = "pass";
  await world.clock.advance(60);
  assert.equal(seen.client.status.state, "live");
});

test("who comes back from signing in without success does not go round in circles", async () => {
  const world = new World();
  world.network.plain = () => UNAUTHORIZED;
  const environment = world.environment();
  follow(connect, world, { loginUrl: "/login" }, environment);
  await world.clock.advance(20);
  environment.location.left = null;
  const again = follow(connect, world, { loginUrl: "/login", shareTabs: false }, environment);
  await world.clock.advance(0);
  assert.equal(environment.location.left, null);
  assert.equal(again.client.status.state, "signed-out");
  await world.clock.advance(60);
  again.client.refresh();
  await world.clock.advance(0);
  assert.ok(environment.location.left);
});

test("an address that runs code is no sign-in page", async () => {
  for (const loginUrl of ["javascript:alert(1)", "data:text/html,x", () => "javascript:alert(1)"]) {
    const world = new World();
    world.network.plain = () => UNAUTHORIZED;
    const seen = follow(connect, world, { loginUrl });
    await world.clock.advance(0);
    assert.equal(seen.environment.location.left, undefined);
    assert.equal(seen.client.status.state, "signed-out");
  }
});

test("of many tabs one goes to the sign-in page, and the others wait", async () => {
  const world = new World();
  const environments = Array.from({ length: 5 }, () => world.environment());
  for (const environment of environments) follow(connect, world, { loginUrl: "/login" }, environment);
  await world.clock.advance(4);
  world.network.plain = () => UNAUTHORIZED;
  world.cut();
  await world.clock.advance(9);
  assert.equal(environments.filter(({ location }) => location.left).length, 1);
});

test("a token function that fails is an outage, not the end", async () => {
  const world = new World();
  let isDown = true;
  const token = async () => {
    if (isDown) throw new Error("the application's server is down");
    return "good";
  };
  const seen = follow(connect, world, { token });
  await world.clock.advance(0);
  assert.equal(seen.client.status.state, "reconnecting");
  isDown = false;
  await world.clock.advance(10);
  assert.equal(seen.client.status.state, "live");
});

test("a device whose clock is ahead renews its tokens by the server's", async () => {
  const world = new World();
  const { clock } = world;
  const real = clock.now;
  let made = 0;
  const token = async () => {
    const claims = { sub: "alice", iat: Math.floor(real() / 1000), exp: Math.floor(real() / 1000) + 600, number: made++ };
    return `x.${Buffer.from(JSON.stringify(claims)).toString("base64url")}.y`;
  };
  const environment = world.environment({ clock: Object.assign(Object.create(clock), { now: () => real() + 3600_000 }) });
  const seen = follow(connect, world, { token, shareTabs: false }, environment);
  await clock.advance(3);
  assert.equal(seen.client.status.state, "live");
  const opened = world.opened.length;
  await clock.advance(300);
  assert.equal(world.opened.length, opened);
  assert.ok(made <= 3, String(made));
  await clock.advance(600);
  assert.ok(world.opened.length > opened); // renewed in time all the same
});
