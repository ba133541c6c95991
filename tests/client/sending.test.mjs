/** What is said arrives once and in order: the outbox over retries, tabs and restarts; typing. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { SendRefused, connect } from "../../rtserver/web/client/rtclient.js";
import { World, answer, contents, follow, settle } from "./world.mjs";

const live = async (world = new World(), options = {}) => {
  const seen = follow(connect, world, options);
  await world.clock.advance(3);
  return { world, seen, clock: world.clock };
};
const said = (world) => world.server.events.map(({ data }) => data.content);

test("a message that is sent is its event", async () => {
  const { world, seen, clock } = await live();
  const sending = seen.client.send({ content: "hello" });
  await clock.advance(0);
  const event = await sending;
  assert.equal(event.id, world.server.last);
  assert.equal(event.sequence, 1);
  assert.deepEqual(contents(seen), ["hello"]);
  assert.deepEqual(seen.outbox, []);
});

test("what is said offline, in two tabs, over a restart, arrives once and in order", async () => {
  const world = new World();
  const { seen: one, clock } = await live(world);
  const { seen: two } = await live(world);
  world.network.plain = "gone";
  world.cut();
  await clock.advance(1);
  const sendings = [];
  for (const [tab, content] of [[one, "a"], [two, "b"], [one, "c"], [two, "d"]]) {
    sendings.push(tab.client.send({ content }));
    await clock.advance(0.5);
  }
  assert.deepEqual(said(world), []);
  assert.deepEqual(one.outbox.map(({ data }) => data.content), ["a", "b", "c", "d"]);
  world.network.plain = "pass";
  await clock.advance(15);
  const events = await Promise.all(sendings);
  assert.deepEqual(said(world), ["a", "b", "c", "d"]);
  assert.deepEqual(events.map(({ sequence }) => sequence), [1, 2, 3, 4]);
  assert.deepEqual(contents(one), ["a", "b", "c", "d"]);
  assert.deepEqual(contents(two), ["a", "b", "c", "d"]);
});

test("an answer that was lost is asked for again under the same messageId", async () => {
  const { world, seen, clock } = await live();
  let lost = 2;
  world.network.plain = (request) => {
    if (request.path !== "/events" || lost === 0) return undefined;
    lost -= 1;
    world._publish(request); // it arrived; the answer does not
    return null;
  };
  const sending = seen.client.send({ content: "once" });
  await clock.advance(30);
  assert.equal((await sending).replayed, true);
  assert.deepEqual(said(world), ["once"]);
  assert.deepEqual(contents(seen), ["once"]);
});

test("what a tab could not send before it was closed is sent by another", async () => {
  const world = new World();
  const { seen: one, clock } = await live(world);
  const { seen: two } = await live(world);
  world.network.plain = "gone";
  world.cut();
  await clock.advance(1);
  const sending = one.client.send({ content: "left behind" });
  sending.catch(() => {});
  await clock.advance(0);
  one.client.close();
  await clock.advance(1);
  world.network.plain = "pass";
  await clock.advance(70);
  assert.deepEqual(said(world), ["left behind"]);
  assert.deepEqual(contents(two), ["left behind"]);
});

test("what waits survives a reload, for the same person", async () => {
  const world = new World();
  world.network.plain = "gone";
  const { seen, clock } = await live(world, { identity: "alice" });
  seen.client.send({ content: "before the reload" }).catch(() => {});
  await clock.advance(0);
  seen.client.close();
  world.network.plain = "pass";
  const { seen: other } = await live(world, { identity: "bob" });
  assert.deepEqual(other.outbox, []);
  const { seen: again } = await live(world, { identity: "alice" });
  await clock.advance(1);
  assert.deepEqual(contents(again), ["before the reload"]);
});

test("what waits under a cookie stays in its tab: it may be another person's tomorrow", async () => {
  const world = new World();
  world.network.plain = "gone";
  const environment = world.environment();
  const seen = follow(connect, world, {}, environment);
  seen.client.send({ content: "before the reload" }).catch(() => {});
  await world.clock.advance(3);
  seen.client.close();
  world.network.plain = "pass";
  assert.deepEqual([...world.local.kept.keys()].filter((key) => key.startsWith("outbox")), []);
  const again = follow(connect, world, {}, environment);
  await world.clock.advance(5);
  assert.deepEqual(contents(again), ["before the reload"]);
});

test("two people in one browser share neither connection nor outbox", async () => {
  const world = new World();
  const token = (sub) => async () => `x.${Buffer.from(JSON.stringify({ sub })).toString("base64url")}.y`;
  const { seen: alice } = await live(world, { token: token("alice") });
  const { seen: bob, clock } = await live(world, { token: token("bob") });
  assert.equal(world.streams.length, 2);
  world.network.plain = "gone";
  world.cut();
  await clock.advance(1);
  alice.client.send({ content: "of alice" }).catch(() => {});
  await clock.advance(1);
  assert.equal(alice.outbox.length, 1);
  assert.deepEqual(bob.outbox, []);
  world.network.plain = "pass";
  await clock.advance(20);
  const sent = world.asked("/events").filter(({ method, body }) => method === "POST" && body.data.content === "of alice");
  assert.ok(sent.every(({ headers }) => headers.Authorization.includes(Buffer.from('{"sub":"alice"}').toString("base64url"))));
});

test("what the server refuses for good is told, and holds nothing up", async () => {
  const { world, seen, clock } = await live();
  world.server.refusal = answer(413, { detail: "too large", title: "Too large" });
  const refused = assert.rejects(seen.client.send({ content: "big" }), (error) => {
    return error instanceof SendRefused && error.status === 413 && /too large/.test(error.message);
  });
  await clock.advance(0);
  await refused;
  world.server.refusal = null;
  seen.client.send({ content: "small" });
  await clock.advance(0);
  assert.deepEqual(said(world), ["small"]);
});

test("a busy server is asked again when it said, and the order stays", async () => {
  const { world, seen, clock } = await live();
  world.server.refusal = answer(429, { detail: "slowly" }, { "retry-after": "20" });
  seen.client.send({ content: "a" });
  seen.client.send({ content: "b" });
  await clock.advance(19);
  const asked = world.asked("/events").length;
  assert.ok(asked <= 2, String(asked));
  world.server.refusal = null;
  await clock.advance(10);
  assert.deepEqual(said(world), ["a", "b"]);
});

test("what is no message is refused at once", async () => {
  const { seen } = await live();
  for (const data of ["text", null, [1], undefined]) await assert.rejects(seen.client.send(data), TypeError);
  seen.client.close();
  await assert.rejects(seen.client.send({ content: "late" }), TypeError);
});

test("storage that throws costs nothing but the memory", async () => {
  const world = new World();
  const bad = { get: () => null, set: () => false };
  const seen = follow(connect, world, {}, world.environment({ localStorage: bad, sessionStorage: bad }));
  await world.clock.advance(3);
  seen.client.send({ content: "hello" });
  await world.clock.advance(0);
  assert.deepEqual(said(world), ["hello"]);
});

test("typing is said now and then, ended once, and only where it is shown", async () => {
  const { world, seen, clock } = await live();
  const typed = () => world.asked("/events").filter(({ body }) => body?.type === "typing_indicator");
  for (let key = 0; key < 12; key++) {
    seen.client.typing(true);
    await clock.advance(1);
  }
  assert.equal(typed().length, 3);
  seen.client.typing(false);
  seen.client.typing(false);
  await settle();
  assert.deepEqual(typed().map(({ body }) => body.data.isTyping), [true, true, true, false]);
  world.network.streams = "lost";
  world.cut();
  seen.client.typing(true);
  await settle();
  assert.equal(typed().length, 4);
});

const posts = (world) => world.asked("/events").filter(({ method }) => method === "POST");

test("Retry-After holds for sending, too, whatever is heard and said meanwhile, in all tabs", async () => {
  const world = new World();
  const { seen: one, clock } = await live(world);
  const { seen: two } = await live(world);
  world.server.refusal = answer(429, { detail: "slowly" }, { "retry-after": "60" });
  one.client.send({ content: "a" });
  await clock.advance(1);
  const asked = posts(world).length;
  two.client.send({ content: "b" });
  for (let second = 0; second < 50; second++) {
    world.server.say(`${second}`);
    await clock.advance(1);
  }
  assert.equal(asked, 1);
  assert.equal(posts(world).length, asked);
  world.server.refusal = null;
  await clock.advance(25);
  assert.deepEqual(said(world).slice(-2), ["a", "b"]);
});

test("when there is a way again what waits goes at once, unless the server asked to wait", async () => {
  const { world, seen, clock } = await live();
  world.server.refusal = null;
  world.network.plain = ({ method }) => (method === "POST" ? null : undefined);
  seen.client.send({ content: "a" });
  await clock.advance(40);
  assert.ok(posts(world).length <= 5, String(posts(world).length));
  world.network.plain = "gone";
  world.cut();
  await clock.advance(1);
  world.network.plain = "pass";
  seen.environment.window.dispatchEvent(new Event("online"));
  await clock.advance(2.1);
  assert.deepEqual(said(world), ["a"]);
});

const jwt = (sub) => `x.${Buffer.from(JSON.stringify({ sub })).toString("base64url")}.y`;
const authors = (world, content) => {
  const sent = posts(world).filter(({ body }) => body.data.content === content);
  return [...new Set(sent.map(({ headers }) => headers.Authorization.slice(7)))];
};

test("what one person said is never sent with the token of another", async () => {
  const world = new World();
  let sub = "alice";
  let refused = null;
  const { seen, clock } = await live(world, { token: async () => jwt(sub), shareTabs: false });
  world.server.refusal = answer(503, {}, { "retry-after": "5" });
  seen.client.send({ content: "of alice" });
  await clock.advance(1);
  sub = "bob"; // somebody else signed in, and the next token is theirs
  refused = `Bearer ${jwt("alice")}`;
  world.network.plain = ({ headers }) => (headers.Authorization === refused ? answer(401, { detail: "expired" }) : undefined);
  world.server.refusal = null;
  await clock.advance(120);
  assert.deepEqual(authors(world, "of alice"), [jwt("alice")]);
  assert.deepEqual(said(world), []);
  assert.equal(seen.outbox.length, 1);
  sub = "alice";
  refused = `Bearer ${jwt("bob")}`;
  world.cut();
  await clock.advance(120);
  assert.deepEqual(said(world), ["of alice"]);
});

test("whoever comes when no token was to be had sends nothing of whom the tab remembers", async () => {
  const world = new World();
  const environment = world.environment();
  const first = follow(connect, world, { token: async () => jwt("alice") }, environment);
  await world.clock.advance(3);
  world.network.plain = "gone";
  world.cut();
  first.client.send({ content: "of alice" }).catch(() => {});
  await world.clock.advance(3);
  first.client.close();
  world.network.plain = "pass";
  let calls = 0;
  const token = async () => {
    if (calls++ === 0) throw new Error("not yet");
    return jwt("bob");
  };
  follow(connect, world, { token }, environment);
  await world.clock.advance(120);
  assert.deepEqual(said(world), []);
  const again = follow(connect, world, { token: async () => jwt("alice") }, environment);
  await world.clock.advance(5);
  assert.deepEqual(said(world), ["of alice"]);
  assert.deepEqual(contents(again), ["of alice"]);
});

test("what waited under a cookie is refused when it is signed out: who comes next may be another person", async () => {
  const world = new World();
  const environment = world.environment();
  const first = follow(connect, world, {}, environment);
  await world.clock.advance(3);
  world.network.plain = "gone";
  world.cut();
  const refused = assert.rejects(first.client.send({ content: "of alice" }), SendRefused);
  await world.clock.advance(1);
  world.network.plain = () => answer(401, { detail: "signed out" });
  await world.clock.advance(10);
  await refused;
  assert.deepEqual(first.outbox, []);
  assert.equal(first.client.status.state, "signed-out");
  first.client.close();
  world.network.plain = "pass";
  follow(connect, world, {}, environment);
  await world.clock.advance(10);
  assert.deepEqual(said(world), []);
});

for (const options of [{}, { loginUrl: "/login" }]) {
  test(`what waited under a cookie is kept while a gateway redirects, with ${JSON.stringify(options)}`, async () => {
    const world = new World();
    const seen = follow(connect, world, options);
    await world.clock.advance(3);
    world.network.plain = () => ({ status: 0, type: "opaqueredirect", headers: {}, body: null });
    world.cut();
    const sent = seen.client.send({ content: "of alice" });
    await world.clock.advance(30);
    assert.equal(seen.client.status.state, "blocked");
    assert.equal(seen.outbox.length, 1);
    assert.deepEqual(said(world), []);
    world.network.plain = "pass";
    await world.clock.advance(60);
    assert.deepEqual(said(world), ["of alice"]);
    assert.deepEqual(seen.outbox, []);
    await sent;
  });
}

test("what waits under a cookie with an identity is kept over signing in again", async () => {
  const world = new World();
  const environment = world.environment();
  world.network.plain = ({ method }) => (method === "POST" ? null : answer(401, { detail: "signed out" }));
  const first = follow(connect, world, { identity: "alice" }, environment);
  first.client.send({ content: "of alice" }).catch(() => {});
  await world.clock.advance(3);
  first.client.close();
  world.network.plain = "pass";
  follow(connect, world, { identity: "alice" }, environment);
  await world.clock.advance(10);
  assert.deepEqual(said(world), ["of alice"]);
});

test("what waits is sent also by a page that follows other types", async () => {
  const world = new World();
  world.network.plain = "gone";
  const { seen } = await live(world, { identity: "alice", eventTypes: ["message_added"] });
  seen.client.send({ content: "of the old page" }).catch(() => {});
  await world.clock.advance(1);
  seen.client.close();
  world.network.plain = "pass";
  await live(world, { identity: "alice", eventTypes: ["message_added", "ai_response_ready"] });
  await live(world, { identity: "alice" });
  assert.deepEqual(said(world), ["of the old page"]);
  assert.equal(world.streams.length, 2);
});

test("a clock that is set back changes nothing in the order of what was said", async () => {
  const { world, seen, clock } = await live();
  world.network.plain = "gone";
  world.cut();
  await clock.advance(1);
  for (const content of ["a", "b"]) {
    seen.client.send({ content });
    await clock.advance(0);
    clock.now = () => clock.ms - 5000;
  }
  assert.deepEqual(seen.outbox.map(({ data }) => data.content), ["a", "b"]);
  world.network.plain = "pass";
  await clock.advance(15);
  assert.deepEqual(said(world), ["a", "b"]);
});
