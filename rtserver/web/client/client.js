/**
 * The client: one reader of one session, from `start` to `close`.
 *
 * Owns a state machine and carries its actions out; each action is a method below, under the name in the table of
 * machine.js.  Decides nothing that the machine decides, and hands events over as the intake gives them.  What a
 * browser is - clock, network, storage - comes with the environment.
 */

import { Attempt } from "./attempt.js";
import { MAX_RETRY_AFTER, promotionDelay, retryDelay, slowDelay } from "./backoff.js";
import { expectedDelay, featuresOf } from "./features.js";
import { begin, step } from "./machine.js";
import { openStream } from "./opening.js";
import { Polling } from "./polling.js";
import { promote } from "./promotion.js";
import { reasonFor, tierInUse, wordFor } from "./status.js";

export const SSE_SECONDS = 10;
export const LONG_POLL_SECONDS = 15;
const PROOF_HOLD_SECONDS = 10;
const MAX_TRANSITIONS = 30;
/** A heartbeat may be late once; after two and a little, the path is dead. */
const MISSED_BEATS = 2;
const BEAT_SLACK_SECONDS = 5;
const DATE_MS = 1500;
/** A token function that gives tokens which are about to end makes no storm of streams. */
const SHORTEST_RENEWAL_SECONDS = 10;
/** Somebody who presses "Try now" again and again sends no more than one request a second. */
const REFRESH_SECONDS = 1;

export class Client {
  /** `core`: {requests, intake, token, signIn, reporter, environment, clientId, heartbeat, tiers}; `changed` hears. */
  constructor(core, changed) {
    Object.assign(this, core);
    this.clock = core.environment.clock;
    this.polling = new Polling({ ...core, clock: this.clock });
    this.transitions = [];
    this._changed = changed;
    this._attempt = new Attempt(this.clock);
    this._machine = begin(this.tiers);
    this._facts = { reason: null, nextRetryAt: null, asOf: null };
    this._retries = 0;
    this._promotions = 0;
    this._refreshedAt = -Infinity;
    this._askedUntil = -Infinity;
    this._skewMs = 0;
    this._begunAt = 0;
  }

  /** How far the server's clock is ahead of this device's, as far as it is known. */
  get skewMs() {
    return this._skewMs;
  }

  get state() {
    return this._machine.state;
  }

  get status() {
    const tier = tierInUse(this._machine);
    return {
      state: wordFor(this._machine),
      tier,
      ...this._facts,
      expectedDelay: expectedDelay(tier, this.polling.interval),
      features: featuresOf(this.intake.snapshot?.features, tier),
    };
  }

  /** Begin with these tiers; the one that worked last in this browser session comes first. */
  start(tiers) {
    if (this.state === "closed") return;
    this["stop tier"](); // it may have helped itself by polling
    const remembered = this.environment.sessionStorage.get("tier");
    this._machine = begin(tiers, remembered);
    this._begunAt = this.clock.monotonic();
    this.dispatch("start");
  }

  /** Use other tiers from now on: there is a place for a held connection, or there is none any more. */
  allow(tiers) {
    if (this.state === "closed") return;
    if (tiers.join() === this._machine.tiers.join()) return;
    this._machine = { ...this._machine, tiers };
    if (tiers.includes(this._machine.tier)) this.dispatch("promote due");
    else this.rest(() => this.start(tiers));
  }

  /** Stop everything without a word, as if it had not been started. */
  rest(then = () => {}) {
    if (this.state === "closed") return;
    this["stop tier"]();
    this._machine = begin(this.tiers);
    then();
  }

  /** Listen for these types on every stream from now on: an EventSource tells nothing of others. */
  learn(types) {
    for (const type of types) {
      if (this.knownTypes.has(type)) continue;
      this.knownTypes.add(type);
      this._attempt.listen(type);
    }
  }

  /** The page is seen again: timers may have slept, so look at once whether all is well. */
  look() {
    this._look?.();
  }

  /** Tell the machine what happened, and do what it wants. */
  dispatch(event, detail = {}) {
    const before = this._machine;
    const { machine, actions } = step(before, event);
    this._machine = machine;
    if (machine === before && actions.length === 0) return;
    if (machine.state !== before.state || actions.includes("wait retry")) {
      this._facts.reason = reasonFor(event, machine, this._facts.reason);
      this._note(before, event, machine);
    }
    this.reporter?.saw(before, event, machine);
    for (const action of actions) this[action](detail);
    this._changed();
  }

  /** The server has given a sign of life; `serverMs` is its clock. */
  heard(serverMs = null) {
    const skewMs = serverMs === null ? this._skewMs : serverMs - this.clock.now();
    // A Date has whole seconds; what differs by less is the same clock.
    if (Math.abs(skewMs - this._skewMs) > DATE_MS) this._skewMs = skewMs;
    this._heardAt = this.clock.now();
    this._facts.asOf = new Date(this._heardAt + this._skewMs).toISOString();
    this._changed();
  }

