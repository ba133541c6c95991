/**
 * Arithmetic of waiting: retries, promotions, polls.  Randomness is an argument, so tests decide it.
 *
 * Seconds everywhere; `random` is a number from 0 to 1, not including it.
 */

export const MAX_DELAY = 60;
export const MAX_RETRY_AFTER = 600;
const FIRST_DELAY = { sse: 5, "long-poll": 2, "short-poll": 5 };
const PROMOTION_MINUTES = [1, 5, 15, 30, 60];
const SHORTEST_POLL = 3;
const DEFAULT_POLL = 5;
const LONGEST_POLL = 10;

/**
 * Return how long to wait before the retry number `attempt`, from 0: doubling to a minute, spread over half to one and
 * a half of it, so that those who lost the server together do not return in one wave; never before `floor`.
 */
export function retryDelay(tier, attempt, random, floor = 0) {
  const middle = Math.min(MAX_DELAY, FIRST_DELAY[tier] * 2 ** Math.min(attempt, 10));
  return Math.max(Math.min(MAX_DELAY, middle * (0.5 + random)), floor * (1 + 0.2 * random));
}

/** Return how long to wait where nothing is likely to have changed: behind a block page, without a network. */
export function slowDelay(random) {
  return 30 + 30 * random;
}

/** Return after how long a better tier is tried for the time number `attempt`, from 0. */
export function promotionDelay(attempt, random) {
  return PROMOTION_MINUTES[Math.min(attempt, PROMOTION_MINUTES.length - 1)] * 60 * (0.8 + 0.4 * random);
}

/** Return the seconds of a `Poll-Interval`, within what clients keep to. */
export function pollInterval(text) {
  const asked = /^\d{1,4}$/.test(text ?? "") ? Number(text) : DEFAULT_POLL;
  return Math.min(LONGEST_POLL, Math.max(SHORTEST_POLL, asked));
}

/**
 * Return the seconds of a `Retry-After`: a number, or an HTTP-date against the server's own `Date`.  Nothing that can
 * be understood is 0; a client never waits longer than ten minutes without asking.
 */
export function retryAfter(text, date, nowMs) {
  if (!text) return 0;
  let seconds = /^\s*\d{1,9}\s*$/.test(text) ? Number(text) : (Date.parse(text) - (Date.parse(date ?? "") || nowMs)) / 1000;
  if (!Number.isFinite(seconds)) seconds = 0;
  return Math.min(MAX_RETRY_AFTER, Math.max(0, seconds));
}

/** Return how long a long poll is held: shorter after it was cut, never below what is worth it. */
export function holdAfterCut(elapsed) {
  return Math.max(5, Math.floor(0.7 * elapsed));
}
