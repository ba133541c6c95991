/**
 * Which heartbeat to ask for: the application's wish or the server's own, until the network closes what is silent.
 *
 * Owns what was learned from the silences before cuts.  A stream that is cut twice after the same silence, longer than
 * messages leave between them, was cut for it; once may be an accident.  Seconds everywhere.
 */

const SAME_SILENCE = 1;
const SHORTEST_SILENCE = 5;
/** What a server takes. */
const SHORTEST_HEARTBEAT = 5;

export class Heartbeat {
  /** `seconds` is undefined where nobody wishes for anything. */
  constructor(seconds) {
    this.seconds = seconds;
    this._silent = null; // before the last cut
  }

  wasCut(silent) {
    const isSame = this._silent !== null && Math.abs(silent - this._silent) <= SAME_SILENCE;
    this._silent = silent;
    if (!isSame || silent < SHORTEST_SILENCE) return;
    this.seconds = Math.max(SHORTEST_HEARTBEAT, Math.min(Math.floor(silent / 2), this.seconds ?? Infinity));
  }
}
