/**
 * The status: what a machine's state is called in front of people, and why it is so.
 *
 * Owns the words `connecting`, `live`, `delayed`, `polling`, `reconnecting`, `offline`, `blocked`, `signed-out` and
 * `stopped`, and a reason in one short sentence.  Refuses to know how they are shown.
 */

const PEOPLE = {
  new: "connecting", bootstrapping: "connecting", "verifying sse": "connecting", live: "live",
  "trying long-poll": "connecting", "verifying long-poll": "delayed", delayed: "delayed", polling: "polling",
  checking: "connecting", doubting: "reconnecting", reconnecting: "reconnecting", offline: "offline", blocked: "blocked",
  "signed-out": "signed-out", stopped: "stopped", closed: "stopped",
};
/** A tier that has proven itself is not connected to for the first time. */
const AGAIN = ["verifying sse", "trying long-poll", "checking"];

const REASONS = {
  failed: "the server cannot be reached",
  page: "something on the network answered in the server's place",
  busy: "the server is busy and asked to wait",
  broken: "the server had a problem",
  "probe together": "something on the network holds live updates back",
  deadline: "live updates did not arrive in time",
  "stream lost": "the connection was lost",
  "stream cut early": "the connection was lost",
  "stream refused": "live updates were refused",
  silent: "nothing has been heard for too long",
  goodbye: "the server ended the connection for a moment",
  "resync failed": "the server cannot be reached",
  offline: "this device says it has no network",
  "sign-in": "you need to sign in again",
  forbidden: "you are not a participant of this session",
  gone: "the session is not there any more",
  ended: "the session is closed",
  close: "closed",
};

/** Return the word for people. */
export function wordFor({ state, verified }) {
  return verified && AGAIN.includes(state) ? "reconnecting" : PEOPLE[state];
}

/** Return the tier that brings events in this state, or null. */
export function tierInUse({ state, tier }) {
  return ["live", "verifying long-poll", "delayed", "polling"].includes(state) ? tier : null;
}

/** Return why a machine went where it is by this event; events that explain nothing keep the reason there was. */
export function reasonFor(event, machine, before) {
  if (["live", "bootstrapping"].includes(machine.state)) return null;
  return REASONS[event] ?? before;
}
