/**
 * What the observations of a check mean: causes by their codes, and what becomes of each tier.
 *
 * Pure: no network, no clock, no page.  An observation that is missing is no evidence, so that what is known so far can
 * be judged at any time.  `pace` is how many times faster than usual the check was run; figures that people are told
 * (round trip, clock) are never scaled.
 */

export const TIERS = ["sse", "long-poll", "short-poll"];

/** A chunk that is later than this, compared with the most punctual one, was held back. */
const LATE_MS = 2500;
/** Fewer late ones than this are an accident. */
const MANY = 4;
/** And so are those that are neither this share of all nor come in this many groups: a line may stall once or twice. */
const MUCH = 1 / 3;
const GROUPS = 3;
/** Two answers of one second each that end so far apart were given one after the other. */
const IN_TURN_MS = 800;
const SLOW_SECONDS = 1;
const SKEW_MS = 30_000;
/** Streams that last no longer than this are given up by clients. */
const USEFUL_SECONDS = 10;
/** What a browser is to see of the answers' headers; of others a proxy may have its own idea. */
const NEEDED = ["cache-control", "content-type", "x-content-type-options"];
const SIMPLE = {
  redirect: "sign-in-page", "proxy-sign-in": "proxy-sign-in", "signed-out": "signed-out", "too-many": "rate-limited",
  unavailable: "unavailable",
};
/** What these say is about the server or the person; the rest cannot be told then. */
const REACHED = ["ok", "altered", "signed-out", "too-many", "unavailable", "refused", "busy"];
/** A quiet answer that somebody else gives after so long was given up, sooner it was not let through. */
const GIVEN_UP_SECONDS = 5;
/** Nothing else can be told then. */
const ALONE = ["unreachable", "gateway-error"];

/**
 * Return the causes' codes that these observations show, in the order of `order`.
 *
 * `seen` is {pace, pings, repeats, coldPair, pair, stream, control, hold, holdSeconds, payload, afterCut}.
 */
export function judge(seen, order) {
  const found = new Set([...answers(seen), ...contents(seen), ...sharing(seen), ...streams(seen), ...holds(seen)]);
  const alone = ALONE.find((code) => found.has(code));
  return alone ? [alone] : order.filter((code) => found.has(code));
}

const isOk = (answer) => answer.outcome === "ok";
export const isLost = (answer) => ["late", "error", "gateway"].includes(answer.outcome);
/** Whether this is the answer of somebody else, be it a page or not. */
const isForeign = (answer) => ["page", "altered"].includes(answer?.outcome);
/** Whether the server was gone after a stream or a quiet answer had come to no good end: then that was why. */
export const isGone = (seen) => Boolean(seen.afterCut) && isLost(seen.afterCut);
/** Whether the server answers as it should, as far as is known: without that nothing works. */
export const answersNow = (pings = []) => pings.some(isOk) && !isLost(pings.at(-1));

/** Return the answers that came at once, or should have. */
function quick(seen) {
  return [...(seen.pings ?? []), ...(seen.repeats ?? []), seen.payload, seen.afterCut].filter(Boolean);
}

/** Return the answers of all requests but the streams. */
function asked(seen) {
  return [...quick(seen), ...(seen.pair ?? []), seen.hold].filter(Boolean);
}

function answers(seen) {
  const pings = seen.pings ?? [];
  if (pings.length && pings.every(isLost)) return [pings.some((each) => each.outcome === "gateway") ? "gateway-error" : "unreachable"];
  // What became of a quiet answer that was waited for in vain is told by `holds`.
  const told = asked(seen).filter((each) => each !== seen.hold || !isGivenUp(each, seen.pace));
  const found = [...told, seen.stream, seen.control].map((each) => SIMPLE[each?.outcome]).filter(Boolean);
  found.push(...strangers(seen));
  if (pings.some(isLost) || isGone(seen) || seen.stream?.ending === "shutdown") found.push("unavailable");
  if (isSlow(seen) || (seen.payload?.outcome === "late" && !isGone(seen))) found.push("slow");
  return found;
}

/** Return the causes of answers that somebody else gave. */
function strangers(seen) {
  const pings = seen.pings ?? [];
  // Where no answer is the server's, none is let through, whatever they look like.
  if (!pings.some(isOk)) return pings.some(isForeign) ? ["block-page"] : [];
  const found = [];
  // What happens to quiet answers alone is told by `holds`.
  const others = isForeign(seen.hold) ? quick(seen) : asked(seen);
  if (others.some(isBlocked)) found.push("block-page");
  if (others.some((each) => each.outcome === "altered")) found.push("altered-content");
  if (pings.some((each) => each.outcome === "page" && !isBlocked(each))) found.push("unavailable");
  return found;
}

