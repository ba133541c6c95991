/**
 * Sharing: which part this tab plays, and what tabs tell each other.
 *
 * Alone, leading or following.  A follower has its own history and its own outbox and gets events and status from the
 * leader; when the leader falls silent it helps itself by polling.  A tab that reads for itself needs a place to hold a
 * connection (places.js) and polls where it gets none.  Owns the part; refuses to know what events mean.
 */

import { retryDelay } from "./backoff.js";
import { pause } from "./pause.js";
import { Places } from "./places.js";
import { LEADER_KINDS, Tabs } from "./tabs.js";

const NEXT_PLACE_SECONDS = 30;
/** However often somebody presses "Try now". */
const REFRESH_MS = 1000;

export class Sharing {
  /** `connection` has client, intake, sender, signal and `changed`. */
  constructor(connection, { environment, name, tiers, isShared }) {
    this._connection = connection;
    this._clock = environment.clock;
    this._tiers = tiers;
    this._places = new Places(environment);
    this._isFollowing = false;
    this._leaderStatus = null;
    this._refreshedAt = -Infinity;
    const isPossible = isShared && Tabs.isPossible(environment);
    const hear = (kind, message) => this._hear(kind, message);
    this._tabs = isPossible ? new Tabs(environment, name, hear, () => connection.intake.place) : null;
  }

  /** The status to show: a follower has the leader's. */
  get status() {
    const isListening = this._isFollowing && this._connection.client.state === "new";
    return isListening ? this._leaderStatus : null;
  }

  start() {
    if (this._tabs) this._tabs.start();
    else this._read();
  }

  refresh() {
    if (!this._isFollowing) return this._connection.client.refresh();
    const now = this._clock.monotonic();
    if (now - this._refreshedAt < REFRESH_MS) return undefined;
    this._refreshedAt = now;
    this._catchUp();
    return this.tell("refresh");
  }

  tell(kind, message) {
    this._tabs?.tell(kind, message);
  }

  tellStatus(status) {
    if (this._tabs?.isLeader) this.tell("status", status);
  }

  batch(after, events) {
    if (this._tabs?.isLeader) this.tell("events", { after, events });
  }

  reset(reset) {
    if (this._tabs?.isLeader) this.tell("reset", reset);
  }

  woke(word) {
    if (word === "offline") return;
    if (this._isFollowing) this._catchUp();
    else if (this._hasLeft) this._comeBack();
  }

  /** The page goes; should it come back, from the browser's cache, it needs a place again. */
  leave() {
    this._hasLeft = this._places.isHeld;
    this._places.release();
  }

  async _comeBack() {
    this._hasLeft = false;
    const isHeld = await this._places.take();
    if (this._connection.signal.aborted) return this._places.close();
    if (isHeld) return undefined;
    this._connection.client.allow(this._tiers.slice(-1));
    this._askAgain();
    return undefined;
  }

  close() {
    this._clock.clearTimeout(this._timer);
    this._tabs?.close();
    this._places.close();
  }

  _hear(kind, message) {
    const { client, intake, sender } = this._connection;
    if (kind === "lead") this._lead();
    else if (kind === "follow") this._follow();
    else if (kind === "silent" && this._isFollowing) client.start(this._tiers.slice(-1));
    else if (["outbox", "sent", "refused", "wait"].includes(kind)) this._hearOutbox(sender, kind, message);
    else if (kind === "refresh" && this._tabs.isLeader) client.refresh();
    else if (kind === "hello" && this._tabs.isLeader) this.tell("status", client.status);
    else if (this._isFollowing && LEADER_KINDS.includes(kind)) this._hearLeader(client, intake, kind, message);
  }

  _hearLeader(client, intake, kind, message) {
    if (client.state !== "new") client.rest(); // the leader is back
    if (kind === "events") intake.relayed(message.after, message.events);
    else if (kind === "reset") intake.reset(message);
    else if (kind === "beat") intake.beside(message);
    else if (kind === "status") {
      this._leaderStatus = message;
      if (message.state === "signed-out") client.signIn.go();
      this._connection.changed();
    }
  }

  _hearOutbox(sender, kind, message) {
    sender.hear(kind, message);
    // Whoever reads sends, so that a tab that is closed leaves nothing behind.
    if (kind === "outbox" && this._tabs.isLeader) this._connection.changed();
    if (kind === "outbox" && this._tabs.isLeader) sender.drain();
  }

  _lead() {
    this._isFollowing = false;
    this._leaderStatus = null;
    this._read();
  }

  async _follow() {
    this._isFollowing = true;
    const { client, intake, signal } = this._connection;
    for (let attempt = 0; this._isFollowing && !signal.aborted; attempt++) {
      const answer = await intake.begin(signal);
      if (["ok", "ended"].includes(answer.verdict)) break;
      if (["sign-in", "forbidden", "gone"].includes(answer.verdict)) return client.dispatch("start");
      if (answer.isRedirect) client.signIn.goOnce();
      await pause(this._clock, retryDelay("sse", attempt, this._clock.random(), answer.retryAfter), signal);
    }
    return undefined;
  }

  _catchUp() {
    const { intake, signal } = this._connection;
    if (intake.cursor !== null) intake.catchUp(signal);
  }

  /** Read for oneself: with a place by any tier, without one by polling, until there is one. */
  async _read() {
    const { client, signal } = this._connection;
    const isAlone = this._tiers.length === 1;
    const hasPlace = isAlone || (await this._places.take());
    if (signal.aborted) return this._places.close();
    client.start(hasPlace ? this._tiers : this._tiers.slice(-1));
    if (!hasPlace) this._askAgain();
    return undefined;
  }

  _askAgain() {
    const seconds = NEXT_PLACE_SECONDS * (0.75 + 0.5 * this._clock.random());
    this._timer = this._clock.setTimeout(async () => {
      const isHeld = await this._places.take();
      if (this._connection.signal.aborted) this._places.close();
      else if (isHeld) this._connection.client.allow(this._tiers);
      else this._askAgain();
    }, seconds * 1000);
  }
}
