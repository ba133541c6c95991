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
/** So many late ones are no accident. */
const MANY = 4;
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
  unavailable: "unavailable", altered: "altered-content",
};
/** What these say is about the server or the person; the rest cannot be told then. */
const REACHED = ["ok", "altered", "signed-out", "too-many", "unavailable", "refused"];

/**
 * Return the causes' codes that these observations show, in the order of `order`.
 *
 * `seen` is {pace, pings, repeats, pair, stream, control, hold, holdSeconds, payload, afterCut}.
 */
export function judge(seen, order) {
  const found = new Set([...answers(seen), ...contents(seen), ...sharing(seen), ...streams(seen), ...holds(seen)]);
  if (found.has("unreachable")) return ["unreachable"];
  return order.filter((code) => found.has(code));
}

function asked(seen) {
  return [...(seen.pings ?? []), ...(seen.repeats ?? []), ...(seen.pair ?? []), seen.payload, seen.hold, seen.afterCut].filter(Boolean);
}

function answers(seen) {
  const pings = seen.pings ?? [];
  const all = asked(seen);
  const found = all.map((each) => SIMPLE[each.outcome]).filter(Boolean);
  if (all.some((each) => each.outcome === "page" && each.status < 500)) found.push("block-page");
  for (const stream of [seen.stream, seen.control]) {
    if (["redirect", "proxy-sign-in", "signed-out", "too-many", "unavailable"].includes(stream?.outcome)) found.push(SIMPLE[stream.outcome]);
  }
  if (pings.length && pings.every(isLost)) return ["unreachable"];
  if (pings.some(isLost) || isGone(seen) || seen.stream?.ending === "shutdown") found.push("unavailable");
  const quickest = Math.min(...pings.filter((each) => each.outcome === "ok").map((each) => each.seconds));
  if (Number.isFinite(quickest) && quickest >= SLOW_SECONDS) found.push("slow");
  return found;
}

const isLost = (answer) => ["late", "error", "gateway"].includes(answer.outcome);
/** Whether the server was gone after a stream had been cut: then that was why. */
const isGone = (seen) => Boolean(seen.afterCut) && isLost(seen.afterCut);

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

function sharing(seen) {
  const times = (seen.pair ?? []).filter((each) => each.outcome === "ok").map((each) => each.body.serverTime);
  if (times.length < 2) return [];
  if (times[0] === times[1]) return ["cached-answers"];
  return Math.abs(Date.parse(times[0]) - Date.parse(times[1])) >= IN_TURN_MS ? ["one-connection"] : [];
}

function streams(seen) {
  const { stream, control } = seen;
  if (!stream || isGone(seen)) return [];
  if (stream.outcome !== "ok") return refused(seen, stream, control);
  const found = [];
  if (!/^text\/event-stream/.test(stream.type)) found.push("rewritten-content-type");
  if (stream.altered && stream.chunks.length) found.push("altered-content");
  const held = delays(stream, seen.pace);
  if (held) found.push(held);
  if (["ended", "cut"].includes(stream.ending)) found.push("time-cap");
  if (stream.ending === "silent") found.push(stream.chunks.length > 1 ? "silent-connection" : "buffering");
  return found;
}

function refused(seen, stream, control) {
  if (!["page", "refused", "error", "late", "gateway"].includes(stream.outcome)) return [];
  const isEverywhere = asked(seen).some((each) => each.outcome === "page" && each.status < 500);
  if (isEverywhere || !control) return [];
  if (control.ending === "done") return ["blocked-event-streams"];
  if (control.outcome === "page" || control.outcome === "refused") return ["refused-chunks"];
  if (stream.outcome === "late") return ["buffering"];
  return stream.outcome === "error" || stream.outcome === "gateway" ? ["time-cap"] : [];
}

/** Return the cause of chunks that were not punctual, null if they were. */
function delays({ chunks, reads, encoding, endedMs }, pace) {
  if (chunks.length < 2) return null;
  const span = chunks.at(-1).serverMs - chunks[0].serverMs;
  // Nobody can wait for a stream and have it sooner than it was sent.
  if (endedMs < span / 2) return "cached-answers";
  if (lags(chunks).filter((each) => each > LATE_MS / pace).length < MANY) return null;
  if (encoding) return "compressed-without-flush";
  const isWhole = chunks.at(-1).atMs - chunks[0].atMs < span / 4;
  const isDripping = reads.length > chunks.length / 2 && reads.at(-1) - reads[0] > span / 2;
  return isWhole && !isDripping ? "buffering" : "bursts";
}

/** Return by how much each chunk was later than the most punctual one, in milliseconds. */
export function lags(chunks) {
  const ways = chunks.map((each) => each.atMs - each.serverMs);
  const quickest = Math.min(...ways);
  return ways.map((each) => each - quickest);
}

function holds(seen) {
  const { hold, stream, pace } = seen;
  if (!hold || isGone(seen) || !isLost(hold)) return [];
  const isCut = stream && ["ended", "cut"].includes(stream.ending) && stream.outcome === "ok";
  // What ends a stream on which data flow ends a quiet answer as well, and that is no news.
  if (isCut && stream.endedMs <= hold.seconds * 1000 + LATE_MS / pace) return [];
  return [hold.outcome === "late" ? "silent-connection" : "idle-cut"];
}

/** Return {tier: {verdict, causes}} for these causes; `catalogue` says which tiers each fails or limits. */
export function tiersOf(causes, catalogue, seen = {}) {
  return Object.fromEntries(TIERS.map((tier) => [tier, verdictOf(tier, causes, catalogue, seen)]));
}

function verdictOf(tier, causes, catalogue, { stream, pace = 1, pings }) {
  const isUseless = causes.includes("time-cap") && stream && (stream.endedMs / 1000) * pace < USEFUL_SECONDS;
  const failing = causes.filter((code) => catalogue[code].fails.includes(tier) || (code === "time-cap" && tier === "sse" && isUseless));
  const limiting = causes.filter((code) => catalogue[code].limits.includes(tier) && !failing.includes(code));
  if (failing.length) return { verdict: "fails", causes: [...failing, ...limiting] };
  if (limiting.length) return { verdict: "limited", causes: limiting };
  const isKnown = tier === "sse" ? stream : pings?.length;
  return { verdict: isKnown ? "works" : "unknown", causes: [] };
}

/** Return whether the rest of a check can tell anything after its first requests. */
export function canGoOn(pings) {
  const last = pings.at(-1);
  return REACHED.includes(last?.outcome) && pings.some((each) => each.outcome === "ok" || each.outcome === "altered");
}
