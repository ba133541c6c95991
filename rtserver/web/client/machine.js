/**
 * How a client moves between the tiers: the one place where that is decided.
 *
 * Owns the state and the table below, which the tests walk row by row (tests/client/transitions.json is the same for
 * every client and says what the events and actions mean).  Refuses to know time, network, DOM and delivery: an event
 * goes in, the next machine and the names of actions come out.
 *
 * A machine is {state, tier, tiers, verified, failures, strikes}: the tier in use or to be tried, those it may use,
 * whether the tier has proven itself since it was entered, how often it failed since, while plain requests worked, and
 * the strikes against streams that had proven themselves and then were of no use.
 *
 * Strikes are for networks that let streams begin well: one for a stream that is cut early, two for one that falls
 * silent, which costs more time.  They count until a stream has lasted, beyond a change of tiers, so that the next
 * stream that disappoints is the last for a while.  If plain requests fail as well it was an outage: nothing counts.
 *
 * Two rules stand behind all of it.  Nothing but the server's own words, timed twice, proves a tier.  And before a tier
 * is given up a plain request must succeed: if nothing works it is an outage, not the tier.
 *
 * State table (event -> next state, actions; where one event stands twice, what the tier has proven decides):
 *
 * new
 *   start                 -> bootstrapping        ask control
 * bootstrapping
 *   ok                    -> verifying sse        start tier
 *   ok                    -> trying long-poll     start tier
 *   ok                    -> polling              start tier, promote later
 *   ok                    -> polling              start tier
 *   failed                -> reconnecting         wait retry
 *   busy                  -> reconnecting         wait retry
 *   broken                -> reconnecting         wait retry
 *   page                  -> blocked              wait slowly
 * verifying sse
 *   connected             -> verifying sse
 *   connected             -> live
 *   stream lost           -> checking             stop tier, ask control
 *   stream cut early      -> checking             stop tier, ask control
 *   failed                -> checking             stop tier, ask control
 *   failed                -> reconnecting         stop tier, wait retry
 *   page                  -> checking             stop tier, ask control
 *   broken                -> checking             stop tier, ask control
 *   busy                  -> reconnecting         stop tier, wait retry
 *   refresh               -> verifying sse        resync
 *   offline               -> verifying sse        resync
 * verifying sse, live
 *   probe apart           -> live                 settle, remember tier
 *   probe together        -> checking             stop tier, ask control
 *   deadline              -> checking             stop tier, ask control
 *   stream lost           -> reconnecting         stop tier, wait retry
 *   goodbye               -> reconnecting         stop tier, wait retry
 *   stream refused        -> checking             stop tier, ask why
 *   wake                  -> verifying sse        stop tier, start tier
 *   online                -> verifying sse        stop tier, start tier
 *   resync failed         -> reconnecting         stop tier, wait retry
 * live
 *   stream cut early      -> doubting             stop tier, ask control
 *   silent                -> doubting             stop tier, ask control
 *   lasted                -> live
 *   refresh               -> live                 resync
 *   offline               -> live                 resync
 * checking
 *   ok                    -> trying long-poll     start tier
 *   ok                    -> polling              start tier, promote later
 *   ok                    -> reconnecting         wait retry
 *   failed                -> reconnecting         wait retry
 *   busy                  -> reconnecting         wait retry
 *   broken                -> reconnecting         wait retry
 *   page                  -> blocked              wait slowly
 * doubting
 *   ok                    -> reconnecting         wait retry
 *   ok                    -> trying long-poll     start tier
 *   ok                    -> polling              start tier, promote later
 *   failed                -> reconnecting         wait retry
 *   busy                  -> reconnecting         wait retry
 *   broken                -> reconnecting         wait retry
 *   page                  -> blocked              wait slowly
 * trying long-poll
 *   ok                    -> verifying long-poll  hold
 *   ok                    -> delayed              promote later, go on
 *   failed                -> reconnecting         stop tier, wait retry
 *   refresh               -> trying long-poll     resync
 *   offline               -> trying long-poll     resync
 * verifying long-poll
 *   ok                    -> delayed              settle, remember tier, promote later, go on
 *   ok                    -> delayed              settle, remember tier, go on
 *   refresh               -> verifying long-poll  resync
 *   offline               -> verifying long-poll  resync
 * trying long-poll, verifying long-poll
 *   failed                -> checking             stop tier, ask control
 *   deadline              -> checking             stop tier, ask control
 * delayed
 *   ok                    -> delayed              settle, go on
 *   failed                -> reconnecting         stop tier, wait retry
 *   promote due           -> delayed              start promotion
 *   promotion failed      -> delayed              promote later
 *   promoted to sse       -> live                 adopt promotion, settle, remember tier
 *   offline               -> delayed              resync
 *   refresh               -> delayed              resync
 * trying long-poll, verifying long-poll, delayed
 *   page                  -> checking             stop tier, ask control
 *   broken                -> checking             stop tier, ask control
 *   busy                  -> reconnecting         stop tier, wait retry
 *   wake                  -> trying long-poll     stop tier, start tier
 *   online                -> trying long-poll     stop tier, start tier
 *   resync failed         -> reconnecting         stop tier, wait retry
 * polling
 *   ok                    -> polling              settle, remember tier, go on
 *   ok                    -> polling              settle, go on
 *   failed                -> reconnecting         stop tier, wait retry
 *   broken                -> reconnecting         stop tier, wait retry
 *   busy                  -> reconnecting         stop tier, wait retry
 *   page                  -> blocked              stop tier, wait slowly
 *   promote due           -> polling              start promotion
 *   promotion failed      -> polling              promote later
 *   promoted to sse       -> live                 adopt promotion, settle, remember tier
 *   promoted to long-poll -> delayed              adopt promotion, settle, remember tier, promote later, go on
 *   wake                  -> polling              poll now
 *   online                -> polling              poll now
 *   refresh               -> polling              poll now
 *   offline               -> polling              poll now
 * reconnecting, offline, blocked
 *   ok                    -> verifying sse        start tier
 *   ok                    -> trying long-poll     start tier
 *   ok                    -> polling              start tier, promote later
 *   busy                  -> reconnecting         wait retry
 *   broken                -> reconnecting         wait retry
 *   page                  -> blocked              wait slowly
 * reconnecting
 *   retry due             -> reconnecting         ask control
 *   refresh               -> reconnecting         ask control
 *   wake                  -> reconnecting         ask control
 *   online                -> reconnecting         ask control
 *   offline               -> offline              wait slowly
 * offline
 *   retry due             -> offline              ask control
 *   refresh               -> offline              ask control
 *   wake                  -> offline              ask control
 *   online                -> offline              ask control
 *   failed                -> offline              wait slowly
 * blocked
 *   retry due             -> blocked              ask control
 *   refresh               -> blocked              ask control
 *   wake                  -> blocked              ask control
 *   online                -> blocked              ask control
 * reconnecting, blocked
 *   failed                -> reconnecting         wait retry
 * signed-out, stopped
 *   refresh               -> bootstrapping        ask control
 *
 * every state from bootstrapping to blocked
 *   sign-in               -> signed-out           stop tier, sign in
 *   forbidden             -> stopped              stop tier
 *   gone                  -> stopped              stop tier
 *   ended                 -> stopped              stop tier
 * every state but closed
 *   close                 -> closed               stop tier
 */

