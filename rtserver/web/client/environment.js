/**
 * What a client needs of the browser, gathered in one object so that tests can give another.
 *
 * Owns the list, and nothing else: whatever is missing here is missing in some browser or some network.
 */

import { Storage } from "./storage.js";

export const systemClock = {
  /** Milliseconds since 1970, as this device believes. */
  now: () => Date.now(),
  /** Milliseconds that only go forward. */
  monotonic: () => performance.now(),
  random: () => Math.random(),
  setTimeout: (then, milliseconds) => setTimeout(then, milliseconds),
  clearTimeout: (timer) => clearTimeout(timer),
};

export function browserEnvironment() {
  const { EventSource, BroadcastChannel, CompressionStream, Response, window, document, location, navigator } = globalThis;
  return {
    clock: systemClock,
    fetch: globalThis.fetch.bind(globalThis),
    EventSource, BroadcastChannel, CompressionStream, Response, window, document, location, navigator,
    // Absent where the page is not in a secure context.
    locks: navigator?.locks,
    localStorage: new Storage(() => globalThis.localStorage),
    sessionStorage: new Storage(() => globalThis.sessionStorage),
  };
}

/** Return an id that nobody else makes; `randomUUID` is absent outside secure contexts, `getRandomValues` is not. */
export function randomId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
