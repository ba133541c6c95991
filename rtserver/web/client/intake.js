/**
 * The intake: whatever brings events brings them here, and the application gets each once and in order.
 *
 * Owns the joining of history to what is live, gaps (`reset`), holes in a stream, and handing events over.  Refuses to
 * know tiers: a page is a page, an event an event, and a plain request is made only to fill a hole.
 */

import { retryDelay } from "./backoff.js";
import { Inbox } from "./inbox.js";
import { Pace } from "./pace.js";
import { pause } from "./pause.js";

const PAGE = 100;
/** Verdicts after which it is worth asking again. */
const PASSING = ["failed", "busy", "broken", "page"];

export class Intake {
  /**
   * `settings` are {requests, clock, signal, cursor, history, eventTypes, compact}; `hand` is what the application
   * gets: {event(event), reset(reset), batch(after, events), types(types)}.
   */
  constructor(settings, hand) {
    Object.assign(this, { snapshot: null, _settings: settings, _hand: hand, _held: null, _isFilling: false, _wanted: null });
    this._pace = new Pace();
    const { history, eventTypes } = settings;
    this._history = eventTypes && !eventTypes.includes("message_added") ? 0 : Math.min(history, PAGE);
    this._inbox = new Inbox(settings.cursor ?? null);
    this._delivered = this.cursor;
  }

  get cursor() {
    return this._inbox.cursor;
  }

  /** Where this reader is, and up to where the application has got something: what lies between, a filter left out. */
  get place() {
    return { delivered: this._delivered, cursor: this.cursor };
  }

  /** Parameters that every request for events has. */
  get parameters() {
    const { eventTypes, compact } = this._settings;
    return { eventTypes: eventTypes?.join(","), compact: compact || undefined };
  }

  /** Ask for the snapshot and the history; with them it is known where to go on from. */
  async join(signal) {
    const { requests } = this._settings;
    const [snapshot, past] = await Promise.all([
      requests.get("", {}, { signal }),
      this._history > 0 ? requests.get("/messages", { limit: this._history }, { signal }) : null,
    ]);
    const refused = [snapshot, past].find((answer) => answer !== null && answer.verdict !== "ok");
    if (refused !== undefined) return refused;
    if (typeof snapshot.body.lastEventId !== "string") return { ...snapshot, verdict: "page" };
    this.snapshot = snapshot.body;
    if (this.cursor !== null) return snapshot;
    const messages = Array.isArray(past?.body.messages) ? past.body.messages : [];
    this._inbox.reset(past?.body.lastEventId ?? snapshot.body.lastEventId);
    this._delivered = this.cursor;
    for (const message of messages.reverse()) this._deliver(message);
    this._release();
    return snapshot;
  }

  /** Know where to go on from.  With a cursor from before, the snapshot alone brings no events: they are asked for. */
  async begin(signal) {
    const hasCursor = this.cursor !== null;
    const answer = this.snapshot === null ? await this.join(signal) : null;
    const isAlright = answer === null || answer.verdict === "ok";
    return hasCursor && isAlright ? this.catchUp(signal) : answer;
  }

  /** Ask for everything after the cursor, page by page, as far as that leads; the last answer says how that went. */
  async catchUp(signal, timeout = 10) {
    const { clock } = this._settings;
    for (;;) {
      await pause(clock, this._pace.take(clock.monotonic() / 1000), signal);
      const before = this.cursor;
      const parameters = { ...this.parameters, lastEventId: this.cursor, timeout: 0, limit: PAGE };
      const answer = await this._settings.requests.get("/updates", parameters, { signal, timeout });
      if (answer.verdict !== "ok") return answer;
      const hasMore = this.page(answer) && this.cursor !== before;
      if (!hasMore) return { ...answer, verdict: answer.body?.closed ? "ended" : answer.verdict };
    }
  }

  /** Take an answer of either kind of poll; return whether there is more to fetch at once. */
  page({ body, headers }) {
    if (!body) return this._skip(headers.get("last-event-id"));
    if (body.reset) {
      this.reset({ ...body.reset, lastEventId: body.lastEventId ?? body.reset.lastEventId });
      return false;
    }
    this.events(Array.isArray(body.events) ? body.events : Array.isArray(body.updates) ? body.updates : []);
    this._skip(body.lastEventId);
    return body.hasMore === true;
  }

