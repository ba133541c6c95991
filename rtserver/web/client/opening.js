/**
 * Opening a stream: at the cursor, by cookie or by ticket.
 *
 * Owns the address.  A native EventSource sends no header, so where there is a token it is turned into a ticket, which
 * is good for this one stream; a token never stands in an address.
 */

import { KNOWN_TYPES, Stream } from "./stream.js";

/** Open a stream under `attempt`; `hear` gets its words, or the verdict on the request for a ticket. */
export async function openStream({ requests, intake, token, environment, heartbeat, knownTypes }, attempt, hear) {
  let ticket;
  if (token.isUsed) {
    const answer = await requests.post("/tickets", {}, { signal: attempt.signal });
    if (attempt.isOver) return;
    if (answer.verdict !== "ok") return hear(answer.verdict, answer);
    ticket = answer.body?.ticket;
  }
  const url = requests.url("/events", { ...intake.parameters, compact: undefined, lastEventId: intake.cursor, heartbeat: heartbeat.seconds, ticket });
  const listen = (word, detail) => {
    if (typeof detail.silent === "number") heartbeat.wasCut(detail.silent);
    hear(word, detail);
  };
  const types = [...KNOWN_TYPES, ...knownTypes];
  attempt.own(new Stream(environment.EventSource, url, types, environment.clock, listen));
}
