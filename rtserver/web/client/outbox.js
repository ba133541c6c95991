/**
 * The outbox: messages that were said and have not been acknowledged, oldest first.
 *
 * Owns their order and their number.  An entry is {messageId, type, data, at}: the `messageId` is made once and kept
 * over every retry, reload and tab, so that the server can tell a repeat.  Values in, values out: where entries are
 * kept, and who sends them, is not known here.
 */

/** So many may wait, and so many characters of JSON: what is full refuses, rather than lose the oldest. */
export const MAX_ENTRIES = 200;
export const MAX_CHARACTERS = 1_000_000;

/** Return when the next entry is said: now, and before none that waits, also when the clock was set back. */
export function after(entries, now) {
  return Math.max(now, entries.at(-1)?.at ?? now);
}

/** Return the entries with one more at the end, or null if there is no room. */
export function add(entries, entry) {
  const next = [...entries, entry];
  return next.length > MAX_ENTRIES || JSON.stringify(next).length > MAX_CHARACTERS ? null : next;
}

/** Return the entries without the one that was acknowledged or refused for good. */
export function remove(entries, messageId) {
  return entries.filter((entry) => entry.messageId !== messageId);
}

/** Return what two tabs have between them, each entry once, in the order in which it was said. */
export function merge(entries, others) {
  const known = new Set(entries.map(({ messageId }) => messageId));
  const all = [...entries, ...others.filter(({ messageId }) => !known.has(messageId))];
  // The sort is stable: what was said in the same millisecond stays as it was.
  return all.sort((one, other) => one.at - other.at);
}

/** Read what was kept as text; whatever is not an outbox is an empty one. */
export function parse(text) {
  try {
    const found = JSON.parse(text ?? "[]");
    return Array.isArray(found) ? found.filter(isEntry).slice(0, MAX_ENTRIES) : [];
  } catch {
    return [];
  }
}

function isEntry(entry) {
  return (
    typeof entry?.messageId === "string" && typeof entry.type === "string" && typeof entry.at === "number" &&
    typeof entry.data === "object" && entry.data !== null
  );
}

/** Return what an answer means for the entry that was sent: `sent`, `refused` for good, or `later`. */
export function outcome(verdict, status) {
  if (verdict === "ok") return "sent";
  if (["forbidden", "gone"].includes(verdict)) return "refused";
  // What is wrong with the message itself stays wrong: too large, malformed, the session paused or closed.
  return [400, 409, 413, 415, 422].includes(status) && verdict === "broken" ? "refused" : "later";
}
