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
    const given = respond({ path, parameters, server, count: found.asked.length });
    if (given === null) return { verdict: "failed", status: 0, body: null, headers: EMPTY, retryAfter: 0, isOwnAbort: false };
    const verdict = { 503: "busy", 500: "broken" }[given.status] ?? "ok";
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