  /** Move on past what a filter left out, so that the place is still kept when that is trimmed; return false. */
  _skip(cursor) {
    if (this._held === null) this._inbox.moveTo(cursor);
    return false;
  }

  /** Take one event of a stream.  A hole before it is filled first: the stream told nothing of types unheard of. */
  event(event) {
    if (event.id !== null && this._isHole(event.id)) this._fill(event.id);
    else this.events([event]);
  }

  /** A stream says how far it has come. */
  seen(cursor) {
    if (!this._inbox.isNews(cursor) || this._held !== null) return;
    if (this._settings.eventTypes) this._inbox.moveTo(cursor);
    else this._fill(cursor);
  }

  /** Events that another tab has read, after `after`. */
  relayed(after, events) {
    const isBehind = this.cursor !== null && this._held === null && this._inbox.isNews(after);
    if (isBehind) this._fill(after);
    this.events(isBehind ? events.filter(({ id }) => !id) : events);
  }

  /** Another tab is at this place: fetch what it has got and this one has not, or skip what neither gets. */
  beside({ delivered, cursor } = {}) {
    this.relayed(delivered, []);
    if (this.cursor !== null && !this._inbox.isNews(delivered)) this._skip(cursor);
  }

  /**
   * The cursor could not be continued.  The application begins anew, with the history, if it wants one.  Two tiers may
   * tell of one gap: who has come beyond it since has been told.
   */
  reset(reset) {
    const { requested } = reset;
    const isOfBefore = typeof requested === "string" && requested !== this.cursor;
    if (isOfBefore && this._inbox.hasPassed(reset.lastEventId)) return;
    this._inbox.reset(reset.lastEventId);
    this._delivered = this.cursor;
    this._hand.reset(reset);
    if (this._history > 0) this._rejoin(reset.lastEventId);
  }

  events(events) {
    if (this.cursor === null || this._held !== null) {
      const held = this._held ?? [];
      const known = new Set(held.map((event) => event?.id)); // polls bring it again, as the cursor stays
      this._held = [...held, ...events.filter((event) => !event?.id || !known.has(event.id))];
      return;
    }
    const after = this.cursor;
    const fresh = this._inbox.take(events.filter((event) => typeof event?.type === "string"));
    if (fresh.length === 0) return;
    if (this.cursor !== after) this._delivered = this.cursor;
    this._hand.types(new Set(fresh.map(({ type }) => type)));
    for (const event of fresh) this._deliver(event);
    this._hand.batch(after, fresh);
  }

  _isHole(id) {
    return this.cursor !== null && this._held === null && !this._settings.eventTypes && this._inbox.missingBefore(id) > 0;
  }

  /** Fill holes up to `id` by plain requests, one at a time; if that fails, the next sign of life tries again. */
  async _fill(id) {
    this._wanted = id;
    if (this._isFilling) return;
    this._isFilling = true;
    while (this._inbox.isNews(this._wanted)) {
      const before = this.cursor;
      const answer = await this.catchUp(this._settings.signal);
      if (answer.verdict !== "ok" || this.cursor === before) break;
    }
    this._isFilling = false;
  }

  /** After a gap: history up to the new cursor, while what is newer waits.  Often the server has only just come back. */
  async _rejoin(cursor) {
    this._held ??= [];
    const { requests, clock, signal } = this._settings;
    let past;
    for (let attempt = 0; ; attempt++) {
      past = await requests.get("/messages", { limit: this._history }, { signal });
      if (this.cursor !== cursor || signal.aborted) return; // another gap came meanwhile, or the end
      if (!PASSING.includes(past.verdict)) break;
      await pause(clock, retryDelay("sse", attempt, clock.random(), past.retryAfter), signal);
      if (this.cursor !== cursor || signal.aborted) return;
    }
    const messages = past.verdict === "ok" && Array.isArray(past.body.messages) ? past.body.messages : [];
    for (const message of messages.reverse()) if (!this._inbox.isNews(message.id)) this._deliver(message);
    this._release();
  }

  _release() {
    const held = this._held ?? [];
    this._held = null;
    this.events(held);
  }

  _deliver({ id, sequence, type, timestamp, data, truncated }) {
    const event = { id: id ?? null, sequence: sequence ?? this._sequence(id), type, timestamp: timestamp ?? null, data };
    this._hand.event(truncated ? { ...event, truncated } : event);
  }

  _sequence(id) {
    return id ? parseInt(id.slice(-10), 16) : null;
  }
}
