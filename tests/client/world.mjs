/**
 * A world for the client: a clock moved by hand, a server and a network in memory, tabs that share a browser.
 *
 * The server follows DESIGN section 4 as far as the client looks; `world.network` says how the way to it behaves.
 */

export class Clock {
  constructor() {
    this.ms = Date.parse("2026-03-01T12:00:00Z");
    this.timers = new Map();
    this.next = 1;
    this.luck = 0.5; // what random() says
    this.lost = 0; // milliseconds that the device slept
  }

  now = () => this.ms;
  monotonic = () => this.ms - this.lost;
  random = () => this.luck;

  setTimeout = (then, milliseconds) => {
    this.timers.set(this.next, { at: this.ms + Math.max(0, milliseconds), then });
    return this.next++;
  };

  clearTimeout = (timer) => this.timers.delete(timer);

  /** Let so many seconds pass, timer by timer, and whatever follows from each. */
  async advance(seconds) {
    const end = this.ms + seconds * 1000;
    await settle();
    for (;;) {
      const due = [...this.timers].filter(([, { at }]) => at <= end).sort(([a, x], [b, y]) => x.at - y.at || a - b)[0];
      if (due === undefined) break;
      const [timer, { at, then }] = due;
      this.timers.delete(timer);
      this.ms = Math.max(this.ms, at);
      then();
      await settle();
    }
    this.ms = end;
  }

  /** The device sleeps: time passes and no timer runs. */
  sleep(seconds) {
    this.ms += seconds * 1000;
    for (const timer of this.timers.values()) timer.at += seconds * 1000 - 1;
  }
}

/** Let everything happen that waits for nothing but its turn. */
export async function settle() {
  for (let turn = 0; turn < 4; turn++) await new Promise((resolve) => setImmediate(resolve));
}

const HEX = (number, digits) => number.toString(16).padStart(digits, "0");

export class Server {
  constructor(clock) {
    this.clock = clock;
    this.epoch = 0x2bcdef;
    this.events = [];
    this.status = "active";
    this.createdMs = clock.ms;
    this.typing = true;
    this.keys = new Map();
    this.refusal = null; // what POST answers instead
  }

  id(sequence, ms = this.clock.ms) {
    const group = (0x8000 | (this.epoch >> 8)).toString(16);
    return `${HEX(Math.floor(ms / 65536), 8)}-${HEX(ms % 65536, 4)}-7001-${group}-${HEX(this.epoch & 0xff, 2)}${HEX(sequence, 10)}`;
  }

  get last() {
    return this.events.at(-1)?.id ?? this.id(0, this.createdMs);
  }

  publish(type, data) {
    const sequence = this.events.length + 1;
    const id = this.id(sequence);
    const event = { id, sequence, type, timestamp: new Date(this.clock.ms).toISOString(), data };
    this.events.push(event);
    this.onPublish?.(event);
    return event;
  }

  say(content, participantId = "bob") {
    return this.publish("message_added", { content, participantId });
  }

  after(cursor) {
    return this.events.filter(({ sequence }) => sequence > parseInt(cursor.slice(-10), 16));
  }

  isForeign(cursor) {
    return cursor.slice(19, 26) !== this.last.slice(19, 26);
  }
}

export function answer(status, body, headers = {}) {
  const type = status >= 400 ? "application/problem+json" : "application/json";
  return { status, type: "basic", headers: { "content-type": type, "poll-interval": "5", ...headers }, body };
}

export const BLOCK_PAGE = { status: 200, type: "basic", headers: { "content-type": "text/html" }, body: "<h1>no</h1>" };

class FakeEventSource {
  constructor(world, url) {
    Object.assign(this, { world, url, readyState: 0, listeners: new Map(), lastId: "" });
    world.streams.push(this);
    world.opened.push(url);
    queueMicrotask(() => world.connectStream(this));
  }

  addEventListener(type, then) {
    this.listeners.set(type, then);
  }

  say(type, data, id) {
    if (this.readyState === 2) return;
    if (id) this.lastId = id;
    this.listeners.get(type)?.({ data: typeof data === "string" ? data : JSON.stringify(data), lastEventId: this.lastId });
  }

  fail(readyState = 0) {
    if (this.readyState === 2) return;
    this.readyState = readyState;
    this.onerror?.();
  }

  close() {
    this.readyState = 2;
    this.world.streams.splice(this.world.streams.indexOf(this), this.world.streams.includes(this) ? 1 : 0);
  }
}

/** One browser with one server; `environment()` gives each tab its own. */
export class World {
  constructor() {
    this.clock = new Clock();
    this.server = new Server(this.clock);
    this.streams = [];
    this.opened = [];
    this.requests = [];
    this.reports = [];
    this.waiting = [];
    this.local = storageArea();
    this.locks = new FakeLocks();
    this.channels = new Set();
    // streams: pass, mute, together, lost, refused, open-only; plain: pass, gone, or a function that answers.
    this.network = { streams: "pass", plain: "pass", held: "pass" };
    this.server.onPublish = (event) => this._published(event);
  }

