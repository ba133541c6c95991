/**
 * Storage that never throws: what a browser keeps for its session, or for longer, as far as it lets us.
 *
 * Owns the prefix of our keys.  Where storage is forbidden or full, nothing is remembered and nothing breaks.
 */

const PREFIX = "rtclient ";

export class Storage {
  /** `area` is localStorage or sessionStorage, or a function that returns it and may throw, as in a sandboxed frame. */
  constructor(area) {
    try {
      this._area = typeof area === "function" ? area() : area;
    } catch {
      this._area = null;
    }
  }

  get(key) {
    try {
      return this._area?.getItem(PREFIX + key) ?? null;
    } catch {
      return null;
    }
  }

  /** Return whether it was kept. */
  set(key, value) {
    try {
      if (!this._area) return false;
      if (value === null) this._area.removeItem(PREFIX + key);
      else this._area.setItem(PREFIX + key, value);
      return true;
    } catch {
      return false;
    }
  }
}
