/**
 * The browser client of rtserver: `connect()` follows one session over whatever the network lets through.
 *
 *     import { connect } from "/client/rtclient.js";
 *     const chat = connect({ sessionId: "case-1", history: 50, onEvent, onStatus });
 *     const event = await chat.send({ content: "Good morning" });
 *
 * Owns what applications see: the options, and the handle they get.  ES modules without a build step or a dependency;
 * types are in rtclient.d.ts, every option and status is explained in docs/client.rst.
 *
 * To read on: machine.js (the table of states), client.js (its actions), intake.js (each event once), stream.js and
 * polling.js (the tiers), sender.js (the outbox), tabs.js and places.js (many tabs).
 */

import { Client } from "./client.js";
import { browserEnvironment, randomId } from "./environment.js";
import { Heartbeat } from "./heartbeat.js";
import { Intake } from "./intake.js";
import { TIERS } from "./machine.js";
import { readOptions } from "./options.js";
import { Reporter } from "./reporter.js";
import { Requests } from "./requests.js";
import { Sender } from "./sender.js";
import { Sharing } from "./sharing.js";
import { SignIn } from "./signin.js";
import { Token } from "./token.js";
import { Typing } from "./typing.js";
import { Wake } from "./wake.js";

export { SendRefused } from "./sender.js";

/** States in which the server was heard a moment ago, so that it is worth sending. */
const WITH_A_WAY = ["live", "delayed", "polling"];

/** Follow a session; see docs/client.rst for the options.  Throws TypeError for options that cannot be. */
export function connect(options, environment = browserEnvironment()) {
  return new Connection(readOptions(options), environment).handle;
}

class Connection {
  constructor(options, environment) {
    this._options = options;
    this._clock = environment.clock;
    this._listeners = new Set(options.onStatus ? [options.onStatus] : []);
    this._life = new AbortController();
    const token = new Token(options.token, () => this._clock.now() + (this._client?.skewMs ?? 0));
    const requests = new Requests(options.api, token, environment);
    const { cursor, history, eventTypes } = options;
    const tiers = options.tiers.filter((tier) => tier !== "sse" || environment.EventSource !== undefined);
    const compact = options.compact ?? environment.navigator?.connection?.saveData === true;
    const settings = { requests, clock: this._clock, signal: this._life.signal, cursor, history, eventTypes, compact };
    this._intake = new Intake(settings, {
      event: (event) => this._call(options.onEvent, event),
      reset: (reset) => {
        this._sharing?.reset(reset);
        this._call(options.onReset, reset);
      },
      batch: (after, events) => this._sharing.batch(after, events),
      types: (types) => this._client.learn(types),
    });
    const core = {
      requests, token, environment, intake: this._intake, clientId: randomId(), tiers,
      heartbeat: new Heartbeat(options.heartbeat),
      knownTypes: new Set([...(eventTypes ?? []), ...options.types]), signIn: new SignIn(options.loginUrl, environment),
    };
    core.reporter = new Reporter({
      requests, clock: this._clock, storage: environment.sessionStorage, navigator: environment.navigator,
      clientId: core.clientId, sessionId: options.sessionId, signal: this._life.signal,
    });
    this._client = new Client(core, () => this._changed());
    this._typing = new Typing(requests, this._clock);
    this._wake = new Wake(environment, (word) => this._woke(word));
    this._shown = "";
    this._shownAt = -Infinity;
    this.handle = this._makeHandle();
    this._ready = this._begin(core, environment);
  }

  /** Begin as soon as it is known whose connection this is: what people say and read is never mixed up between them. */
  async _begin(core, environment) {
    const { api, identity, shareTabs, keepOutbox } = this._options;
    const { sessionStorage, localStorage } = environment;
    const who = identity ?? (core.token.isRenewable ? await knownSubject(core.token, api, sessionStorage) : core.token.subject());
    if (this._life.signal.aborted) return;
    const name = `${api} ${who ?? "cookie"}`;
    // Nobody knows whom a cookie stands for, and it may be another person's tomorrow: what waits stays in its tab, and
    // not over signing out.
    this._isKnown = who !== null;
    const kept = this._isKnown ? localStorage : sessionStorage;
    this._sender = new Sender(
      {
        requests: core.requests, clock: this._clock, locks: environment.locks, name,
        storage: keepOutbox ? kept : { get: () => null, set: () => false },
      },
      (entries) => this._call(this._options.onOutbox, entries),
      (kind, message) => this._sharing.tell(kind, message),
    );
    // One tab can read for another if both want the same; what waits to be sent is the person's, whatever is read.
    const { eventTypes: types, compact } = core.intake.parameters;
    const alike = `${types ?? ""}${compact ? " compact" : ""}`;
    this._sharing = new Sharing(this, { environment, name: `${name} ${alike}`, tiers: core.tiers, isShared: shareTabs });
    this._sharing.start();
  }

