/**
 * One request of the check: sent with a deadline of its own, and told apart by who answered it, and how.
 *
 * Owns the classification of answers and the reading of streams.  It judges nothing, and throws nothing: whatever
 * happens is an observation.
 */

/** Above this an answer is nobody's probe. */
const MAX_CHUNK_TEXT = 4096;
/** Proxies and content delivery networks say with these that the server did not answer them in time, or not at all. */
const GATEWAY = [502, 504, 520, 521, 522, 523, 524, 525, 526, 530];
/** What the server says when as many probes run as may: nothing that a network has done. */
const BUSY = ["too-many-probes", "overloaded"];
const MAX_PROBLEM_TEXT = 4096;
/** Who delivers in bursts has not gone silent before it has been so for longer than between two of them. */
const PAUSES = 1.5;

const addressOf = (path) => new URL(path, document.baseURI);

/** Headers a probe is sent with; `token` is the one that was typed in, if any. */
function headersOf(more, token) {
  return token ? { ...more, Authorization: `Bearer ${token}` } : more;
}

/** Begin a request; returns [its signal, a function that ends it, a function that tells why it ended]. */
function deadline(milliseconds, signal) {
  const own = new AbortController();
  let isLate = false;
  const timer = setTimeout(() => {
    isLate = true;
    own.abort();
  }, milliseconds);
  const leave = () => own.abort();
  signal.addEventListener("abort", leave);
  if (signal.aborted) own.abort();
  const stop = () => {
    clearTimeout(timer);
    signal.removeEventListener("abort", leave);
  };
  return { signal: own.signal, stop, why: () => (isLate ? "late" : "error"), abort: leave };
}

function begin(path, { headers = {}, token }, signal) {
  return fetch(addressOf(path), {
    headers: headersOf(headers, token), cache: "no-store", redirect: "manual", credentials: "same-origin", signal,
  });
}

/** The end of the type of the server's own problem, "" of an answer that is somebody else's. */
async function slugOf(response, type) {
  if (response.status < 400 || !type.startsWith("application/problem+json")) return "";
  try {
    const problem = JSON.parse((await response.text()).slice(0, MAX_PROBLEM_TEXT));
    return /\/problems\/([a-z-]+)$/.exec(problem.type)?.[1] ?? "";
  } catch {
    return "";
  }
}

/** What an answer is that is not the one hoped for, by its status, type and problem; null if it may be the right one. */
function refusal(response, type, slug) {
  const { status } = response;
  // 511: a network that wants a sign-in says so itself (RFC 6585 section 6).
  if (response.type === "opaqueredirect" || (status >= 300 && status < 400) || status === 511) return "redirect";
  if (BUSY.includes(slug)) return "busy";
  if (status === 429) return "too-many";
  if (status === 503) return "unavailable";
  if (status === 407) return "proxy-sign-in";
  // The server says it in this type alone; a proxy with a log-in of its own may speak JSON, too.
  if (status === 401) return type.startsWith("application/problem+json") ? "signed-out" : "proxy-sign-in";
  if (GATEWAY.includes(status)) return "gateway";
  if (slug) return status >= 500 ? "unavailable" : "refused";
  if (status >= 400) return "page";
  return /html/.test(type) ? "page" : null;
}

/**
 * Ask for JSON.  `outcome` is "ok", "page" (somebody else's, whatever its type), "redirect", "signed-out",
 * "proxy-sign-in", "too-many", "unavailable", "gateway", "refused" and "busy" (by the server itself), "altered" (JSON that
 * is none, or content that does not fit), "late" or "error"; `seconds` is how long that took, and `isOwn` says that it is a
 * problem of the server itself.
 *
 * `fits(content, bytes)` tells whether that is what was asked for: of a network with a filter in it nothing is certain.
 */