  environment(more = {}) {
    const world = this;
    const target = () => new EventTarget();
    return {
      clock: this.clock,
      fetch: (url, options) => this._fetch(url, options),
      EventSource: class extends FakeEventSource {
        constructor(url) {
          super(world, url);
        }
      },
      BroadcastChannel: class extends FakeChannel {
        constructor(name) {
          super(world, name);
        }
      },
      window: target(),
      document: Object.assign(target(), { hidden: false }),
      navigator: { onLine: true },
      location: { href: "http://bank.example/chat", assign(url) { this.left = url; } },
      locks: this.locks,
      localStorage: this.local,
      sessionStorage: storageArea(),
      ...more,
    };
  }

  /** Answer what is asked, after the time of the way there and back. */
  async _fetch(url, { method, headers, body, signal }) {
    const [path, query] = url.split("?");
    const parameters = Object.fromEntries(new URLSearchParams(query ?? ""));
    const request = { method, path: path.replace(/^.*\/sessions\/[^/]+/, ""), parameters, headers, body: body && JSON.parse(body), at: this.clock.ms };
    // What clients say of themselves is apart: nothing they do waits for it.
    (request.path.endsWith("/diagnostics/reports") ? this.reports : this.requests).push(request);
    const given = await this._route(request, signal);
    if (signal.aborted) throw Object.assign(new Error("aborted"), { name: "AbortError" });
    if (given === null) throw new TypeError("network error");
    const found = new Map(Object.entries({ date: new Date(this.clock.ms).toUTCString(), ...given.headers }));
    return {
      status: given.status, type: given.type,
      headers: { get: (name) => found.get(name.toLowerCase()) ?? null },
      json: async () => (typeof given.body === "string" ? JSON.parse(given.body) : given.body),
    };
  }

  _route(request, signal) {
    const { plain, held } = this.network;
    if (typeof plain === "function") {
      const given = plain(request);
      if (given !== undefined) return given;
    }
    if (plain === "gone") return null;
    if (plain === "page") return BLOCK_PAGE;
    const { method, path, parameters } = request;
    const { server } = this;
    if (path.endsWith("/diagnostics/reports")) return answer(204, null);
    if (method === "POST" && path === "/tickets") return answer(201, { ticket: `ticket-${this.requests.length}` });
    if (method === "POST" && path === "/events") return this._publish(request);
    if (path === "") return answer(200, { sessionId: "s", status: server.status, lastEventId: server.last, features: FEATURES });
    if (path === "/messages") {
      const messages = server.events.filter(({ type }) => type === "message_added").reverse().slice(0, Number(parameters.limit));
      return answer(200, { messages, hasMore: false, next: null, lastEventId: server.last });
    }
    if (path === "/events") return this._streamAsked();
    if (held === "cut unless there is news" && path === "/updates" && Number(parameters.timeout) > 0) {
      const cut = new Promise((resolve) => this.clock.setTimeout(() => resolve(null), 2000));
      return Promise.race([this._updates(request, signal), cut]);
    }
    const isHeldBadly = held === "504 after 12 s" ? Number(parameters.timeout) > 12 : held !== "pass";
    if (path === "/updates" && isHeldBadly && Number(parameters.timeout) > 0) return this._heldBadly(held, signal);
    return this._updates(request, signal);
  }

  _publish({ body }) {
    const { server } = this;
    if (server.refusal) return server.refusal;
    const known = server.keys.get(body.messageId);
    if (known) return answer(201, { events: [{ ...known, replayed: true }] });
    if (body.type === "typing_indicator") return answer(202, { events: [] });
    const event = server.publish(body.type, { ...body.data, messageId: body.messageId, participantId: "alice" });
    server.keys.set(body.messageId, event);
    return answer(201, { events: [event], lastEventId: event.id });
  }

  _streamAsked() {
    if (this.network.why) return this.network.why;
    return { status: 200, type: "basic", headers: { "content-type": "text/event-stream" }, body: null };
  }

  _heldBadly(held, signal) {
    if (held === "page") return BLOCK_PAGE;
    if (held === "504 after 12 s") {
      const late = { ...BLOCK_PAGE, status: 504 };
      return new Promise((resolve) => this.clock.setTimeout(() => resolve(late), 12_000));
    }
    return new Promise((resolve) => {
      signal.addEventListener("abort", () => resolve(null));
      if (held === "cut") this.clock.setTimeout(() => resolve(null), 2000);
    });
  }

  _updates({ parameters }, signal) {
    const { server } = this;
    const cursor = parameters.lastEventId;
    const common = { lastEventId: server.last, hasMore: false };
    const isShort = parameters.since !== undefined;
    if (server.isForeign(cursor)) {
      return answer(200, { ...common, [isShort ? "updates" : "events"]: [], reset: { reason: "epoch", requested: cursor } });
    }
    const found = server.after(cursor);
    if (isShort) return answer(200, { ...common, updates: [...found].reverse() }, { etag: `W/"${server.last}"` });
    if (found.length > 0) return answer(200, { ...common, events: found });
    if (server.status === "closed") return answer(200, { ...common, events: [], closed: true });
    if (parameters.timeout === "0") return answer(204, null, { "retry-after": "5" });
    return new Promise((resolve) => {
      const waiter = { cursor, resolve };
      this.waiting.push(waiter);
      this.clock.setTimeout(() => resolve(answer(204, null, { "retry-after": "5" })), Number(parameters.timeout) * 1000);
      signal.addEventListener("abort", () => {
        this.waiting = this.waiting.filter((each) => each !== waiter);
        resolve(null);
      });
    });
  }

