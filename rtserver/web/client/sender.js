/**
 * The sender: what was said goes to the server, once and in order, now or when there is a way again.
 *
 * Owns driving the outbox: kept for all tabs of the browser, sent by one tab at a time, entry by entry.  A message has
 * its `messageId` from the first moment, so a repeat after a lost answer - or by another tab - publishes nothing twice.
 * Refuses to know tiers; it is told when it is worth trying.
 */

import { retryDelay } from "./backoff.js";
import { randomId } from "./environment.js";
import { add, after, merge, outcome, parse, remove } from "./outbox.js";

/** The server remembers a `messageId` for at least a day; what is older than that could be published twice. */
const MAX_AGE_SECONDS = 23 * 3600;
/** So many answers are remembered, until storage says the same in every tab. */
const MAX_DONE = 1000;

/** Why a message will never arrive; `problem` is the server's own document, where there is one. */
export class SendRefused extends Error {
  constructor(message, status = 0, problem = null) {
    super(message);
    Object.assign(this, { name: "SendRefused", status, problem });
  }
}

export class Sender {
  /** `settings` are {requests, storage, locks, clock, name}; `say` is called with (kind, message) for other tabs. */
  constructor(settings, onOutbox, say) {
    Object.assign(this, settings);
    this._onOutbox = onOutbox;
    this._say = say;
    this._known = []; // what any tab said: storage is late between tabs, and may keep nothing
    this._done = new Set(); // what was answered, for the same reason
    this._waiting = new Map(); // messageId -> {resolve, reject}
    this._isDraining = false;
    this._attempt = 0;
    this._notBefore = -Infinity; // when the next try is due
    this._askedUntil = -Infinity; // until when the server asked to wait
    this._shown = "[]";
    this.isClosed = false;
  }

  /** Put a message into the outbox; the promise is its event. */
  send(type, data) {
    const before = this._load();
    const at = after(before, this.clock.now());
    const entry = { messageId: data.messageId ?? randomId(), type, data, at };
    const entries = add(before, entry);
    if (entries === null) return Promise.reject(new SendRefused("too many messages wait to be sent"));
    this._known.push(entry);
    this._save(entries);
    const sent = new Promise((resolve, reject) => this._waiting.set(entry.messageId, { resolve, reject }));
    this._say("outbox", entry);
    return sent;
  }

  /** Another tab has said or sent something. */
  hear(kind, message) {
    if (kind === "outbox") this._known = merge(this._known, [message]);
    if (kind === "wait") this._wait(message.seconds, true);
    if (kind === "sent") this._settle(message.messageId, (waiting) => waiting.resolve(message.event));
    if (kind === "refused") {
      this._settle(message.messageId, (waiting) => waiting.reject(new SendRefused(message.reason, message.status, message.problem)));
    }
    this._show(this._load());
  }

  /** There is a way again: what failed without one need not wait any longer, save for what the server asked. */
  nudge() {
    this._notBefore = this._askedUntil;
    return this.drain();
  }

  /** Nobody knows who comes next: what waits is refused, rather than sent as somebody else's. */
  forget() {
    for (const { messageId } of this._load()) this._refuse(messageId, { reason: "signed out before it was sent", status: 401, problem: null });
  }

  /** Send what waits, if it is time and nobody else does. */
  async drain() {
    if (this._isDraining || this._isWaiting || this.isClosed || this._load().length === 0) return;
    this._isDraining = true;
    this.clock.clearTimeout(this._timer);
    try {
      if (this.locks) await this.locks.request(`rtclient send ${this.name}`, () => this._sendAll());
      else await this._sendAll();
    } catch {
      // No lock is given to a page that goes away; what waits is kept.
    } finally {
      this._isDraining = false;
    }
  }

  get _isWaiting() {
    return this.clock.monotonic() < this._notBefore;
  }

  close() {
    this.isClosed = true;
    this.clock.clearTimeout(this._timer);
    for (const { reject } of this._waiting.values()) reject(new SendRefused("closed before it was sent; it is kept"));
    this._waiting.clear();
  }

  async _sendAll() {
    // While the lock was not ours, its owner may have been asked to wait.
    for (let entries = this._load(); entries.length > 0 && !this.isClosed && !this._isWaiting; entries = this._load()) {
      const [{ messageId, type, data, at }] = entries;
      if (this.clock.now() - at > MAX_AGE_SECONDS * 1000) {
        this._refuse(messageId, { reason: "it waited for more than 23 hours", status: 0, problem: null });
        continue;
      }
      const answer = await this.requests.post("/events", { type, data, messageId }, { isPersonal: true });
      const result = outcome(answer.verdict, answer.status);
      if (result === "later") return this._later(answer);
      this._attempt = 0;
      const event = answer.body?.events?.[0];
      if (result === "refused") {
        const reason = answer.body?.detail ?? "the server refused it";
        this._refuse(messageId, { reason, status: answer.status, problem: answer.body });
      } else if (event) {
        this._announce("sent", { messageId, event: { ...event, data: { ...data, messageId } } });
      } else {
        return this._later({ verdict: "page", retryAfter: 0 });
      }
    }
    return undefined;
  }

  _later({ verdict, retryAfter }) {
    const seconds = retryDelay("sse", this._attempt++, this.clock.random(), retryAfter);
    this._wait(seconds, retryAfter > 0);
    if (retryAfter > 0) this._say("wait", { seconds });
    // Told by the reading side, which asks again when it can.
    if (verdict === "sign-in") this.clock.clearTimeout(this._timer);
  }

  _wait(seconds, isAsked) {
    this._notBefore = this.clock.monotonic() + seconds * 1000;
    if (isAsked) this._askedUntil = this._notBefore;
    this.clock.clearTimeout(this._timer);
    this._timer = this.clock.setTimeout(() => {
      // Timers are early by a moment now and then.
      this._notBefore = this._askedUntil = -Infinity;
      this.drain();
    }, seconds * 1000);
  }

  _refuse(messageId, message) {
    this._announce("refused", { messageId, ...message });
  }

  _announce(kind, message) {
    this._settled(message.messageId);
    this._save(this._load());
    this._say(kind, message);
    this.hear(kind, message);
  }

  _settle(messageId, then) {
    this._settled(messageId);
    const waiting = this._waiting.get(messageId);
    this._waiting.delete(messageId);
    if (waiting) then(waiting);
  }

  _settled(messageId) {
    this._known = remove(this._known, messageId);
    this._done.add(messageId);
    if (this._done.size > MAX_DONE) this._done.delete(this._done.values().next().value);
  }

  _load() {
    const kept = merge(parse(this.storage.get(`outbox ${this.name}`)), this._known);
    return kept.filter(({ messageId }) => !this._done.has(messageId));
  }

  _save(entries) {
    this.storage.set(`outbox ${this.name}`, entries.length > 0 ? JSON.stringify(entries) : null);
    this._show(entries);
  }

  _show(entries) {
    const shown = JSON.stringify(entries);
    if (shown === this._shown) return;
    this._shown = shown;
    this._onOutbox(entries);
  }
}
