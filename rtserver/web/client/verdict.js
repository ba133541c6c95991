/**
 * The verdict on an answer: what it says of the way to the server, in the words of the state machine.
 *
 * Owns the one table for all requests.  Refuses to look into what is not the server's: a block page is named, never
 * read, let alone shown.
 *
 *     what came                                          verdict
 *     no answer, not in time, 407, 408, 425              failed
 *     a redirect                                         page (a gateway's; the server never redirects)
 *     429, 503                                           busy, whoever says it
 *     5xx                                                broken
 *     2xx, 304 in the expected type                      ok
 *     401, 403, 404 and 410 as the server says them      sign-in, forbidden, gone, gone
 *     another 4xx as the server says it                  broken: only a defect explains it
 *     anything else                                      page
 */

/** The server refuses in this type alone (RFC 9457); what ends a client is believed of nobody else. */
const PROBLEM_TYPE = "application/problem+json";
const REFUSALS = { 401: "sign-in", 403: "forbidden", 404: "gone", 410: "gone" };

/** Return whether something on the way leads elsewhere, to its own log-in as a rule. */
export function isRedirect({ status, type }) {
  return type === "opaqueredirect" || (status >= 300 && status < 400 && status !== 304);
}

/**
 * Return the verdict.  `answer` is {status, type, contentType}: `status` 0 where there was no answer, `type` as fetch
 * says it; `expected` is the media type of a good answer.
 */
export function judge({ status, type, contentType }, expected = "application/json") {
  if (isRedirect({ status, type })) return "page";
  if (status === 0 || [407, 408, 425].includes(status)) return "failed";
  if (status === 429 || status === 503) return "busy";
  if (status >= 500) return "broken";
  if (status === 204 || status === 304) return "ok";
  const media = (contentType ?? "").split(";")[0].trim().toLowerCase();
  if (status < 300) return media === expected ? "ok" : "page";
  if (media === PROBLEM_TYPE) return REFUSALS[status] ?? "broken";
  return media === "application/json" && !(status in REFUSALS) ? "broken" : "page";
}
