/**
 * The inbox: where the reader stands, and which events are news.
 *
 * Owns the one cursor of all tiers.  Whatever brings events - stream, poll, resync, another tab, two of them at once -
 * gives them here and gets back what nobody has seen yet, in sequence.  Refuses to know where they come from.
 *
 * Invariant: every source is without holes from its own start, and no source starts beyond the cursor.  So what is
 * newer than the cursor follows it, and what is not has been delivered.
 */

import { decodeId } from "./cursor.js";

/** Only the latest of these counts, for a while; they have no id and are never repeated or ordered. */
export const TRANSIENT_TYPES = ["typing_indicator", "ai_progress"];

export class Inbox {
  /** `cursor` is the id from which to go on; null until the server has told one. */
  constructor(cursor = null) {
    this.reset(cursor);
  }

  get cursor() {
    return this._cursor;
  }

  /** Begin anew at a cursor: at the start, and after a gap. */
  reset(cursor) {
    this._cursor = cursor;
    this._place = decodeId(cursor);
  }

  /** Return whether an id is newer than everything seen; of another life it never is: only a reset leads there. */
  isNews(id) {
    const found = decodeId(id);
    if (found === null) return false;
    return this._place === null || (found.epoch === this._place.epoch && found.sequence > this._place.sequence);
  }

  /** Return whether an id of this life is not beyond the cursor. */
  hasPassed(id) {
    const found = decodeId(id);
    return found !== null && found.epoch === this._place?.epoch && found.sequence <= this._place.sequence;
  }

  /** Return those of `events` that are news, in sequence; passing states come last, as they are. */
  take(events) {
    const passing = events.filter(({ type }) => TRANSIENT_TYPES.includes(type));
    const durable = events.filter(({ id, type }) => !TRANSIENT_TYPES.includes(type) && this.isNews(id));
    durable.sort((one, other) => decodeId(one.id).sequence - decodeId(other.id).sequence);
    const fresh = durable.filter(({ id }) => this.moveTo(id));
    return [...fresh, ...passing];
  }

  /** Move on to a cursor past events that a filter left out; never back.  Return whether it was ahead. */
  moveTo(cursor) {
    if (!this.isNews(cursor)) return false;
    this.reset(cursor);
    return true;
  }

  /** Return how many events lie between the cursor and `id`: some of these are of types nobody listened for. */
  missingBefore(id) {
    return this.isNews(id) && this._place !== null ? decodeId(id).sequence - this._place.sequence - 1 : 0;
  }
}
