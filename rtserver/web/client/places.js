/**
 * Places: of all tabs of a browser, two may hold a connection to the host at the same time.
 *
 * Browsers open six connections per host over HTTP/1.1, and the seventh request hangs without a word.  Owns who holds
 * one of the two places: by Web Locks where there are any, else by asking the other tabs over a BroadcastChannel.
 * Whoever gets none polls, and asks again later.  Refuses to know what the place is used for.
 */

import { randomId } from "./environment.js";

export const PLACES = 2;
/** How long other tabs have to answer.  Tabs that are asleep do not, and hold nothing either. */
const ANSWER_SECONDS = 0.2;

export class Places {
  constructor({ locks, BroadcastChannel, clock }) {
    this.isHeld = false;
    this._locks = locks;
    this._clock = clock;
    this._release = null;
    if (!locks && BroadcastChannel) this._open(BroadcastChannel);
  }

  /** Take a place; return whether there was one. */
  async take() {
    if (!this.isHeld) this.isHeld = await (this._locks ? this._takeLock() : this._channel ? this._claim() : true);
    return this.isHeld;
  }

  release() {
    if (this.isHeld && this._channel) this._say("left");
    this.isHeld = false;
    this._release?.();
    this._release = null;
  }

  close() {
    this.release();
    this._channel?.close();
    this._channel = null;
  }

  async _takeLock() {
    for (let number = 1; number <= PLACES; number++) {
      const isTaken = await new Promise((resolve) => {
        const hold = (lock) => {
          resolve(lock !== null);
          return lock && new Promise((release) => (this._release = release));
        };
        this._locks.request(`rtclient place ${number}`, { ifAvailable: true }, hold).catch(() => resolve(false));
      });
      if (isTaken) return true;
    }
    return false;
  }

  _open(BroadcastChannel) {
    this._id = randomId();
    this._others = new Set(); // who said to hold a place
    this._channel = new BroadcastChannel("rtclient places");
    this._channel.onmessage = ({ data }) => {
      if (data?.kind === "held") this._others.add(data.id);
      if (data?.kind === "left") this._others.delete(data.id);
      if (data?.kind === "who" && this.isHeld) this._say("held");
    };
  }

  /** Claim a place unless two hold one; of those who claim at the same time, the smaller ids win. */
  async _claim() {
    this._others.clear();
    this._say("who");
    await this._wait();
    if (this._others.size >= PLACES) return false;
    this.isHeld = true; // so that whoever asks from now on is answered
    this._say("held");
    await this._wait();
    const before = [...this._others].filter((id) => id < this._id).length;
    if (this._others.size >= PLACES && before >= PLACES) this.release();
    return this.isHeld;
  }

  _say(kind) {
    this._channel?.postMessage({ kind, id: this._id });
  }

  _wait() {
    return new Promise((resolve) => this._clock.setTimeout(resolve, ANSWER_SECONDS * 1000));
  }
}