/** A filter's page says that all is well, or whose fault it is; one that speaks of an error among good answers is no filter's. */
const isBlocked = (answer) => answer.outcome === "page" && answer.status < 500;

/** Whether the quickest of the first requests was slow. */
export function isSlow({ pings = [] }) {
  const quickest = Math.min(...pings.filter(isOk).map((each) => each.seconds));
  return Number.isFinite(quickest) && quickest >= SLOW_SECONDS;
}

function contents(seen) {
  const found = [];
  const networks = [...(seen.pings ?? []), ...(seen.repeats ?? [])].filter((each) => each.outcome === "ok");
  for (const { body, headers, nonce } of networks) {
    if (body.nonce !== nonce) found.push("cached-answers");
    if (body.httpVersion === "HTTP/1.0") found.push("http-1.0");
    if (body.headers.stripped.length || missing(headers).length) found.push("stripped-headers");
    if (Math.abs(body.clockSkewMs ?? 0) >= SKEW_MS && body.nonce === nonce) found.push("clock-skew");
  }
  const times = (seen.repeats ?? []).filter((each) => each.outcome === "ok").map((each) => each.body.serverTime);
  if (new Set(times).size < times.length) found.push("cached-answers");
  return found;
}

/** Return which headers of an answer did not arrive. */
export function missing(headers) {
  return NEEDED.filter((name) => headers[name] === undefined);
}

function sharing({ coldPair, pair }) {
  const pairs = [coldPair, pair].filter(Boolean);
  if (pairs.some((each) => apart(each) === 0)) return ["cached-answers"];
  return pairs.length && pairs.every(isInTurn) ? ["one-connection"] : [];
}

/** Whether two requests that were sent at once were answered one after the other. */
export const isInTurn = (pair) => apart(pair) >= IN_TURN_MS;

/** Return how many milliseconds lie between the two answers of a pair, -1 if there are no two. */
function apart(pair) {
  const times = pair.filter(isOk).map((each) => each.body.serverTime);
  if (times.length < 2) return -1;
  // Of the same moment only what is the same to the microsecond.
  return times[0] === times[1] ? 0 : Math.max(1, Math.abs(Date.parse(times[0]) - Date.parse(times[1])));
}

function streams(seen) {
  const { stream, control, pace } = seen;
  if (!stream || isGone(seen)) return [];
  if (stream.outcome !== "ok") return refused(seen, stream, control);
  const isEnded = ["ended", "cut"].includes(stream.ending);
  // Not a cap: there was nothing to cut.  What limits such a wait is seen by the quiet answer.
  if (!stream.chunks.length && isEnded) return stream.endedMs > LATE_MS / pace ? ["buffering"] : [];
  const found = [];
  if (!/^text\/event-stream/.test(stream.type)) found.push("rewritten-content-type");
  if (stream.altered && stream.chunks.length) found.push("altered-content");
  const held = delays(stream, pace);
  if (held) found.push(held);
  if (isEnded) found.push("time-cap");
  // What collects parts for longer than anybody waits has not forgotten the connection.
  if (stream.ending === "silent" && !held) found.push(stream.chunks.length > 1 ? "silent-connection" : "buffering");
  return found;
}

function refused(seen, stream, control) {
  if (!["page", "refused", "error", "late", "gateway"].includes(stream.outcome)) return [];
  if (quick(seen).some(isBlocked) || !control) return [];
  const isAnswer = ["page", "refused"].includes(stream.outcome);
  if (control.ending === "done") return isAnswer ? ["blocked-event-streams"] : [unanswered(stream, control)];
  if (["page", "refused"].includes(control.outcome)) return ["refused-chunks"];
  if (isAnswer) return [];
  if (control.chunks.length && stream.outcome !== "late") return ["time-cap"];
  // Nobody's network is blamed for what was no trial.
  if (control.outcome !== "ok" && !isLost(control)) return [];
  return [stream.endedMs > LATE_MS / seen.pace ? "buffering" : "refused-chunks"];
}

/** Return the cause of a stream that no answer came to, while the same as plain text came through. */
function unanswered(stream, control) {
  const { chunks } = control;
  const isTogether = chunks.length > 1 && chunks.at(-1).atMs - chunks[0].atMs < (chunks.at(-1).serverMs - chunks[0].serverMs) / 4;
  // Only what fails before the text was through fails by its type: what lasts longer is held back until a limit ends it.
  return !isTogether && stream.endedMs < control.endedMs ? "blocked-event-streams" : "buffering";
}

