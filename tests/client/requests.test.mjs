/** One exchange: what is sent, how long it may take, and that nothing is read that is not the server's. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { gunzipSync } from "node:zlib";

import { Requests } from "../../rtserver/web/client/requests.js";
import { Token } from "../../rtserver/web/client/token.js";
import { Clock, settle } from "./world.mjs";

const scene = (respond, token) => {
  const clock = new Clock();
  const sent = [];
  const environment = {
    clock, Response, CompressionStream,
    fetch: async (url, options) => {
      sent.push({ url, ...options });
      return respond(options);
    },
  };
  return { clock, sent, requests: new Requests("/api/sessions/s", new Token(token, clock.now), environment) };
};
const reply = (status, contentType, body, more = {}) => ({
  status, type: "basic", headers: new Headers({ ...(contentType ? { "content-type": contentType } : {}), ...more }),
  json: async () => JSON.parse(body),
});

test("what is asked is never cached, never follows redirects, and has an address of its own", async () => {
  const { sent, requests } = scene(() => reply(200, "application/json", "{}"));
  const answer = await requests.get("/updates", { timeout: 0, eventTypes: undefined });
  assert.equal(answer.verdict, "ok");
  assert.match(sent[0].url, /^\/api\/sessions\/s\/updates\?timeout=0&_=\w+$/);
  assert.deepEqual([sent[0].redirect, sent[0].cache, sent[0].credentials], ["manual", "no-store", "same-origin"]);
});

test("a block page is named, and its body is not read", async () => {
  let isRead = false;
  const page = { ...reply(200, "text/html", ""), json: async () => (isRead = true), text: async () => (isRead = true) };
  const { requests } = scene(() => page);
  const answer = await requests.get("");
  assert.deepEqual([answer.verdict, answer.body, isRead], ["page", null, false]);
});

test("what says it is JSON and is none is somebody else's", async () => {
  for (const body of ["<html>", "", '"text"', "null", "[1"]) {
    const { requests } = scene(() => reply(200, "application/json", body));
    assert.equal((await requests.get("")).verdict, "page", body);
  }
});

test("what does not answer in time is given up, and is no abort of ours", async () => {
  const { clock, requests } = scene(({ signal }) => new Promise((_, reject) => signal.addEventListener("abort", () => reject(new Error("aborted")))));
  const asking = requests.get("", {}, { timeout: 10 });
  await settle();
  await clock.advance(10);
  const answer = await asking;
  assert.deepEqual([answer.verdict, answer.isOwnAbort, answer.elapsed], ["failed", false, 10]);
});

test("an abort of ours is known as one", async () => {
  const controller = new AbortController();
  const { requests } = scene(({ signal }) => new Promise((_, reject) => signal.addEventListener("abort", () => reject(new Error("aborted")))));
  const asking = requests.get("", {}, { signal: controller.signal });
  await settle();
  controller.abort();
  assert.equal((await asking).isOwnAbort, true);
});

test("large bodies are gzipped, small ones are not", async () => {
  const { sent, requests } = scene(() => reply(201, "application/json", "{}"));
  const large = { type: "message_added", data: { content: "again and ".repeat(500) } };
  await requests.post("/events", large);
  await requests.post("/events", { type: "message_added", data: { content: "short" } });
  assert.equal(sent[0].headers["Content-Encoding"], "gzip");
  assert.deepEqual(JSON.parse(gunzipSync(Buffer.from(sent[0].body))), large);
  assert.ok(sent[0].body.byteLength < 500);
  assert.equal(sent[1].headers["Content-Encoding"], undefined);
});

test("Retry-After and the way's time come with the answer", async () => {
  const { requests } = scene(() => reply(429, "application/problem+json", '{"detail":"slowly"}', { "retry-after": "7" }));
  const answer = await requests.get("");
  assert.deepEqual([answer.verdict, answer.retryAfter, answer.body.detail], ["busy", 7, "slowly"]);
});
