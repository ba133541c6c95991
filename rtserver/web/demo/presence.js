/**
 * What passes: who is typing, and how far the AI is.
 *
 * Owns showing these as far as the tier in use can carry them (the feature matrix), and forgetting them in time.
 */

import { make } from "./dom.js";

const TYPING_MS = 10_000;
const PROGRESS_MS = 60_000;

export class Presence {
  /** `keepingPlace(change)` makes a change on the page without moving what is read. */
  constructor({ typing, progress }, people, me, keepingPlace) {
    Object.assign(this, { _typing: typing, _progress: progress, _people: people, _me: me, _keepingPlace: keepingPlace });
    this._tier = null;
    this._typists = new Map(); // participant -> timer
    this._features = {};
    this._working = null;
  }

  /** Another tier shows something else, and none shows nothing. */
  adapt({ tier, features }) {
    const isChange = tier !== this._tier;
    this._tier = tier;
    this._features = features;
    if (isChange) this._show();
  }

  take({ type, data }) {
    if (type === "typing_indicator") this._type(data);
    else if (type === "ai_progress") this._work(data);
    this._show();
  }

  /** Whoever has spoken neither types nor works any more. */
  spoke(participantId) {
    this._forget(participantId);
    if (this._working?.participantId === participantId) this._working = null;
    this._show();
  }

  _type({ participantId, isTyping }) {
    this._forget(participantId);
    if (!isTyping || participantId === this._me) return;
    const timer = setTimeout(() => {
      this._typists.delete(participantId);
      this._show();
    }, TYPING_MS);
    this._typists.set(participantId, timer);
  }

  _forget(participantId) {
    clearTimeout(this._typists.get(participantId));
    this._typists.delete(participantId);
  }

  _work(data) {
    this._working = data.status === "done" ? null : data;
    clearTimeout(this._workTimer);
    this._workTimer = setTimeout(() => {
      this._working = null;
      this._show();
    }, PROGRESS_MS);
  }

  _show() {
    this._keepingPlace(() => this._render());
  }

  _render() {
    const names = [...this._typists.keys()].map((id) => this._people.name(id));
    this._typing.hidden = !this._features.typingIndicators || names.length === 0;
    this._typing.textContent = names.length > 0 ? `${names.join(" and ")} ${names.length > 1 ? "are" : "is"} typing …` : "";
    this._progress.hidden = this._tier === null || this._working === null;
    this._progress.replaceChildren(...(this._working === null ? [] : this._workParts(this._working)));
  }

  /** Live updates show each step and a bar, periodic ones the step, the rest that there is work. */
  _workParts({ participantId, status, step, steps }) {
    const { aiProgress } = this._features;
    const name = this._people.name(participantId);
    if (aiProgress === "status_only") return [`${name} is working …`];
    const parts = [`${name}: ${String(status)}`];
    if (aiProgress === "live_updates" && step > 0 && steps >= step) {
      const bar = make("progress", { value: step, max: steps });
      bar.setAttribute("aria-label", `Step ${step} of ${steps}`);
      parts.push(bar);
    }
    return parts;
  }
}