/** Return the cause of chunks that were not punctual, null if they were. */
function delays({ chunks, reads, encoding, endedMs }, pace) {
  if (chunks.length < 2) return null;
  const span = chunks.at(-1).serverMs - chunks[0].serverMs;
  // Nobody can wait for a stream and have it sooner than it was sent.
  if (endedMs < span / 2) return "cached-answers";
  if (lags(chunks).filter((each) => each > LATE_MS / pace).length < MANY) return null;
  if (!isUsual(lags(chunks).map((each) => each > LATE_MS / pace))) return null;
  if (encoding) return "compressed-without-flush";
  const isWhole = chunks.at(-1).atMs - chunks[0].atMs < span / 4;
  const isDripping = reads.length > chunks.length / 2 && reads.at(-1) - reads[0] > span / 2;
  return isWhole && !isDripping ? "buffering" : "bursts";
}

/** Whether chunks were late as a rule, and not by a stall or two. */
function isUsual(late) {
  const groups = late.filter((each, index) => each && !late[index - 1]).length;
  return late.filter(Boolean).length >= late.length * MUCH || groups >= GROUPS;
}

/** Return by how much each chunk was later than the most punctual one, in milliseconds. */
export function lags(chunks) {
  const ways = chunks.map((each) => each.atMs - each.serverMs);
  const quickest = Math.min(...ways);
  return ways.map((each) => each - quickest);
}

function holds(seen) {
  const { hold, stream, pace } = seen;
  if (!hold || isGone(seen)) return [];
  if (!isLost(hold) && !isGivenUp(hold, pace)) {
    if (!isForeign(hold)) return [];
    return quick(seen).some((each) => each.outcome === "altered" || isBlocked(each)) ? [] : ["refused-waiting"];
  }
  const isCut = stream && ["ended", "cut"].includes(stream.ending) && stream.chunks.length > 0;
  // What ends a stream on which data flow ends a quiet answer as well, and that is no news.
  if (isCut && stream.endedMs <= hold.seconds * 1000 + LATE_MS / pace) return [];
  if (hold.outcome === "late") return ["silent-connection"];
  // What fails at once has not been quiet.
  return hold.seconds > GIVEN_UP_SECONDS / pace ? ["idle-cut"] : [];
}

/** Whether an answer that is not the server's says that somebody waited for the server in vain. */
export function isGivenUp({ outcome, status, seconds, isOwn }, pace) {
  if (seconds <= GIVEN_UP_SECONDS / pace) return false;
  return outcome === "page" ? status === 408 || status >= 500 : outcome === "unavailable" && !isOwn;
}

/** Return {tier: {verdict, causes}} for these causes; `catalogue` says which tiers each fails or limits. */
export function tiersOf(causes, catalogue, seen = {}) {
  return Object.fromEntries(TIERS.map((tier) => [tier, verdictOf(tier, causes, catalogue, seen)]));
}

/** The answers that show what becomes of each tier. */
const PROBES = { sse: ({ stream, control }) => [stream, control], "long-poll": ({ pair = [], hold }) => [...pair, hold], "short-poll": quick };

/** Whether a cause is in this tier's way: a sign-in that only some requests are led to is in that of theirs alone. */
function isMet(code, tier, seen) {
  const { pings = [] } = seen;
  if (code !== SIMPLE.redirect || !pings.some(isOk) || pings.at(-1).outcome === "redirect") return true;
  return PROBES[tier](seen).some((each) => each?.outcome === "redirect");
}

function verdictOf(tier, causes, catalogue, seen) {
  const { stream, hold, pace = 1, pings } = seen;
  const isUseless = causes.includes("time-cap") && stream && (stream.endedMs / 1000) * pace < USEFUL_SECONDS;
  const failing = causes.filter((code) => (catalogue[code].fails.includes(tier) && isMet(code, tier, seen)) || (code === "time-cap" && tier === "sse" && isUseless));
  const limiting = causes.filter((code) => catalogue[code].limits.includes(tier) && !failing.includes(code));
  if (failing.length) return { verdict: "fails", causes: [...failing, ...limiting] };
  // Nobody has seen a tier work, be it with limits, where the server's answers do not come.
  if (!answersNow(pings) || isGone(seen)) return { verdict: "unknown", causes: limiting };
  if (tier === "sse" && !stream?.chunks.length) return { verdict: "unknown", causes: limiting };
  if (limiting.length) return { verdict: "limited", causes: limiting };
  return { verdict: tier === "long-poll" && hold?.outcome !== "ok" ? "unknown" : "works", causes: [] };
}

/** Return whether the rest of a check can tell anything after its first requests. */
export function canGoOn(pings) {
  return REACHED.includes(pings.at(-1)?.outcome) && pings.some(isOk);
}