  /** The device woke up, or its network came or went.  What the server asked for holds all the same. */
  woke(word) {
    const isWaiting = ["reconnecting", "offline"].includes(this.state);
    if (word !== "offline" && isWaiting && this._askedSeconds() > 0) return;
    this.dispatch(word);
  }

  refresh() {
    const now = this.clock.monotonic() / 1000;
    if (now - this._refreshedAt < REFRESH_SECONDS) return;
    this._refreshedAt = now;
    this.signIn.rearm();
    this.dispatch("refresh");
    this.dispatch("promote due");
  }

  close() {
    this.dispatch("close");
  }

  _note(before, event, machine) {
    const at = new Date(this.clock.now() + this._skewMs).toISOString();
    this.transitions.push({ at, from: before.state, event, to: machine.state, tier: machine.tier });
    this.transitions.splice(0, this.transitions.length - MAX_TRANSITIONS);
  }

  // Requests

  async "ask control"() {
    this._attempt.cancel("retry");
    this._facts.nextRetryAt = null;
    if (this._isAsking) return;
    const attempt = this._attempt;
    this._isAsking = true;
    const answer = await this.intake.begin(attempt.signal);
    if (attempt.isOver) return;
    this._isAsking = false;
    this._answered(answer);
  }

  async "ask why"() {
    const attempt = this._attempt;
    const parameters = { ...this.intake.parameters, lastEventId: this.intake.cursor };
    const answer = await this.requests.get("/events", parameters, { signal: attempt.signal, accept: "text/event-stream" });
    if (attempt.isOver) return;
    if (answer.status === 204) this.dispatch("ended");
    else if (["busy", "sign-in", "forbidden", "gone"].includes(answer.verdict)) this.dispatch(answer.verdict, answer);
    else this["ask control"]();
  }

  async resync() {
    const attempt = this._attempt;
    const answer = await this.intake.catchUp(attempt.signal);
    if (attempt.isOver || answer.isOwnAbort) return;
    if (answer.verdict === "ok") this.heard(this.requests.lastAnswerAt);
    else if (["sign-in", "forbidden", "gone", "ended"].includes(answer.verdict)) this.dispatch(answer.verdict, answer);
    else this.dispatch("resync failed", answer);
  }

  _answered(answer) {
    if (answer.isOwnAbort) return;
    if (answer.verdict === "ok") this.heard(this.requests.lastAnswerAt);
    this.dispatch(answer.verdict, answer);
  }

  // Tiers

  "start tier"() {
    const attempt = this._attempt;
    const { tier } = this._machine;
    if (tier === "short-poll") return this._poll(() => this.polling.short(attempt.signal));
    const limit = tier === "sse" ? SSE_SECONDS : LONG_POLL_SECONDS;
    // The first tier's time counts from the beginning: whoever opened the page waits no longer than that.
    const passed = tier === "sse" && !this._machine.verified && this._begunAt !== null ? this._secondsSinceBegin() : 0;
    this._begunAt = null;
    attempt.after("deadline", Math.max(limit / 2, limit - passed), () => this.dispatch("deadline"));
    if (tier === "long-poll") return this._poll(() => this.polling.long(attempt.signal, 0));
    return openStream(this, attempt, this._listener(attempt));
  }

  hold() {
    const { signal } = this._attempt;
    this._poll(() => this.polling.long(signal, PROOF_HOLD_SECONDS));
  }

  "go on"() {
    const attempt = this._attempt;
    const isLong = this._machine.tier === "long-poll";
    attempt.after("poll", this.polling.delay, () => {
      this._poll(() => (isLong ? this.polling.long(attempt.signal) : this.polling.short(attempt.signal)));
    });
  }

  "poll now"() {
    const { signal } = this._attempt;
    this._attempt.cancel("poll");
    if (!this._isPolling) this._poll(() => this.polling.short(signal));
  }

  async _poll(send) {
    const attempt = this._attempt;
    this._isPolling = true;
    const answer = await send();
    if (attempt.isOver) return;
    this._isPolling = false;
    this._answered(answer);
  }

  _secondsSinceBegin() {
    return (this.clock.monotonic() - this._begunAt) / 1000;
  }

  /** Return what hears a stream that is this client's own. */
  _listener(attempt) {
    return (word, detail) => {
      // That a stream broke, and the verdict on a request for a ticket, are no signs of life.
      const isLife = !word.startsWith("stream ") && detail.verdict === undefined;
      if (isLife) this.heard(Date.parse(detail.at ?? detail.serverTime ?? "") || null);
      if (word === "event") this.intake.event(detail);
      else if (word === "cursor") this.intake.seen(detail.cursor);
      else if (word === "reset") this.intake.reset(detail);
      else if (word === "connected") this._connected(attempt, detail);
      else if (word === "lasted") this._lasted();
      else if (word !== "heartbeat") this.dispatch(word, this._goodbye(detail));
    };
  }