  _published(event) {
    for (const stream of [...this.streams]) if (stream.isLive) stream.say(event.type, event.data, event.id);
    for (const { resolve } of this.waiting.splice(0)) {
      resolve(answer(200, { events: [event], lastEventId: event.id, hasMore: false }));
    }
  }

  connectStream(stream) {
    const { streams, plain } = this.network;
    const cursor = new URL(stream.url, "http://x").searchParams.get("lastEventId");
    if (plain === "gone" || streams === "lost") return stream.fail(0);
    if (streams === "refused") return stream.fail(2);
    if (streams === "mute") return undefined;
    stream.readyState = 1;
    stream.onopen?.();
    if (streams === "open-only") return undefined;
    const serverTime = new Date(this.clock.ms).toISOString();
    stream.say("connected", { sessionId: "s", lastEventId: this.server.last, heartbeatInterval: 30, serverTime }, cursor);
    for (const event of this.server.after(cursor)) stream.say(event.type, event.data, event.id);
    stream.isLive = true;
    if (streams === "together") return stream.say("probe", { serverTime });
    this.clock.setTimeout(() => stream.say("probe", { serverTime }), 2000);
    const beat = () => {
      if (stream.readyState === 2 || this.network.streams === "silent") return;
      stream.say("heartbeat", { timestamp: new Date(this.clock.ms).toISOString() });
      this.clock.setTimeout(beat, 30_000);
    };
    this.clock.setTimeout(beat, 30_000);
    return undefined;
  }

  /** Break what is open, as when the server dies. */
  cut() {
    for (const stream of [...this.streams]) stream.fail(0);
    for (const { resolve } of this.waiting.splice(0)) resolve(null);
  }

  asked(path) {
    return this.requests.filter((request) => request.path === path);
  }
}

export const FEATURES = {
  sse: { typingIndicators: true, instantMessages: "enabled", participantStatus: "real_time", aiProgress: "live_updates" },
  "long-poll": { typingIndicators: false, instantMessages: "2-5_second_delay", participantStatus: "near_real_time", aiProgress: "periodic_updates" },
  "short-poll": { typingIndicators: false, instantMessages: "5-10_second_delay", participantStatus: "polling_based", aiProgress: "status_only" },
};

export function storageArea() {
  const kept = new Map();
  return {
    kept,
    get: (key) => kept.get(key) ?? null,
    set: (key, value) => (value === null ? kept.delete(key) : kept.set(key, value), true),
  };
}

/** Web Locks, as far as they are used: exclusive, `ifAvailable`, `signal`. */
export class FakeLocks {
  constructor() {
    this.held = new Set();
    this.queues = new Map();
  }

  async request(name, ...rest) {
    const then = rest.pop();
    const { ifAvailable = false, signal } = rest[0] ?? {};
    await null; // nobody is told at once
    if (this.held.has(name)) {
      if (ifAvailable) return then(null);
      await new Promise((resolve, reject) => {
        const queue = this.queues.get(name) ?? [];
        this.queues.set(name, [...queue, resolve]);
        signal?.addEventListener("abort", () => {
          this.queues.set(name, this.queues.get(name).filter((each) => each !== resolve));
          reject(Object.assign(new Error("aborted"), { name: "AbortError" }));
        });
      });
    }
    this.held.add(name);
    try {
      return await then({ name });
    } finally {
      this.held.delete(name);
      this.queues.get(name)?.shift()?.();
    }
  }
}

class FakeChannel {
  constructor(world, name) {
    Object.assign(this, { world, name, onmessage: null });
    world.channels.add(this);
  }

  postMessage(data) {
    const copy = structuredClone(data);
    for (const other of this.world.channels) {
      if (other !== this && other.name === this.name) queueMicrotask(() => this.world.channels.has(other) && other.onmessage?.({ data: copy }));
    }
  }

  close() {
    this.world.channels.delete(this);
  }
}

/** Connect in a world and keep what is said. */
export function follow(connect, world, options = {}, environment = world.environment()) {
  const seen = { events: [], resets: [], states: [], outbox: [], environment };
  seen.client = connect(
    {
      sessionId: "s",
      onEvent: (event) => seen.events.push(event),
      onReset: (reset) => seen.resets.push(reset),
      onOutbox: (entries) => (seen.outbox = entries),
      onStatus: ({ state }) => seen.states.at(-1) !== state && seen.states.push(state),
      ...options,
    },
    environment,
  );
  return seen;
}

export const contents = ({ events }) => events.filter(({ type }) => type === "message_added").map(({ data }) => data.content);
