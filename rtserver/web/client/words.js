/**
 * The words for a status: what people read, in plain English, and what a help desk is given.
 *
 * Owns every sentence that the indicator shows; an application in another language replaces this object's functions.
 * Refuses to know the page: times come in as text, numbers as numbers.
 */

const TIERS = { sse: "live stream", "long-poll": "long polling", "short-poll": "short polling" };
/** Below this a countdown only flickers. */
const SOON_SECONDS = 5;

export const words = {
  /** Return the state in a word or three. */
  title({ state, expectedDelay }) {
    if (state === "polling") return `Checking every ${expectedDelay}\u00a0s`;
    return {
      connecting: "Connecting", live: "Live", delayed: "Slightly delayed", reconnecting: "Reconnecting",
      offline: "Offline", blocked: "Blocked by the network", "signed-out": "Signed out", stopped: "Stopped",
    }[state];
  },

  /** Return one sentence on what to expect; `secondsLeft` is the time to the next try, or null. */
  hint({ state, expectedDelay, reason }, secondsLeft = null) {
    const again = secondsLeft === null ? "" : secondsLeft < SOON_SECONDS ? "Trying again soon." : `Trying again in ${secondsLeft}\u00a0s.`;
    const because = reason ? `${reason[0].toUpperCase()}${reason.slice(1)}.` : "";
    const sentences = {
      connecting: ["Getting ready."],
      live: ["Messages arrive at once."],
      delayed: [`Messages arrive within about ${expectedDelay} seconds.`],
      polling: [`New messages can take up to ${expectedDelay} seconds.`],
      reconnecting: [because, again],
      offline: ["This device has no network. What you write is kept and sent later.", again],
      blocked: [because, "What you write is kept and sent later.", again],
      "signed-out": ["Please sign in again."],
      stopped: [because],
    }[state];
    return sentences.filter(Boolean).join(" ");
  },

  asOf: (time) => `As of ${time}`,
  tryNow: "Try now",
  details: "Details",
  copy: "Copy for the help desk",
  copied: "Copied",
  notCopied: "Could not copy: select the text below",
  group: "Connection",
  history: "What happened",

  /** Return the facts of a status as [name, value] pairs. */
  facts({ state, tier, expectedDelay, reason, asOf, nextRetryAt }) {
    return [
      ["State", state],
      ["Way", tier ? TIERS[tier] : "none at the moment"],
      ["Expected delay", expectedDelay === null ? "unknown" : expectedDelay === 0 ? "none" : `up to ${expectedDelay} s`],
      ["Why", reason ?? "all is well"],
      ["Last heard from the server", asOf ?? "not yet"],
      ["Next try", nextRetryAt ?? "none needed"],
    ];
  },

  /** Return one change of state as a line. */
  transition: ({ at, from, event, to }) => `${at}  ${from} → ${to}  (${event})`,
};
