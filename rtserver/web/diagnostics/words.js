/**
 * What people read of a check: one line for each step, and the request to the network team as text to be sent.
 *
 * Pure: observations in, text out.
 */

import { answersNow, isGone, isSlow, lags, missing } from "./judge.js";

export const STEPS = {
  reach: "Reaching the server", content: "Headers, caches and clock", pair: "Two requests at once",
  payload: "Speed", stream: "A stream that lasts", hold: "A quiet connection",
};
export const TIER_NAMES = { sse: "Live stream", "long-poll": "Long polling", "short-poll": "Short polling" };
export const VERDICTS = { works: "works", limited: "works, with limits", fails: "does not work", unknown: "not checked" };
/** What each tier is to people. */
export const TIER_WORDS = {
  sse: "News arrives at once, over one answer that does not end.",
  "long-poll": "News arrives at once or within seconds, over answers that wait for it.",
  "short-poll": "News arrives within 3 to 10 seconds, over short answers.",
};
const STEP_CAUSES = {
  reach: ["unreachable", "gateway-error", "unavailable", "block-page", "sign-in-page", "proxy-sign-in", "signed-out", "rate-limited"],
  content: ["stripped-headers", "altered-content", "cached-answers", "http-1.0", "clock-skew"],
  pair: ["one-connection"],
  payload: [],
  stream: [
    "buffering", "bursts", "compressed-without-flush", "blocked-event-streams", "refused-chunks", "rewritten-content-type",
    "time-cap",
  ],
  hold: ["idle-cut", "refused-waiting"],
};

/** Return {state, text} of a step: "waiting", "running", "skipped", "good" or "bad". */
export function stepOf(name, progress, causes, seen) {
  if (progress !== "done") {
    return { state: progress, text: { waiting: "waits for its turn", running: "running", skipped: "not possible now" }[progress] };
  }
  const answered = ANSWERS[name](seen);
  // What the server had no place for says nothing about the network.
  if (answered.some(isBusy) && answered.every((each) => isBusy(each) || each.outcome === "ok")) return { state: "skipped", text: OUTCOMES.busy };
  const isBad = causes.some((code) => STEP_CAUSES[name].includes(code)) || isFailed(name, answered, seen);
  return { state: isBad ? "bad" : "good", text: FIGURES[name](seen) };
}

/** The answers that each step is about. */
const ANSWERS = {
  reach: ({ pings }) => pings, content: ({ repeats }) => repeats, pair: ({ pair }) => pair, payload: ({ payload }) => [payload],
  stream: ({ stream }) => [stream], hold: ({ hold }) => [hold],
};
const isBusy = (answer) => answer.outcome === "busy";

function isFailed(name, answered, seen) {
  // Of the first requests some may fail: what that means is a cause.
  if (name === "reach") return !answersNow(answered) || isSlow(seen);
  if (name === "stream" && seen.stream.ending !== "done") return true;
  return answered.some((each) => each.outcome !== "ok");
}

const OUTCOMES = {
  page: "an answer of somebody else came back", redirect: "led to a sign-in page", "signed-out": "the server does not know who asks",
  "proxy-sign-in": "a proxy asks who you are", "too-many": "too many requests, it was said", unavailable: "the server is busy",
  gateway: "a gateway got no answer from the server", refused: "refused", altered: "the answer was changed on the way", late: "no answer in time",
  error: "the connection failed", busy: "could not be tried now: the server runs as many checks as it may",
};

const seconds = (value) => (value < 10 ? value.toFixed(1) : String(Math.round(value)));

