/**
 * Event ids and cursors: a UUIDv7 that holds an event's timestamp, its session's epoch and its sequence.
 *
 *     48 bits milliseconds | 0111 | 12 bits microseconds within them | 10 | 22 bits epoch | 40 bits sequence
 *
 * Owns reading that layout.  Refuses to judge what a cursor is worth: the server does.
 */

const ID = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/i;

/** Return `{milliseconds, micros, epoch, sequence}` of an id, or null if it is not one of the server's. */
export function decodeId(id) {
  if (typeof id !== "string" || !ID.test(id)) return null;
  const hex = id.replaceAll("-", "");
  const bits = (start, end) => parseInt(hex.slice(start, end), 16);
  const micros = bits(13, 16);
  if (micros > 999) return null;
  return {
    milliseconds: bits(0, 12),
    micros,
    epoch: ((bits(16, 20) & 0x3fff) << 8) | bits(20, 22),
    sequence: bits(22, 32),
  };
}

/** Return the exact time within an id as the server writes it: `2026-01-31T12:00:00.000001Z`. */
export function timestampOf(id) {
  const found = decodeId(id);
  if (found === null) return null;
  return `${new Date(found.milliseconds).toISOString().slice(0, -1)}${String(found.micros).padStart(3, "0")}Z`;
}

/** Return whether two cursors belong to the same life of a session. */
export function isSameLife(one, other) {
  const [a, b] = [decodeId(one), decodeId(other)];
  return a !== null && b !== null && a.epoch === b.epoch;
}
