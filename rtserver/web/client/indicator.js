/**
 * `<rt-status>`: how the connection is, for people and for their help desk.
 *
 *     import "/client/indicator.js";
 *     document.querySelector("rt-status").client = connect({...});
 *
 * Owns an element with a shadow root: the state in words beside a shape of its own (never colour alone), what to
 * expect, "As of", "Try now", and details to copy.  Changes are announced politely, once each.  Themed by custom
 * properties (style.js).  Refuses to know how any of it comes about: it shows a status.
 */

import { SHAPES } from "./shapes.js";
import { sheet } from "./style.js";
import { words } from "./words.js";

/** A connection that is back so soon was never away, for people. */
const PATIENCE_MS = 2000;
const WITH_TRY_NOW = ["reconnecting", "offline", "blocked", "signed-out", "stopped"];

export class StatusIndicator extends HTMLElement {
  /** What it says; replace functions to speak another language. */
  words = words;

  constructor() {
    super();
    const root = this.attachShadow({ mode: "open" });
    root.adoptedStyleSheets = [sheet()];
    this._shown = null; // the status that people see
    this._build(root);
  }

  get client() {
    return this._client ?? null;
  }

  set client(client) {
    this._endWatching();
    this._client = client;
    this._shown = null;
    this._watch();
  }

  /** Off the page it watches nothing: the client may outlive it by far. */
  disconnectedCallback() {
    this._endWatching();
    clearTimeout(this._patience);
    clearInterval(this._countdown);
  }

  connectedCallback() {
    if (this._shown) this.show(this._shown);
    if (!this._unwatch) this._watch();
  }

  _watch() {
    this._unwatch = this._client?.watch((status) => this._take(status));
  }

  _endWatching() {
    this._unwatch?.();
    this._unwatch = null;
  }

  _take(status) {
    clearTimeout(this._patience);
    const isSmooth = this._shown !== null && ["live", "delayed", "polling"].includes(this._shown.state);
    if (status.state !== "reconnecting" || !isSmooth) this.show(status);
    else this._patience = setTimeout(() => this.show(this._client.status), PATIENCE_MS);
  }

  /** Show a status. */
  show(status) {
    const before = this._shown;
    this._shown = status;
    this._label();
    this._parts.bar.dataset.state = status.state;
    this._parts.shape.setAttribute("d", SHAPES[status.state]);
    this._parts.title.textContent = this.words.title(status);
    this._parts.asOf.textContent = status.asOf ? this.words.asOf(new Date(status.asOf).toLocaleTimeString()) : "";
    this._parts.tryNow.hidden = !WITH_TRY_NOW.includes(status.state);
    this._showHint();
    if (before?.state !== status.state) this._parts.live.textContent = `${this.words.title(status)}. ${this.words.hint(status)}`;
    clearInterval(this._countdown);
    if (status.nextRetryAt) this._countdown = setInterval(() => this._showHint(), 1000);
    if (this._parts.details.open) this._showDetails();
  }

  /** Name what does not change with the status; the words may have been replaced since. */
  _label() {
    const { tryNow, summary, copy, history, bar } = this._parts;
    tryNow.textContent = this.words.tryNow;
    summary.textContent = this.words.details;
    copy.textContent = this.words.copy;
    history.textContent = this.words.history;
    bar.setAttribute("aria-label", this.words.group);
  }

  _showHint() {
    const { nextRetryAt } = this._shown;
    const left = nextRetryAt ? Math.max(0, Math.round((Date.parse(nextRetryAt) - Date.now()) / 1000)) : null;
    this._parts.hint.textContent = this.words.hint(this._shown, left);
  }

  _showDetails() {
    const { facts, transitions } = this._parts;
    facts.replaceChildren(
      ...this._facts().flatMap(([name, value]) => [make("dt", { textContent: name }), make("dd", { textContent: value })]),
    );
    transitions.replaceChildren(
      ...(this._client?.transitions ?? []).map((each) => make("li", { textContent: this.words.transition(each) })).reverse(),
    );
  }

  _facts() {
    const status = this._client?.status ?? this._shown;
    return [...this.words.facts(status), ["Session", this._client?.sessionId ?? ""], ["Page", location.origin], ["Browser", navigator.userAgent]];
  }

  async _copy() {
    const lines = this._facts().map(([name, value]) => `${name}: ${value}`);
    const text = [...lines, "", ...(this._client?.transitions ?? []).map(this.words.transition)].join("\n");
    this._parts.copied.textContent = (await copy(text)) ? this.words.copied : this.words.notCopied;
  }

  _build(root) {
    const svg = (name, attributes = {}, ...children) => {
      const element = document.createElementNS("http://www.w3.org/2000/svg", name);
      for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
      element.append(...children);
      return element;
    };
    const shape = svg("path");
    const parts = {
      shape,
      title: make("strong", { part: "title" }),
      hint: make("span", { part: "hint" }),
      asOf: make("span", { part: "as-of" }),
      tryNow: make("button", { part: "button", type: "button", hidden: true }),
      summary: make("summary"),
      history: make("h2"),
      facts: make("dl"),
      transitions: make("ol"),
      copy: make("button", { part: "button", type: "button" }),
      copied: make("span", { role: "status" }),
      live: make("div", { role: "status", className: "unseen" }),
    };
    parts.live.setAttribute("aria-live", "polite");
    parts.details = make(
      "details", { part: "details" }, parts.summary,
      make(
        "div", { part: "panel" }, parts.facts, parts.history, parts.transitions,
        make("p", {}, parts.copy, " ", parts.copied),
      ),
    );
    const icon = svg("svg", { viewBox: "-1 -1 18 18", "aria-hidden": "true", part: "shape" }, shape);
    const text = make("span", { className: "text" }, parts.title, " ", parts.hint, " ", parts.asOf);
    const actions = make("span", { className: "actions" }, parts.tryNow, parts.details);
    parts.bar = make("div", { part: "bar" }, icon, text, actions);
    parts.bar.setAttribute("role", "group");
    parts.tryNow.addEventListener("click", () => this._client?.refresh());
    parts.copy.addEventListener("click", () => this._copy());
    parts.details.addEventListener("toggle", () => parts.details.open && this._showDetails());
    parts.details.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      parts.details.open = false;
      parts.summary.focus();
    });
    this._parts = parts;
    this._label();
    root.append(parts.bar, parts.live);
  }
}

function make(name, properties = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (["part", "role"].includes(key)) element.setAttribute(key, value);
    else element[key] = value;
  }
  element.append(...children);
  return element;
}

/** Copy text, also where there is no secure context. */
async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = make("textarea", { value: text });
    document.body.append(area);
    area.select();
    const isCopied = document.execCommand("copy");
    area.remove();
    return isCopied;
  }
}

if (!customElements.get("rt-status")) customElements.define("rt-status", StatusIndicator);
