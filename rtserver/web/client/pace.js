/**
 * Pace: however many events there are, a tab sends no more than one request a second on average.
 *
 * Owns a bucket of a few requests that refills by one a second.  Times in seconds, given by the caller.
 */

export const BURST = 6;

export class Pace {
  constructor() {
    this._free = BURST;
    this._at = null;
  }

  /** Take one request; return after how many seconds it may be sent. */
  take(now) {
    const passed = this._at === null ? 0 : Math.max(0, now - this._at);
    this._at = now;
    this._free = Math.min(BURST, this._free + passed) - 1;
    return Math.max(0, -this._free);
  }
}