export async function ask(path, { deadlineMs, signal, fits = () => true, ...options }) {
  const limit = deadline(deadlineMs, signal);
  const beganAt = performance.now();
  const seen = { outcome: "error", status: 0, body: null, headers: {}, isOwn: false, seconds: 0, path };
  try {
    const response = await begin(path, { headers: { Accept: "application/json", ...options.headers }, token: options.token }, limit.signal);
    seen.headers = Object.fromEntries(response.headers);
    seen.status = response.status;
    const type = seen.headers["content-type"] ?? "";
    const slug = await slugOf(response, type);
    seen.isOwn = slug !== "";
    const refused = refusal(response, type, slug);
    const text = refused === "redirect" || response.bodyUsed ? "" : await response.text();
    seen.bytes = text.length;
    seen.outcome = refused ?? taken(seen, text, fits, options.parse !== false);
  } catch {
    seen.outcome = limit.why();
  }
  limit.stop();
  seen.seconds = (performance.now() - beganAt) / 1000;
  return seen;
}

/** Put what an answer holds into `seen`; "altered" if it is not what was asked for. */
function taken(seen, text, fits, isJson) {
  try {
    if (isJson) seen.body = JSON.parse(text);
    return fits(seen.body, seen.bytes) ? "ok" : "altered";
  } catch {
    return "altered";
  }
}

/**
 * Read a probe's stream.  `chunks` are [{number, serverMs, atMs}], `reads` the times at which bytes came, `ending`
 * "done" (its end came), "ended" (it was ended before), "cut" (an error), "silent" or "refused".  `outcome` is as that of
 * `ask`: "page" also of an answer that has content and no part of ours.
 */
export async function listen(path, { type, silentMs, deadlineMs, signal, token, onChunk = () => {} }) {
  const beganAt = performance.now();
  const now = () => performance.now() - beganAt;
  const seen = { outcome: "error", status: 0, type: "", encoding: "", chunks: [], reads: [], ending: "cut", headMs: null, endedMs: 0, altered: false };
  const limit = deadline(deadlineMs, signal);
  let watchdog;
  let isSilent = false;
  let pauseMs = 0;
  const watch = () => {
    clearTimeout(watchdog);
    pauseMs = Math.max(pauseMs, seen.reads.at(-1) - (seen.reads.at(-2) ?? 0));
    // Silence before the first byte is buffering, until the deadline says otherwise.
    if (seen.chunks.length > 1) {
      watchdog = setTimeout(() => {
        isSilent = true;
        limit.abort();
      }, Math.max(silentMs, pauseMs * PAUSES));
    }
  };
  try {
    const response = await begin(path, { headers: { Accept: type }, token }, limit.signal);
    seen.headMs = now();
    seen.status = response.status;
    seen.type = response.headers.get("content-type") ?? "";
    seen.encoding = response.headers.get("content-encoding") ?? "";
    const refused = refusal(response, seen.type, await slugOf(response, seen.type));
    seen.outcome = refused ?? "ok";
    if (refused) {
      seen.ending = "refused";
      limit.abort();
    } else {
      await read(response.body.getReader(), seen, now, watch, onChunk);
      if (!seen.chunks.length && seen.reads.length && seen.ending === "ended") Object.assign(seen, { outcome: "page", ending: "refused" });
    }
  } catch {
    if (seen.ending !== "refused") seen.ending = isSilent || limit.why() === "late" ? "silent" : "cut";
    if (seen.outcome === "error") seen.outcome = limit.why();
  }
  clearTimeout(watchdog);
  limit.stop();
  seen.endedMs = now();
  return seen;
}

async function read(reader, seen, now, watch, onChunk) {
  const decoder = new TextDecoder();
  let text = "";
  seen.ending = "cut";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    seen.reads.push(now());
    text += decoder.decode(value, { stream: true });
    const blocks = text.split("\n\n");
    text = blocks.pop().slice(-MAX_CHUNK_TEXT);
    for (const block of blocks) take(block, seen, now());
    onChunk(seen.chunks.length);
    watch();
  }
  if (seen.ending !== "done") seen.ending = "ended";
}

function take(block, seen, atMs) {
  const found = /^event: (chunk|end)\ndata: (\{.*\})$/.exec(block);
  if (!found) {
    seen.altered = true;
    return;
  }
  try {
    const data = JSON.parse(found[2]);
    if (found[1] === "end") seen.ending = data.reason === "done" ? "done" : "shutdown";
    else seen.chunks.push({ number: data.number, serverMs: Date.parse(data.serverTime), atMs });
  } catch {
    seen.altered = true;
  }
}