/** The tiers, from the most real-time one down. */
export const TIERS = ["sse", "long-poll", "short-poll"];
/** So often may a tier fail, while plain requests work, before the next one is taken. */
export const MAX_FAILURES = 10;
/** So many strikes, and the next tier is taken. */
export const MAX_STRIKES = 3;

const RETRY = ["wait retry"];
const CHECK = ["stop tier", "ask control"];

/** Return a machine that has not been started; `remembered` is the tier that worked last, if any. */
export function begin(tiers = TIERS, remembered = null) {
  const tier = tiers.includes(remembered) ? remembered : tiers[0];
  return { state: "new", tier, tiers, verified: false, failures: 0, strikes: 0 };
}

/** Return `{machine, actions}`: what the machine becomes by an event, and what is to be done, in this order. */
export function step(machine, event) {
  const rule = RULES[machine.state]?.[event];
  if (rule === undefined) return { machine, actions: [] };
  const { actions = [], ...changes } = rule(machine);
  return { machine: { ...machine, ...changes }, actions };
}

const to = (state, ...actions) => () => ({ state, actions });
const want = (...actions) => () => ({ actions });
const retry = to("reconnecting", "stop tier", ...RETRY);
const check = to("checking", ...CHECK);

/** The tier did not hold: it is counted, and tried again after a while. */
function failed({ failures }) {
  return { state: "reconnecting", failures: failures + 1, actions: ["stop tier", ...RETRY] };
}

