/**
 * The reporter: says which tier this client is on and why, so that the operator sees whose network is in the way.
 *
 * Owns what is said and how seldom: when a tier was given up, or another one has proven itself, once a minute at most
 * and a while after it happened, so that many clients that come back together are not heard twice.  Refuses to matter:
 * nothing waits for a report, and one that does not arrive is forgotten.
 */

import { TIERS } from "./machine.js";

/** What can cost a tier, as the server counts it. */
const CAUSES = {
  "probe together": "probe-together",
  "stream lost": "stream-lost",
  "stream cut early": "stream-cut-early",
  "stream refused": "stream-refused",
  deadline: "deadline",
  silent: "silent",
  failed: "failed",
  page: "page",
  broken: "broken",
};
/** States in which a tier runs: what happens in others is not its fault. */
const RUNNING = ["verifying sse", "live", "trying long-poll", "verifying long-poll", "delayed", "polling"];
const DELAY_SECONDS = 5;
export const APART_SECONDS = 60;
const MAX_USER_AGENT = 512;

export class Reporter {
  /** `settings` are {requests, clock, storage, navigator, clientId, sessionId, signal}; with `signal` it is over. */
  constructor(settings) {
    Object.assign(this, settings);
    this._cause = "other";
    this._pending = null;
    this._timer = null;
    this._sentAt = -Infinity;
    this.signal.addEventListener("abort", () => this.clock.clearTimeout(this._timer));
  }

  /** The machine has made a step. */
  saw(before, event, machine) {
    if (RUNNING.includes(before.state) && event in CAUSES) this._cause = CAUSES[event];
    const isLess = TIERS.indexOf(machine.tier) > TIERS.indexOf(before.tier);
    const isProven = machine.verified && !(before.verified && before.tier === machine.tier);
    if (isLess) this._want({ tier: machine.tier, previousTier: before.tier, reason: this._cause, attempts: before.failures });
    else if (isProven) this._want({ tier: machine.tier, reason: event.startsWith("promoted") ? "promoted" : "verified" });
    if (isLess || isProven) this._cause = "other";
  }

  _want(report) {
    const pending = this._pending;
    if (report.previousTier === undefined) {
      // That it fell back to this tier has been said or is about to be; that it works there is no news.
      if (report.tier === (pending?.tier ?? this.storage.get("reported tier"))) return;
      this._pending = { ...report, previousTier: this.storage.get("reported tier") ?? undefined };
    } else {
      this._pending = { ...report, previousTier: pending?.previousTier ?? report.previousTier };
    }
    const left = this._sentAt + APART_SECONDS * 1000 - this.clock.monotonic();
    const delay = Math.max(DELAY_SECONDS * 1000 * (0.5 + this.clock.random()), left);
    this._timer ??= this.clock.setTimeout(() => this._send(), delay);
  }

  async _send() {
    const report = this._pending;
    this._timer = this._pending = null;
    if (this.signal.aborted) return;
    this._sentAt = this.clock.monotonic();
    this.storage.set("reported tier", report.tier);
    const { roundTripMs } = this.requests;
    const userAgent = this.navigator?.userAgent?.replace(/[^ -~]/g, "").slice(0, MAX_USER_AGENT) || undefined;
    const { clientId, sessionId, signal } = this;
    await this.requests.report({ clientId, sessionId, ...report, rttMs: roundTripMs || undefined, userAgent }, { signal });
  }
}
