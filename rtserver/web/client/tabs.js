/**
 * Many tabs, one connection: the tab that holds a Web Lock reads for all, the others listen on a BroadcastChannel.
 *
 * Owns who leads, the leader's beat and its silence.  A lock goes to the next tab by itself when its page goes away;
 * a leader that sleeps holds it and says nothing, so listeners help themselves after a while.  Refuses to know what is
 * told.  Possible in secure contexts alone; elsewhere see places.js.
 */

const BEAT_SECONDS = 10;
const SILENCE_SECONDS = 35;
/** What only a leader tells; anything else is no sign of its life. */
export const LEADER_KINDS = ["beat", "events", "reset", "status"];

export class Tabs {
  static isPossible({ locks, BroadcastChannel }) {
    return Boolean(locks && BroadcastChannel);
  }

  /**
   * `say` is called with `lead`, `follow`, `silent`, and with what the leader tells: (kind, message).  `place` is what
   * the leader tells with each beat.
   */
  constructor({ locks, BroadcastChannel, clock }, name, say, place) {
    this.isLeader = false;
    this._clock = clock;
    this._say = say;
    this._place = place;
    this._abort = new AbortController();
    this._channel = new BroadcastChannel(`rtclient ${name}`);
    this._channel.onmessage = ({ data }) => this._hear(data);
    this._locks = locks;
    this._name = `rtclient ${name}`;
  }

  start() {
    this._request({ ifAvailable: true }, (lock) => {
      if (this._channel === null) return null; // closed before the answer came
      if (lock) return this._lead();
      this._follow();
      this._request({ signal: this._abort.signal }, () => this._lead());
      return null;
    });
  }

  /** Tell all other tabs; only the leader has something to tell, save for what is marked as anybody's. */
  tell(kind, message) {
    this._channel?.postMessage({ kind, message });
  }

  close() {
    this._abort.abort();
    this._clock.clearTimeout(this._timer);
    this._channel?.close();
    this._channel = null;
    this._release?.();
  }

  _request(options, then) {
    this._locks.request(this._name, options, then).catch((error) => {
      if (error?.name !== "AbortError") this._lead(); // no locks after all: better alone than mute
    });
  }

  _lead() {
    if (this._channel === null) return null;
    this.isLeader = true;
    this._clock.clearTimeout(this._timer);
    this._beat();
    this._say("lead");
    return new Promise((release) => (this._release = release));
  }

  _follow() {
    this._say("follow");
    this.tell("hello");
    this._listen();
  }

  _beat() {
    this.tell("beat", this._place());
    this._timer = this._clock.setTimeout(() => this._beat(), BEAT_SECONDS * 1000);
  }

  _listen() {
    this._clock.clearTimeout(this._timer);
    this._timer = this._clock.setTimeout(() => this._say("silent"), SILENCE_SECONDS * 1000);
  }

  _hear({ kind, message } = {}) {
    if (this._channel === null) return; // what was under way when it was closed
    if (!this.isLeader && LEADER_KINDS.includes(kind)) this._listen();
    this._say(kind, message);
  }
}