/** It worked, and then it was of no use: whether anything works decides what that means. */
function disappointed(count) {
  const actions = ["stop tier", "ask control"];
  return ({ failures, strikes }) => ({ state: "doubting", failures: failures + 1, strikes: strikes + count, actions });
}

/** Plain requests work, so it is the tier; the next disappointment after a change back is one too many. */
function doubted(machine) {
  const isLast = machine.tier === machine.tiers.at(-1);
  if (machine.strikes < MAX_STRIKES || isLast) return { state: "reconnecting", actions: RETRY };
  return { ...demote(machine), strikes: MAX_STRIKES - 1 };
}

/** What never proved itself is not tried ten times: if plain requests work, the next tier is taken. */
function failedOrCheck(machine) {
  return machine.verified ? failed(machine) : check();
}

function promoteLater({ tier, tiers }) {
  return tier === tiers[0] ? [] : ["promote later"];
}

function enter(machine) {
  if (machine.tier === "sse") return { ...machine, state: "verifying sse", actions: ["start tier"] };
  if (machine.tier === "long-poll") return { ...machine, state: "trying long-poll", actions: ["start tier"] };
  return { ...machine, state: "polling", actions: ["start tier", ...promoteLater(machine)] };
}

function change(machine, tier) {
  return { ...machine, tier, verified: false, failures: 0 };
}

/** A plain request works and the tier does not: take the next one. */
function demote(machine) {
  const next = machine.tiers[machine.tiers.indexOf(machine.tier) + 1];
  return next ? enter(change(machine, next)) : { state: "reconnecting", actions: RETRY };
}

/** The way is free again: back to the tier, unless it has failed too often. */
function resume(machine) {
  const isLast = machine.tier === machine.tiers.at(-1);
  return machine.failures >= MAX_FAILURES && !isLast ? demote(machine) : enter(machine);
}

const liveAgain = () => ({ state: "live", verified: true, failures: 0, actions: ["settle", "remember tier"] });

function held(machine) {
  const actions = ["settle", "remember tier", ...promoteLater(machine), "go on"];
  return { state: "delayed", verified: true, failures: 0, actions };
}

function tried(machine) {
  if (!machine.verified) return { state: "verifying long-poll", actions: ["hold"] };
  return { state: "delayed", actions: [...promoteLater(machine), "go on"] };
}

function polled({ verified }) {
  const actions = verified ? ["settle", "go on"] : ["settle", "remember tier", "go on"];
  return { verified: true, failures: 0, actions };
}

function promoted(tier) {
  return (machine) => {
    const next = { ...change(machine, tier), verified: true };
    const actions = ["adopt promotion", "settle", "remember tier"];
    if (tier === "sse") return { ...next, state: "live", actions };
    return { ...next, state: "delayed", actions: [...actions, ...promoteLater(next), "go on"] };
  };
}

