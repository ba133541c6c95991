/**
 * Long and short polls: what they ask, and when to ask again.
 *
 * Owns the parameters of both, the ETag of a short poll, how long a poll is held, and the pace.  One poll at a time,
 * sent under the attempt it belongs to.  Refuses to decide between tiers.
 */

import { holdAfterCut, pollInterval } from "./backoff.js";
import { timestampOf } from "./cursor.js";
import { Pace } from "./pace.js";
import { pause } from "./pause.js";

const HOLD_SECONDS = 30;
/** How much longer than a poll is held the client waits for its answer. */
const SLACK_SECONDS = 10;
/** Failing sooner than this is not being cut but finding nobody. */
const CUT_SECONDS = 0.5;
const MAX_CUTS = 3;
/** What a proxy says that has waited too long for an answer. */
const WAITED_TOO_LONG = [408, 502, 504];

export class Polling {
  /** `core` is {requests, intake, clock, clientId}. */
  constructor(core) {
    Object.assign(this, core);
    this.interval = pollInterval(null);
    this.delay = 0; // seconds until the next poll is worth it
    this._hold = HOLD_SECONDS;
    this._pace = new Pace();
    this._etag = null;
    this._cuts = 0; // in a row
    this._cutAfter = 0; // how long the last of them was held
  }

  /** A poll that is answered when there is news, at the latest after `seconds`. */
  async long(signal, seconds = this._hold) {
    await this._paced(signal);
    const { requests, intake } = this;
    const parameters = { ...intake.parameters, lastEventId: intake.cursor, timeout: seconds, clientId: this.clientId };
    if (requests.roundTripMs > 0 && seconds === 0) this._roundTripMs = requests.roundTripMs;
    if (this._roundTripMs) parameters.rtt = this._roundTripMs;
    const answer = await requests.get("/updates", parameters, { signal, timeout: seconds + SLACK_SECONDS });
    if (answer.verdict !== "ok") return this._wasCut(seconds, answer);
    if (answer.elapsed >= this._cutAfter) this._cuts = 0;
    this._note(answer);
    intake.page(answer);
    this.delay = answer.status === 204 ? answer.retryAfter : 0;
    return { ...answer, verdict: answer.body?.closed ? "ended" : "ok" };
  }

  /**
   * What cuts a held request is asked to hold less the next time.  Cut again and again, with nothing held as long in
   * between, is no accident: quick answers of a lively session prove nothing of silence.
   */
  _wasCut(seconds, answer) {
    const isCut = answer.verdict === "failed" || WAITED_TOO_LONG.includes(answer.status);
    if (!isCut || answer.isOwnAbort || answer.elapsed < CUT_SECONDS) return answer;
    this._cuts += 1;
    this._cutAfter = answer.elapsed;
    if (answer.elapsed > 5) this._hold = Math.min(seconds, holdAfterCut(answer.elapsed));
    if (this._cuts < MAX_CUTS) return { ...answer, verdict: "failed" };
    this._cuts = 0;
    return { ...answer, verdict: "broken" };
  }

  /** A poll that is answered at once. */
  async short(signal) {
    await this._paced(signal);
    const { intake } = this;
    const cursor = intake.cursor;
    const parameters = { ...intake.parameters, since: timestampOf(cursor), lastEventId: cursor };
    const headers = this._etag?.cursor === cursor ? { "If-None-Match": this._etag.value } : {};
    const answer = await this.requests.get("/updates", parameters, { signal, headers });
    if (answer.verdict !== "ok") return answer;
    this._note(answer);
    const hasMore = intake.page(answer);
    const etag = answer.headers.get("etag");
    if (etag && !hasMore) this._etag = { cursor: intake.cursor, value: etag };
    this.delay = hasMore ? 0 : this.interval;
    return answer;
  }

  _note({ headers }) {
    this.interval = pollInterval(headers.get("poll-interval"));
  }

  _paced(signal) {
    return pause(this.clock, this._pace.take(this.clock.monotonic() / 1000), signal);
  }
}
