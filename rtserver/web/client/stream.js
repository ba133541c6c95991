/**
 * The stream shell: one native EventSource, heard as words of the state machine.
 *
 * Owns one EventSource and what it has proven: `connected`, and `probe` at least half a second later.  That it opened
 * proves nothing (docs/client.rst).  It never reconnects by itself: when it breaks it is closed, and says so.
 *
 * An EventSource tells nothing of types that nobody listens for: `types` are those listened for at first, `listen` adds
 * more, and whoever owns this notices missing sequences.
 */

import { timestampOf } from "./cursor.js";
import { TRANSIENT_TYPES } from "./inbox.js";

/** What came apart by so much came through nothing that gathers bytes. */
export const PROBE_APART_MS = 500;
/** What ends sooner, unannounced, was of little use. */
export const CUT_EARLY_MS = 20_000;
/** What is heard for so long is worth having. */
export const LASTING_MS = 120_000;
export const KNOWN_TYPES = [
  "message_added", "participant_joined", "participant_left", "ai_response_ready", "session_status_changed",
  ...TRANSIENT_TYPES,
];
const GOODBYES = { removed: "forbidden", session_deleted: "gone", session_closed: "ended" };

export class Stream {
  /**
   * `hear` is called with (word, detail): `connected`, `probe apart`, `probe together`, `lasted`, `event`, `cursor`,
   * `reset`, `heartbeat`, `goodbye` and its kin, `stream lost`, `stream cut early`, `stream refused`; the last three with
   * `silent`, how many seconds nothing had been heard.
   */
  constructor(EventSource, url, types, clock, hear) {
    this._hear = (word, detail = {}) => this._source !== null && hear(word, detail);
    this._clock = clock;
    this._types = new Set();
    this._connectedAt = null;
    this._hasLasted = false;
    this._heardAt = null;
    this._source = new EventSource(url);
    this._source.onerror = () => this._broken();
    this._on("connected", (data) => this._connected(data));
    this._on("probe", (data) => this._probed(data));
    this._on("heartbeat", (data, id) => this._alive("heartbeat", { at: data.timestamp, cursor: id }));
    this._on("reset", (data) => this._hear("reset", data));
    this._on("reconnect", (data) => this._hear(GOODBYES[data.reason] ?? "goodbye", { reason: data.reason }));
    for (const type of types) this.listen(type);
  }

  /** Hear events of one more type. */
  listen(type) {
    if (this._types.has(type)) return;
    this._types.add(type);
    const isPassing = TRANSIENT_TYPES.includes(type);
    this._on(type, (data, id) => {
      const name = isPassing ? { id: null, sequence: null, timestamp: null } : { id, timestamp: timestampOf(id) };
      this._hear("event", { ...name, type, data });
    });
  }

  close() {
    this._source?.close();
    this._source = null;
  }

  _on(type, then) {
    this._source.addEventListener(type, (message) => {
      let data;
      try {
        data = JSON.parse(message.data);
      } catch {
        return; // not the server's: what was damaged on the way is missed by its sequence, and fetched
      }
      if (typeof data !== "object" || data === null) return;
      this._heardAt = this._clock.monotonic();
      then(data, message.lastEventId);
      this._aged();
    });
  }

  _alive(word, detail) {
    this._hear(word, detail);
    if (detail.cursor) this._hear("cursor", { cursor: detail.cursor });
  }

  _connected(data) {
    this._connectedAt = this._clock.monotonic();
    this._hear("connected", data);
  }

  _probed(data) {
    if (this._connectedAt === null) return;
    const isApart = this._clock.monotonic() - this._connectedAt >= PROBE_APART_MS;
    this._hear(isApart ? "probe apart" : "probe together", data);
  }

  _aged() {
    if (this._hasLasted || this._age() < LASTING_MS) return;
    this._hasLasted = true;
    this._hear("lasted");
  }

  /** Return for how long it has been connected, in milliseconds. */
  _age() {
    return this._connectedAt === null ? 0 : this._clock.monotonic() - this._connectedAt;
  }

  _broken() {
    const isEarly = this._connectedAt !== null && this._age() < CUT_EARLY_MS;
    const lost = isEarly ? "stream cut early" : "stream lost";
    // 2 is CLOSED: refused for good; else it would try again by itself, at once for all and with its old address.
    const silent = this._connectedAt === null ? null : (this._clock.monotonic() - this._heardAt) / 1000;
    this._hear(this._source?.readyState === 2 ? "stream refused" : lost, { silent });
    this.close();
  }
}