const ENDS = {
  "sign-in": to("signed-out", "stop tier", "sign in"),
  forbidden: to("stopped", "stop tier"),
  gone: to("stopped", "stop tier"),
  ended: to("stopped", "stop tier"),
};
const CLOSE = { close: to("closed", "stop tier") };
const PROMOTION = {
  "promote due": want("start promotion"),
  "promotion failed": want("promote later"),
  "promoted to sse": promoted("sse"),
};
const RESTART = { wake: enterAnew, online: enterAnew };
const RESYNC = { refresh: want("resync"), offline: want("resync"), "resync failed": retry };
const CONTROL_REFUSED = {
  failed: to("reconnecting", ...RETRY),
  busy: to("reconnecting", ...RETRY),
  broken: to("reconnecting", ...RETRY),
  page: to("blocked", "wait slowly"),
};
/** Nothing works: an outage explains whatever happened to streams. */
const OUTAGE = Object.fromEntries(
  Object.entries(CONTROL_REFUSED).map(([event, rule]) => [event, () => ({ ...rule(), strikes: 0 })]),
);
const WAITING = {
  ...CONTROL_REFUSED,
  ok: resume,
  "retry due": want("ask control"),
  refresh: want("ask control"),
  wake: want("ask control"),
  online: want("ask control"),
};

function enterAnew(machine) {
  const next = enter(machine);
  return { ...next, actions: ["stop tier", ...next.actions] };
}

const RULES = {
  new: { start: to("bootstrapping", "ask control"), ...CLOSE },
  bootstrapping: { ok: enter, ...CONTROL_REFUSED, ...ENDS, ...CLOSE },
  "verifying sse": {
    connected: ({ verified }) => (verified ? { state: "live" } : {}),
    "probe apart": liveAgain,
    "probe together": check,
    deadline: check,
    page: check,
    broken: check,
    busy: retry,
    failed: failedOrCheck,
    "stream lost": failedOrCheck,
    "stream cut early": check,
    "stream refused": to("checking", "stop tier", "ask why"),
    goodbye: retry,
    ...RESTART, ...RESYNC, ...ENDS, ...CLOSE,
  },
  live: {
    "probe apart": liveAgain,
    "probe together": check,
    deadline: check,
    "stream lost": failed,
    "stream cut early": disappointed(1),
    silent: disappointed(2),
    lasted: () => ({ strikes: 0 }),
    "stream refused": to("checking", "stop tier", "ask why"),
    goodbye: retry,
    ...RESTART, ...RESYNC, ...ENDS, ...CLOSE,
  },
  checking: { ok: demote, ...CONTROL_REFUSED, ...ENDS, ...CLOSE },
  doubting: { ok: doubted, ...OUTAGE, ...ENDS, ...CLOSE },
  "trying long-poll": {
    ok: tried, failed: failedOrCheck, deadline: check, page: check, broken: check, busy: retry,
    ...RESTART, ...RESYNC, ...ENDS, ...CLOSE,
  },
  "verifying long-poll": {
    ok: held, failed: check, deadline: check, page: check, broken: check, busy: retry,
    ...RESTART, ...RESYNC, ...ENDS, ...CLOSE,
  },
  delayed: {
    ok: () => ({ failures: 0, actions: ["settle", "go on"] }),
    failed, page: check, broken: check, busy: retry,
    ...PROMOTION, ...RESTART, ...RESYNC, ...ENDS, ...CLOSE,
  },
  polling: {
    ok: polled, failed, broken: failed, busy: retry, page: to("blocked", "stop tier", "wait slowly"),
    ...PROMOTION, "promoted to long-poll": promoted("long-poll"),
    wake: want("poll now"), online: want("poll now"), refresh: want("poll now"), offline: want("poll now"),
    ...ENDS, ...CLOSE,
  },
  reconnecting: { ...WAITING, offline: to("offline", "wait slowly"), ...ENDS, ...CLOSE },
  offline: { ...WAITING, failed: to("offline", "wait slowly"), ...ENDS, ...CLOSE },
  blocked: { ...WAITING, ...ENDS, ...CLOSE },
  "signed-out": { refresh: to("bootstrapping", "ask control"), ...CLOSE },
  stopped: { refresh: to("bootstrapping", "ask control"), ...CLOSE },
};