  get client() {
    return this._client;
  }

  get intake() {
    return this._intake;
  }

  get sender() {
    return this._sender;
  }

  get signal() {
    return this._life.signal;
  }

  get status() {
    return this._sharing?.status ?? this._client.status;
  }

  /** Tell everybody who watches, if there is news: `asOf` alone is told every few seconds at most. */
  changed() {
    const status = this.status;
    const shown = JSON.stringify({ ...status, asOf: null });
    const now = this._clock.monotonic();
    if (shown === this._shown && now - this._shownAt < 2000) return;
    const isWay = WITH_A_WAY.includes(status.state);
    const isNewWay = isWay && !this._hasWay;
    Object.assign(this, { _shown: shown, _shownAt: now, _hasWay: isWay });
    this._sharing?.tellStatus(status);
    for (const listener of this._listeners) this._call(listener, status);
    if (status.state === "signed-out" && !this._isKnown) this._sender?.forget();
    if (isNewWay) this._sender?.nudge();
    else if (isWay) this._sender?.drain();
  }

  _changed() {
    if (this.handle) this.changed();
  }

  _woke(word) {
    if (this._sharing === undefined) return undefined;
    if (word === "leave") return this._sharing.leave();
    if (word === "seen") return this._client.look();
    this._sharing.woke(word);
    this._client.woke(word);
    if (word !== "offline") this._sender.nudge();
    return undefined;
  }

  /** An error of the application's own is reported where such errors are, and stops nothing here. */
  _call(callback, argument) {
    try {
      callback?.(argument);
    } catch (error) {
      (globalThis.reportError ?? console.error)(error);
    }
  }

  async _send(data, type) {
    if (this._life.signal.aborted) throw new TypeError("the connection is closed");
    if (typeof data !== "object" || data === null || Array.isArray(data)) {
      throw new TypeError('send() takes an object, for example {content: "Good morning"}');
    }
    if (this._sender === undefined) await this._ready;
    if (this._life.signal.aborted) throw new TypeError("the connection is closed");
    const sent = this._sender.send(type, data);
    if (!["reconnecting", "offline", "blocked", "signed-out", "stopped"].includes(this.status.state)) this._sender.drain();
    return sent;
  }

  _close() {
    if (this._life.signal.aborted) return;
    this._wake.close();
    this._sharing?.close();
    this._client.close();
    this._sender?.close();
    this._life.abort();
  }

  _makeHandle() {
    const connection = this;
    return Object.freeze({
      get status() {
        return connection.status;
      },
      /** The last changes of state, oldest first: what a help desk wants to see. */
      get transitions() {
        return [...connection._client.transitions];
      },
      get sessionId() {
        return connection._options.sessionId;
      },
      send: (data, type = "message_added") => this._send(data, type),
      typing: (isTyping = true) => this._typing.say(isTyping, this.status.features.typingIndicators),
      refresh: () => this._sharing?.refresh(),
      close: () => this._close(),
      /** Call `listener` with the status, now and at every change; returns what ends that. */
      watch: (listener) => {
        this._listeners.add(listener);
        this._call(listener, this.status);
        return () => this._listeners.delete(listener);
      },
    });
  }
}

/** Return whose token it is; if it cannot be had now, whose it was before in this tab, or nobody's. */
async function knownSubject(token, api, sessionStorage) {
  try {
    await token.current();
    // A token that names nobody is another one tomorrow, whoever comes.
    sessionStorage.set(`who ${api}`, token.claimed());
    return token.subject();
  } catch {
    const before = sessionStorage.get(`who ${api}`);
    token.expect(before);
    return before ?? `nobody ${randomId()}`;
  }
}

export { TIERS };
