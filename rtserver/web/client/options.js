/**
 * The options of `connect()`: read strictly, so that a mistake is an exception with a name and not a silent default.
 *
 * Owns their names, defaults and limits; docs/client.rst explains each.
 */

import { TIERS } from "./machine.js";

const SESSION_ID = /^(?!\.{1,2}$)[A-Za-z0-9._~@:-]{1,128}$/;
const EVENT_TYPE = /^[a-z][a-z0-9_.-]{0,63}$/;
const NAMES = [
  "baseUrl", "sessionId", "token", "onEvent", "onReset", "onStatus", "onOutbox", "loginUrl", "eventTypes", "types",
  "history", "cursor", "tiers", "heartbeat", "compact", "shareTabs", "keepOutbox", "identity",
];

/** Return the options complete, with `api`, the address of the session. */
export function readOptions(options = {}) {
  for (const name of Object.keys(options)) {
    check(NAMES.includes(name), name, `is not an option; there are ${NAMES.join(", ")}`);
  }
  const {
    baseUrl = "", sessionId, token, loginUrl, eventTypes, types = [], history = 0, cursor = null, tiers = TIERS,
    heartbeat, compact, shareTabs = true, keepOutbox = true, identity = null,
  } = options;
  check(typeof baseUrl === "string" && !/[?#]/.test(baseUrl), "baseUrl", 'is not an address such as "/rt" or "https://rt.example"');
  check(typeof sessionId === "string" && SESSION_ID.test(sessionId), "sessionId", "must be 1 to 128 of A-Z a-z 0-9 . _ ~ @ : -");
  check(token === undefined || ["string", "function"].includes(typeof token), "token", "must be a string or a function");
  check(loginUrl === undefined || ["string", "function"].includes(typeof loginUrl), "loginUrl", "must be an address or a function");
  for (const [name, list] of [["eventTypes", eventTypes ?? []], ["types", types]]) {
    check(Array.isArray(list) && list.every((type) => EVENT_TYPE.test(type)), name, "must be a list of types of events");
  }
  check(Number.isInteger(history) && history >= 0 && history <= 100, "history", "must be 0 to 100");
  check(cursor === null || typeof cursor === "string", "cursor", "must be the id of an event");
  check(Array.isArray(tiers) && tiers.length > 0 && tiers.every((tier) => TIERS.includes(tier)), "tiers", `must be of ${TIERS.join(", ")}`);
  check(heartbeat === undefined || (Number.isInteger(heartbeat) && heartbeat >= 5 && heartbeat <= 60), "heartbeat", "must be 5 to 60");
  check(identity === null || (typeof identity === "string" && identity !== ""), "identity", "must be a name");
  for (const name of ["onEvent", "onReset", "onStatus", "onOutbox"]) {
    check(options[name] === undefined || typeof options[name] === "function", name, "must be a function");
  }
  return {
    ...options, token, loginUrl, history, cursor, heartbeat, compact, shareTabs, keepOutbox, identity, sessionId, types,
    eventTypes: eventTypes?.length ? eventTypes : undefined,
    tiers: TIERS.filter((tier) => tiers.includes(tier)),
    api: `${baseUrl.replace(/\/+$/, "")}/api/sessions/${encodeURIComponent(sessionId)}`,
  };
}

function check(isRight, name, words) {
  if (!isRight) throw new TypeError(`connect(): ${name} ${words}`);
}
