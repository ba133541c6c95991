/**
 * The course of a check: which probes are sent, in which order, and what has been seen after each.
 *
 * Owns times and deadlines, which `pace` divides.  What an observation means it leaves to `judge`.
 */

import { ask, listen } from "./asking.js";
import { canGoOn, isGivenUp, isGone, isInTurn, isLost, judge } from "./judge.js";

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

const isMoment = (text) => Number.isFinite(Date.parse(text));
/** Whether these are the server's answers: filters speak JSON as well. */
const isHeld = (body) => isMoment(body.serverTime);
const isNetwork = (body) =>
  isHeld(body) && typeof body.httpVersion === "string" && Array.isArray(body.headers.stripped) &&
  body.headers.stripped.every((name) => typeof name === "string") && (body.clockSkewMs === null || Number.isFinite(body.clockSkewMs));

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

  /** Resolves with what was seen, whatever happened. */
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
    // What has been gone once may be back by now: that explains it all the same.
    const { hold: held } = this.seen;
    if (held && (isLost(held) || isGivenUp(held, this._pace)) && !isGone(this.seen)) await this._askWhetherGone();
    this._tell(1);
    return this.seen;
  }

  _leave() {
    for (const name in this.steps) if (this.steps[name] === "waiting") this.steps[name] = "skipped";
    this._tell(1);
    return this.seen;
  }

  async _step(name, share, act) {
    if (this._signal.aborted) return;
    this.steps[name] = "running";
    this._tell(share);
    try {
      await act();
      this.steps[name] = "done";
    } catch (error) {
      // Nothing that an answer holds comes to this; if it does, the others' findings are of use all the same.
      console.error(error);
      this.steps[name] = "skipped";
    }
    this._tell(share);
  }

  /** A page that cannot show something ends no check. */
  _tell(share) {
    try {
      this._onProgress(share);
    } catch (error) {
      console.error(error);
    }
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
    return this._asked(`network?${query}`, nonce, PING_DEADLINE, { fits: isNetwork });
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
      this._tell(0.02 + this.seen.pings.length / 200);
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
    const again = () => this._asked(`network?nonce=${nonce}`, nonce, PING_DEADLINE, { fits: isNetwork });
    for (let turn = 0; turn < 2; turn += 1) this.seen.repeats.push(await again());
  }

  async _pair() {
    this.seen.pair = await this._twoAtOnce();
    if (!isInTurn(this.seen.pair)) return;
    // The second connection may just have been slow to open (a proxy that wants a sign-in on each): now both are.
    this.seen.coldPair = this.seen.pair;
    this.seen.pair = await this._twoAtOnce();
  }

  /** The very same address twice at a time, answered after a second. */
  _twoAtOnce() {
    const path = `hold?seconds=1&nonce=${newNonce()}`;
    // Never less than the second itself and one for who waits for the other.
    const deadlineMs = Math.max(PING_DEADLINE, 5000 * this._pace);
    return Promise.all([0, 1].map(() => this._asked(path, null, deadlineMs, { fits: isHeld })));
  }

  async _payload() {
    const fits = (_, bytes) => bytes === PAYLOAD_BYTES;
    this.seen.payload = await this._asked(`payload?bytes=${PAYLOAD_BYTES}&nonce=${newNonce()}`, null, PAYLOAD_DEADLINE, { parse: false, fits });
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
    const timer = setInterval(() => this._tell(0.12 + 0.85 * Math.min(1, (performance.now() - beganAt) / lasts)), 500);
    seen.stream = await this._listen("text/event-stream", CHUNKS);
    const isBusy = seen.stream.outcome === "busy";
    // Whether it is the type or the stream that is not let through.
    if (seen.stream.outcome !== "ok" && !isBusy) seen.control = await this._listen("text/plain", CONTROL_CHUNKS);
    if (!isBusy && ![seen.stream, seen.control].some((each) => each?.ending === "done")) await this._askWhetherGone();
    clearInterval(timer);
  }

  async _askWhetherGone() {
    if (!this._signal.aborted) this.seen.afterCut = await this._network(newNonce());
  }

  async _hold() {
    const { holdSeconds } = this.seen;
    const deadlineMs = holdSeconds * 1000 * this._pace + GRACE;
    this.seen.hold = await this._asked(`hold?seconds=${holdSeconds}&nonce=${newNonce()}`, null, deadlineMs, { fits: isHeld });
  }
}

function pause(milliseconds, signal) {
  return new Promise((resolve) => {
    setTimeout(resolve, milliseconds);
    signal.addEventListener("abort", resolve, { once: true });
  });
}
