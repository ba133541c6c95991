/** What brings events brings them here: filters, gaps told twice, history and catching up that fail at first. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { Intake } from "../../rtserver/web/client/intake.js";
import { Clock, Server, answer } from "./world.mjs";

const EMPTY = new Map();

/** An intake whose requests are answered by `respond`: what it asked, and what it handed over. */
const scene = (respond = () => null, settings = {}) => {
  const clock = new Clock();
  const server = new Server(clock);
  const found = { clock, server, asked: [], told: [], resets: [] };
  const get = async (path, parameters) => {
    found.asked.push({ path, parameters, at: clock.ms });
    if (found.asked.length > 500) await new Promise(() => {}); // enough to see that it never ends
    const given = await respond({ path, parameters, server, count: found.asked.length });
    if (given === null) return { verdict: "failed", status: 0, body: null, headers: EMPTY, retryAfter: 0, isOwnAbort: false };
    const verdict = { 503: "busy", 404: "gone" }[given.status] ?? "ok";
    return { verdict, ...given, headers: new Map(Object.entries(given.headers)), retryAfter: Number(given.headers["retry-after"] ?? 0) };
  };
  const signal = new AbortController().signal;
  found.signal = signal;
  found.intake = new Intake({ requests: { get }, clock, history: 0, signal, ...settings }, {
    event: ({ sequence }) => found.told.push(sequence), reset: (reset) => found.resets.push(reset), batch: () => {}, types: () => {},
  });
  return found;
};
const event = (server, sequence) => ({ id: server.id(sequence), sequence, type: "message_added", data: {} });

test("an answer without events moves on past what a filter left out", () => {
  const { intake, server } = scene();
  intake.reset({ lastEventId: server.id(3) });
  const nothing = (cursor) => ({ status: 204, body: null, headers: new Map(cursor ? [["last-event-id", cursor]] : []) });
  intake.page(nothing(server.id(9)));
  assert.equal(intake.cursor, server.id(9));
  intake.page(nothing(server.id(7)));
  intake.page(nothing(null));
  assert.equal(intake.cursor, server.id(9));
});

test("a gap that is told twice is one, and nothing comes twice", () => {
  const { intake, server, told, resets } = scene();
  intake.reset({ lastEventId: server.id(2) });
  const gap = (sequence) => ({ reason: "trimmed", requested: server.id(2), lastEventId: server.id(sequence) });
  intake.reset(gap(10));
  intake.events([event(server, 11), event(server, 12)]);
  intake.reset(gap(11));
  intake.events([event(server, 12), event(server, 13)]);
  assert.deepEqual(told, [11, 12, 13]);
  assert.equal(resets.length, 2);
});

test("a cursor that the server has nothing of is a gap, wherever the end is", () => {
  const { intake, server, resets } = scene();
  intake.reset({ lastEventId: server.id(20) });
  intake.reset({ reason: "ahead", requested: server.id(20), lastEventId: server.id(10) });
  assert.equal(intake.cursor, server.id(10));
  intake.reset({ reason: "trimmed", requested: server.id(2), lastEventId: server.id(15) });
  assert.equal(intake.cursor, server.id(15));
  assert.equal(resets.length, 3);
});

const messages = (server, sequences) => ({
  status: 200, headers: {}, body: { messages: sequences.map((each) => event(server, each)), lastEventId: server.id(9) },
});

test("history after a gap is asked for until it comes, not before Retry-After, and before what is live", async () => {
  const { intake, clock, server, asked, told } = scene(({ count, server: there }) => {
    if (count === 1) return answer(503, {}, { "retry-after": "20" });
    return count === 2 ? null : messages(there, [9, 8]);
  }, { history: 5 });
  intake.reset({ lastEventId: server.id(1) });
  await clock.advance(0);
  intake.events([event(server, 2)]);
  await clock.advance(19);
  assert.equal(asked.length, 1);
  await clock.advance(3);
  assert.equal(asked.length, 2);
  assert.deepEqual(told, []);
  const begun = clock.ms;
  await clock.advance(30);
  assert.equal(asked.length, 3);
  assert.ok(asked[2].at - begun >= 5000, String(asked[2].at - begun));
  assert.deepEqual(told, [2]);
});

test("history that is refused for good holds nothing up", async () => {
  const { intake, clock, server, told } = scene(() => answer(404, {}), { history: 5 });
  intake.reset({ lastEventId: server.id(1) });
  intake.events([event(server, 2)]);
  await clock.advance(0);
  assert.deepEqual(told, [2]);
});

test("of two gaps the history of the last is waited for", async () => {
  const { intake, clock, server, asked } = scene(() => null, { history: 5 });
  intake.reset({ lastEventId: server.id(1) });
  await clock.advance(0);
  intake.reset({ lastEventId: server.id(3) });
  await clock.advance(6);
  assert.equal(asked.length, 3);
});

test("catching up that leads nowhere ends", async () => {
  const { intake, clock, server, asked, signal } = scene(({ path, server: there }) => {
    if (path === "/messages") return new Promise(() => {});
    return { status: 200, headers: {}, body: { events: [event(there, 4)], lastEventId: there.id(4), hasMore: true } };
  }, { history: 5 });
  intake.reset({ lastEventId: server.id(1) });
  let answered = null;
  intake.catchUp(signal).then((given) => (answered = given));
  await clock.advance(60);
  assert.equal(answered?.verdict, "ok");
  assert.equal(asked.filter(({ path }) => path === "/updates").length, 1);
});

test("a hole that cannot be filled is asked about once for each sign of it", async () => {
  const { intake, clock, server, asked } = scene(({ server: there }) => ({
    status: 200, headers: {}, body: { events: [], lastEventId: there.id(1), hasMore: false },
  }));
  intake.reset({ lastEventId: server.id(1) });
  intake.event(event(server, 5));
  await clock.advance(60);
  assert.equal(asked.length, 1);
});

test("many pages are asked for at a pace", async () => {
  const { intake, clock, asked, told, signal } = scene(({ count, server: there }) => ({
    status: 200, headers: {}, body: { events: [event(there, count + 1)], lastEventId: there.id(count + 1), hasMore: count < 20 },
  }));
  intake.reset({ lastEventId: new Server(clock).id(1) });
  intake.catchUp(signal);
  await clock.advance(1);
  assert.ok(asked.length <= 8, String(asked.length));
  await clock.advance(20);
  assert.deepEqual(told.length, 20);
});

test("messages that a filter leaves out are not told as history either", async () => {
  const respond = ({ path, server }) => {
    return path === "/messages" ? messages(server, [9, 8]) : { status: 200, headers: {}, body: { lastEventId: server.id(9) } };
  };
  for (const [eventTypes, expected] of [[["ai_response_ready"], []], [["message_added"], [8, 9]], [undefined, [8, 9]]]) {
    const { intake, clock, server, told, signal } = scene(respond, { history: 5, eventTypes });
    await intake.join(signal);
    intake.reset({ lastEventId: server.id(9), reason: "epoch", requested: intake.cursor });
    await clock.advance(1);
    assert.deepEqual(told, [...expected, ...expected]);
  }
});
