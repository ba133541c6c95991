/**
 * What each tier can show: the matrix that the server sends, and what stands in for it before it has.
 *
 * Owns reading that matrix, so that a page asks one thing of one row.  Refuses to know which tier is in use.
 */

/** What is safe to assume of a tier nobody has told about: nothing that passes. */
const NOTHING = {
  typingIndicators: false,
  instantMessages: "5-10_second_delay",
  participantStatus: "polling_based",
  aiProgress: "status_only",
};

/** Return the row of a tier in the matrix of a snapshot, complete. */
export function featuresOf(matrix, tier) {
  const row = tier === null ? undefined : matrix?.[tier];
  return { ...NOTHING, ...(typeof row === "object" ? row : {}) };
}

/** Return after how many seconds news may arrive on a tier: at most, and where a tier waits, `pollSeconds`. */
export function expectedDelay(tier, pollSeconds) {
  if (tier === "sse") return 0;
  if (tier === "long-poll") return 5;
  return tier === "short-poll" ? pollSeconds : null;
}
