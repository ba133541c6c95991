/**
 * The course of a check: which probes are sent, in which order, and what has been seen after each.
 *
 * Owns times and deadlines, which `pace` divides.  What an observation means it leaves to `judge`.
 */

import { ask, listen } from "./asking.js";
import { canGoOn, judge } from "./judge.js";

const PINGS = 6;
const PING_DEADLINE = 10_000;
/** A server that is gone may be back in a moment: it is asked again after these. */
const RETRY_AFTER = [1500, 3000, 5000];
const CHUNKS = 24;
const CHUNK_INTERVAL = 1600;
const CONTROL_CHUNKS = 4;
const SILENT = 8000;
const HOLD = 35_000;
const GRACE = 10_000;
const PAYLOAD_BYTES = 256 << 10;
const PAYLOAD_DEADLINE = 20_000;
const API = "api/diagnostics/";

let count = 0;
/** Return what no other request has: an answer without it is another one's. */
const newNonce = () => `${Date.now().toString(36)}-${Math.random().toString(36).slice(2, 10)}-${(count += 1)}`;

/**
 * One check: `run` it once; `seen` and `steps` are what is known so far, and `onProgress(share)` is told when that grows.
 */
export class Check {
  constructor({ pace = 1, token = null, signal, order, onProgress }) {
    this._options = { token, signal };
    this._signal = signal;
    this._pace = pace;
    this._order = order;
    this._onProgress = onProgress;
    this.seen = { pace, pings: [], repeats: [], pair: [], holdSeconds: Math.round(HOLD / 1000 / pace) };
    this.steps = { reach: "waiting", content: "waiting", pair: "waiting", payload: "waiting", stream: "waiting", hold: "waiting" };
  }

  async run() {
    await this._step("reach", 0.02, () => this._reach());
    if (!canGoOn(this.seen.pings)) return this._leave();
    await this._step("content", 0.06, () => this._content());
    await this._step("pair", 0.1, () => this._pair());
    await this._step("payload", 0.12, () => this._payload());
    const isOneByOne = judge(this.seen, this._order).includes("one-connection");
    const stream = () => this._step("stream", 0.12, () => this._stream());
    const hold = () => this._step("hold", 0.12, () => this._hold());
    if (isOneByOne) {
      await stream();
      await hold();
    } else {
      await Promise.all([stream(), hold()]);
    }
    this._onProgress(1);
    return this.seen;
  }

  _leave() {
    for (const name in this.steps) if (this.steps[name] === "waiting") this.steps[name] = "skipped";
    this._onProgress(1);
    return this.seen;
  }

  async _step(name, share, act) {
    if (this._signal.aborted) return;
    this.steps[name] = "running";
    this._onProgress(share);
    await act();
    this.steps[name] = "done";
    this._onProgress(share);
  }

  /** Scaled by the pace. */
  _ms(milliseconds) {
    return milliseconds / this._pace;
  }

  async _network(nonce) {
    // A cookie that scripts may read, to see whether cookies arrive at all.
    document.cookie = "rt_probe=1; SameSite=Strict; Max-Age=120";
    const sent = ["accept", "cache-control", "last-event-id", "x-probe"];
    if (document.cookie.includes("rt_probe=1")) sent.push("cookie");
    const rtt = this._quickest();
    const query = new URLSearchParams({ nonce, sent: sent.join(","), clientTime: String(Date.now()), ...(rtt === null ? {} : { rtt: String(rtt) }) });
    return this._asked(`network?${query}`, nonce);
  }

  async _asked(path, nonce, deadlineMs = PING_DEADLINE, more = {}) {
    const headers = { "Last-Event-ID": "probe", "X-Probe": "1", "Cache-Control": "no-cache" };
    const answer = await ask(API + path, { headers, deadlineMs: this._ms(deadlineMs), ...this._options, ...more });
    return { ...answer, nonce };
  }

  _quickest() {
    const times = this.seen.pings.filter((each) => each.outcome === "ok").map((each) => each.seconds);
    return times.length ? Math.round(Math.min(...times) * 1000) : null;
  }

  async _reach() {
    const waits = [...RETRY_AFTER];
    while (this.seen.pings.length < PINGS + RETRY_AFTER.length - waits.length && !this._signal.aborted) {
      const ping = await this._network(newNonce());
      this.seen.pings.push(ping);
      this._onProgress(0.02 + this.seen.pings.length / 200);
      if (["late", "error", "gateway"].includes(ping.outcome)) {
        if (!waits.length) return;
        await pause(this._ms(waits.shift()), this._signal);
      } else if (ping.outcome !== "ok" && this.seen.pings.length > 2 && !this.seen.pings.some((each) => each.outcome === "ok")) {
        return;
      }
    }
  }

  /** The very same address twice. */
  async _content() {
    const nonce = newNonce();
    for (let turn = 0; turn < 2; turn += 1) this.seen.repeats.push(await this._asked(`network?nonce=${nonce}`, nonce));
  }

  /** The very same address twice at a time, answered after a second. */
  async _pair() {
    const path = `hold?seconds=1&nonce=${newNonce()}`;
    // Never less than the second itself and one for who waits for the other.
    const deadlineMs = Math.max(PING_DEADLINE, 5000 * this._pace);
    this.seen.pair = await Promise.all([0, 1].map(() => this._asked(path, null, deadlineMs)));
  }

  async _payload() {
    this.seen.payload = await this._asked(`payload?bytes=${PAYLOAD_BYTES}&nonce=${newNonce()}`, null, PAYLOAD_DEADLINE, { parse: false });
  }

  _listen(type, chunks, onChunk) {
    const interval = Math.round(this._ms(CHUNK_INTERVAL));
    const query = new URLSearchParams({ chunks, interval, nonce: newNonce(), ...(type === "text/event-stream" ? {} : { type }) });
    const deadlineMs = chunks * interval + this._ms(GRACE);
    return listen(`${API}stream?${query}`, { type, deadlineMs, silentMs: this._ms(SILENT), onChunk, ...this._options });
  }

  async _stream() {
    const { seen } = this;
    const beganAt = performance.now();
    const lasts = this._ms(CHUNKS * CHUNK_INTERVAL);
    const timer = setInterval(() => this._onProgress(0.12 + 0.85 * Math.min(1, (performance.now() - beganAt) / lasts)), 500);
    seen.stream = await this._listen("text/event-stream", CHUNKS);
    if (seen.stream.outcome === "ok") {
      if (["ended", "cut"].includes(seen.stream.ending)) seen.afterCut = await this._network(newNonce());
    } else {
      // Whether it is the type or the stream that is not let through.
      seen.control = await this._listen("text/plain", CONTROL_CHUNKS);
    }
    clearInterval(timer);
  }

  async _hold() {
    const { holdSeconds } = this.seen;
    this.seen.hold = await this._asked(`hold?seconds=${holdSeconds}&nonce=${newNonce()}`, null, holdSeconds * 1000 * this._pace + GRACE);
  }
}

function pause(milliseconds, signal) {
  return new Promise((resolve) => {
    setTimeout(resolve, milliseconds);
    signal.addEventListener("abort", resolve, { once: true });
  });
}