  /** Return what hears a stream that is tried beside the running tier; `judge` gets what it proves. */
  listenBeside(trial, judge) {
    const hear = this._listener(trial);
    return (word, detail) => {
      if (this._attempt === trial || ["event", "cursor", "reset", "heartbeat"].includes(word)) return hear(word, detail);
      if (word === "connected") {
        this.watch(trial, detail.heartbeatInterval);
        this.renewInTime(trial);
      }
      return judge(word);
    };
  }

  /** An end that came for this stream alone needs no spreading; after others the usual delay is kept. */
  _goodbye(detail) {
    const isOurs = ["max_connection_time", "token_expired"].includes(detail.reason);
    return isOurs ? { ...detail, retryIn: this.clock.random() } : detail;
  }

  _lasted() {
    this._promotions = 0;
    this.dispatch("lasted");
  }

  _connected(attempt, detail) {
    this.watch(attempt, detail.heartbeatInterval);
    this.renewInTime(attempt);
    this.dispatch("connected");
  }

  /** Look after the heartbeat; timers are late in hidden pages, so the clock decides. */
  watch(attempt, heartbeatSeconds = 30) {
    const limit = MISSED_BEATS * heartbeatSeconds + BEAT_SLACK_SECONDS;
    this._heardAt = this.clock.now();
    const look = () => {
      const left = limit - (this.clock.now() - this._heardAt) / 1000;
      if (left <= 0) this.dispatch("silent");
      else attempt.after("watchdog", left, look);
    };
    this._look = () => !attempt.isOver && look();
    attempt.after("watchdog", limit, look);
  }

  /** Before the token ends, another stream takes over with a new one. */
  renewInTime(attempt) {
    const left = this.token.isRenewable ? this.token.secondsLeft() : null;
    if (left !== null) attempt.after("renewal", Math.max(SHORTEST_RENEWAL_SECONDS, left), () => this._replaceStream(attempt));
  }

  _replaceStream(attempt) {
    const old = [...attempt.streams];
    const hear = this._listener(attempt);
    openStream(this, attempt, (word, detail) => {
      if (word === "connected") for (const stream of old) attempt.drop(stream);
      // What goes wrong with it is left to the old one's end.
      if (word === "connected" || !old.some((stream) => attempt.streams.has(stream))) hear(word, detail);
    });
  }

  settle() {
    this.signIn.rearm();
    this._attempt.cancel("deadline");
    this._retries = 0;
  }

  "stop tier"() {
    this._attempt.end();
    this._attempt = new Attempt(this.clock);
    this._isPolling = false;
    this._isAsking = false;
    this._facts.nextRetryAt = null;
  }

  "remember tier"() {
    // A tier that was taken for want of a place, or of a leader, has been compared to none.
    if (this._machine.tiers.length < this.tiers.length) return;
    this.environment.sessionStorage.set("tier", this._machine.tier);
  }

  // Waiting

  "wait retry"({ retryAfter = 0, retryIn = null }) {
    const { tier } = this._machine;
    this._askedUntil = this.clock.now() + retryAfter * 1000;
    this._wait(retryIn ?? retryDelay(tier, this._retries++, this.clock.random(), retryAfter));
    if (this.environment.navigator?.onLine === false) this._attempt.after("hint", 0, () => this.dispatch("offline"));
  }

  "wait slowly"(answer) {
    if (answer.isRedirect) this.signIn.goOnce();
    this._wait(Math.max(slowDelay(this.clock.random()), this._askedSeconds()));
  }

  /** Return how long the server wants to be left alone; a clock that was set back makes it no longer. */
  _askedSeconds() {
    return Math.min(MAX_RETRY_AFTER, (this._askedUntil - this.clock.now()) / 1000);
  }

  _wait(seconds) {
    this._facts.nextRetryAt = new Date(this.clock.now() + seconds * 1000).toISOString();
    this._attempt.after("retry", seconds, () => this.dispatch("retry due"));
  }

  // Promotion

  "promote later"() {
    const seconds = promotionDelay(this._promotions++, this.clock.random());
    this._attempt.after("promotion", seconds, () => this.dispatch("promote due"));
  }

  async "start promotion"() {
    const attempt = this._attempt;
    // However often somebody asks, one is tried at a time.
    if (this._trial && !this._trial.isOver) return;
    const trial = (this._trial = attempt.own(new Attempt(this.clock)));
    const found = await promote(this, trial, this._machine);
    if (attempt.isOver) return;
    if (found === null) attempt.drop(trial);
    this.dispatch(found === null ? "promotion failed" : `promoted to ${found}`);
  }

  /** What was verified beside becomes what runs; the old tier's requests end. */
  "adopt promotion"() {
    const old = this._attempt;
    this._attempt = this._trial;
    this._trial = null;
    old.disown(this._attempt);
    old.end();
    this._isPolling = false;
    // One that was of no use before may be again: it is probed less and less often until one has lasted.
    if (this._machine.strikes === 0) this._promotions = 0;
    this._facts.nextRetryAt = null;
  }

  "sign in"() {
    this.signIn.go();
  }
}
