/**
 * Requests: one plain HTTP exchange with the server, and the verdict on it.
 *
 * Owns addresses, the token on its way, time limits, gzip of large bodies, and how long the way takes.  Refuses to
 * decide what follows from an answer, and never hands out a body that is not the server's.
 */

import { retryAfter } from "./backoff.js";
import { isRedirect, judge } from "./verdict.js";

const TIMEOUT_SECONDS = 10;
/** Above this, a body is worth compressing. */
const GZIP_CHARACTERS = 2048;

/** What is known of an exchange that brought nothing. */
const NOTHING = {
  verdict: "failed", status: 0, body: null, headers: new Map(), retryAfter: 0, elapsed: 0, isOwnAbort: false, isRedirect: false,
};

export class Requests {
  /** `api` is the address of the session; `environment` has fetch and a clock. */
  constructor(api, token, environment) {
    this.api = api;
    this.roundTripMs = 0;
    this.lastAnswerAt = null; // as the server's clock says it, in milliseconds
    this._token = token;
    this._environment = environment;
  }

  /** Return the address of something below the session, with parameters; undefined ones are left out. */
  url(path, parameters = {}) {
    const given = Object.entries(parameters).filter(([, value]) => value !== undefined && value !== null);
    const query = new URLSearchParams(given.map(([name, value]) => [name, String(value)])).toString();
    return `${this.api}${path}${query ? `?${query}` : ""}`;
  }

  get(path, parameters, options = {}) {
    // Something on the way may keep answers although it must not; it does not keep those to addresses it never saw.
    const nonce = Math.floor(this._environment.clock.random() * 1e9).toString(36);
    return this._send("GET", this.url(path, { ...parameters, _: nonce }), options);
  }

  /** What is `isPersonal` is sent for the person whose connection this is, and for nobody who signed in since. */
  async post(path, document, options = {}) {
    const { body, headers } = await this._encode(document);
    return this._send("POST", this.url(path), { ...options, body, headers });
  }

  /** Tell the server what is no matter of the session: how its clients fare (DESIGN 4.9). */
  async report(document, options = {}) {
    const { body, headers } = await this._encode(document);
    const url = this.api.replace(/\/sessions\/[^/]*$/, "/diagnostics/reports");
    return this._send("POST", url, { ...options, body, headers });
  }

  /** Send, and once more with a new token where the old one was refused. */
  async _send(method, url, options) {
    let token;
    try {
      token = await this._token.current();
      if (options.isPersonal && this._token.isOfAnother()) return { ...NOTHING, verdict: "sign-in" };
      let answer = await this._exchange(method, url, token, options);
      if (answer.verdict === "sign-in" && answer.status === 401 && this._token.isRenewable) {
        token = await this._token.renew(token);
        if (options.isPersonal && this._token.isOfAnother()) return answer;
        answer = await this._exchange(method, url, token, options);
      }
      return answer;
    } catch {
      // The application's token function failed: the network, or its own server.
      return { ...NOTHING, isOwnAbort: options.signal?.aborted ?? false };
    }
  }

  async _exchange(method, url, token, { signal, timeout = TIMEOUT_SECONDS, headers = {}, body, accept = "application/json" }) {
    const { clock, fetch } = this._environment;
    const controller = new AbortController();
    const abort = () => controller.abort();
    signal?.addEventListener("abort", abort);
    if (signal?.aborted) abort();
    const timer = clock.setTimeout(abort, timeout * 1000);
    const beganAt = clock.monotonic();
    const elapsed = () => (clock.monotonic() - beganAt) / 1000;
    try {
      const response = await fetch(url, {
        method, body, headers: { Accept: accept, ...headers, ...(token ? { Authorization: `Bearer ${token}` } : {}) },
        signal: controller.signal, redirect: "manual", cache: "no-store", credentials: "same-origin", keepalive: false,
      });
      const answer = await this._read(response, accept);
      this.roundTripMs = Math.round(elapsed() * 1000);
      return { ...answer, elapsed: elapsed() };
    } catch {
      return { ...NOTHING, elapsed: elapsed(), isOwnAbort: signal?.aborted ?? false };
    } finally {
      controller.abort(); // of a stream that was asked about, the rest is not read
      clock.clearTimeout(timer);
      signal?.removeEventListener("abort", abort);
    }
  }

  async _read(response, accept) {
    const headers = response.headers;
    const found = { status: response.status, type: response.type, contentType: headers.get("content-type") };
    const answer = { ...NOTHING, verdict: judge(found, accept), status: response.status, headers, isRedirect: isRedirect(found) };
    answer.retryAfter = retryAfter(headers.get("retry-after"), headers.get("date"), this._environment.clock.now());
    if (answer.verdict === "ok" || (found.contentType ?? "").startsWith("application/problem+json")) {
      this.lastAnswerAt = Date.parse(headers.get("date") ?? "") || null;
    }
    const hasBody = response.status !== 204 && response.status !== 304 && accept === "application/json";
    if (hasBody && (answer.verdict === "ok" || response.status >= 400)) {
      try {
        answer.body = await response.json();
      } catch (error) {
        if (error?.name === "AbortError") throw error;
        if (answer.verdict === "ok") answer.verdict = "page";
      }
      if (answer.verdict === "ok" && (typeof answer.body !== "object" || answer.body === null)) answer.verdict = "page";
    }
    return answer;
  }

  async _encode(document) {
    const text = JSON.stringify(document);
    const headers = { "Content-Type": "application/json" };
    const { CompressionStream, Response } = this._environment;
    if (text.length < GZIP_CHARACTERS || !CompressionStream || !Response) return { body: text, headers };
    const stream = new Response(text).body.pipeThrough(new CompressionStream("gzip"));
    const body = await new Response(stream).arrayBuffer();
    return { body, headers: { ...headers, "Content-Encoding": "gzip" } };
  }
}