const FIGURES = {
  reach({ pings }) {
    const good = pings.filter((each) => each.outcome === "ok");
    const bad = pings.filter((each) => each.outcome !== "ok").map((each) => OUTCOMES[each.outcome]);
    const quickest = good.length ? `round trip ${Math.max(1, Math.round(Math.min(...good.map((each) => each.seconds)) * 1000))} ms` : "";
    const failed = bad.length ? `${bad.length} of ${pings.length} requests failed: ${[...new Set(bad)].join("; ")}` : "";
    return [quickest, failed].filter(Boolean).join("; ");
  },
  content({ pings, repeats }) {
    const last = [...pings, ...repeats].findLast((each) => each.outcome === "ok" && each.body.clockSkewMs !== null);
    if (!last) return "nothing could be compared";
    const lost = [...last.body.headers.stripped, ...missing(last.headers)];
    const skew = last.body.clockSkewMs / 1000;
    const clock = Math.abs(skew) < 2 ? "the clock is right" : `the clock is ${seconds(Math.abs(skew))} s ${skew > 0 ? "ahead" : "behind"}`;
    return `${last.body.httpVersion}; ${clock}; ${lost.length ? `removed: ${lost.join(", ")}` : "no header is missing"}`;
  },
  pair({ pair }) {
    const bad = pair.find((each) => each.outcome !== "ok");
    if (bad) return OUTCOMES[bad.outcome];
    return `answered within ${seconds(Math.max(...pair.map((each) => each.seconds)))} s, where one takes 1 s`;
  },
  payload({ payload }) {
    if (payload.outcome !== "ok") return OUTCOMES[payload.outcome];
    return `${seconds((payload.bytes * 8) / 1e6 / Math.max(0.001, payload.seconds))} Mbit/s`;
  },
  stream({ stream, control }) {
    if (stream.outcome !== "ok") {
      return `${OUTCOMES[stream.outcome]}${control?.ending === "done" ? "; the same as plain text came through" : ""}`;
    }
    const worst = stream.chunks.length ? Math.max(...lags(stream.chunks)) / 1000 : 0;
    const ended = {
      done: "came to its end", ended: `was ended after ${seconds(stream.endedMs / 1000)} s`, cut: `was cut after ${seconds(stream.endedMs / 1000)} s`,
      silent: `fell silent after ${seconds((stream.reads.at(-1) ?? 0) / 1000)} s`, shutdown: "the server restarts",
    }[stream.ending];
    return `${stream.chunks.length} parts, the latest ${seconds(worst)} s late; ${ended}`;
  },
  hold({ hold, holdSeconds }) {
    return hold.outcome === "ok" ? `${holdSeconds} s of silence are no trouble` : `${OUTCOMES[hold.outcome]}, after ${seconds(hold.seconds)} s`;
  },
};

/** Return a text with the server's address where it speaks of it; the address is a `URL` or `location`. */
export function addressed(text, { protocol, host, hostname, port }) {
  const isEncrypted = protocol === "https:";
  const fields = {
    protocol: protocol.slice(0, -1), host, hostname: hostname.replace(/^\[|\]$/g, ""), port: port || (isEncrypted ? "443" : "80"),
    service: isEncrypted ? "HTTPS" : "HTTP",
  };
  return text.replace(/\{(\w+)\}/g, (field, name) => fields[name] ?? field);
}

const NOT_NOW = "The application waits and goes on by itself; check again in a few minutes.";

/** Return [headline, summary] of a whole check. */
export function headlineOf({ causes, tiers, steps }, seen) {
  const { pings = [] } = seen;
  const verdicts = Object.values(tiers).map((each) => each.verdict);
  if (causes.includes("signed-out")) return ["Only part could be checked", "The server does not know who asks."];
  if (verdicts.every((each) => each === "fails")) return ["It does not work from here", "None of the ways works. What to ask for stands below."];
  if (!pings.some((each) => each.outcome === "ok")) return nothingCame(causes, pings);
  if (!answersNow(pings) || isGone(seen)) return ["It does not work now", `The server was there, and then not. ${NOT_NOW}`];
  const isTroubled = steps.some((each) => each.state === "bad");
  if (!causes.length && isTroubled) return ["Not all of it worked", "What failed stands below, and nothing explains it: check again."];
  if (verdicts.includes("unknown") || (!causes.length && steps.some((each) => each.state !== "good"))) return ["Only part could be checked", "What was not stands below. Check again in a minute."];
  if (!causes.length) return ["Everything works", "Nothing was found that stands in the way of live news."];
  const more = causes.length === 1 ? "One trouble was found" : `${causes.length} troubles were found`;
  const best = Object.keys(tiers).find((tier) => tiers[tier].verdict !== "fails");
  if (best === "sse") return ["It works, with limits", `${more}; the application copes with it.`];
  return ["It works, but not at its best", `${more}. News still reaches you, over ${TIER_NAMES[best].toLowerCase()}.`];
}

/** Return the headline of a check in which no request was answered as it should be, and not for ever. */
function nothingCame(causes, pings) {
  if (causes.length) return ["It does not work now", `No request was answered as it should be. ${NOT_NOW}`];
  if (pings.some(isBusy)) return ["It could not be checked now", "The server runs as many checks as it may. Check again in a minute."];
  return ["It could not be checked", "The server refuses the requests of the check."];
}

/** Return the whole result as text for an e-mail or a ticket. */
export function letterOf({ address, agent, at, causes, tiers, catalogue, steps }) {
  const lines = [`Network check of ${address}`, at, agent, ""];
  for (const [tier, { verdict }] of Object.entries(tiers)) lines.push(`${TIER_NAMES[tier]}: ${VERDICTS[verdict]}`);
  lines.push("");
  for (const { title, state, text } of steps) lines.push(`${title}: ${state === "bad" ? "TROUBLE - " : ""}${text}`);
  lines.push("");
  const requests = causes.filter((code) => catalogue[code].request);
  if (requests.length) lines.push("What we ask for:", "");
  for (const code of requests) {
    const { title, request } = catalogue[code];
    lines.push(`- ${title}.`, `  ${addressed(request, new URL(address))}`, "");
  }
  return lines.join("\n").trim();
}
