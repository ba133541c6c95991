/**
 * The people of the session: their names, kinds and badges.
 *
 * Owns the list of participants, as it was last fetched.  Somebody who is not in it is called by their id.
 */

import { make } from "./dom.js";

export class People {
  constructor(list, me) {
    this._list = list;
    this._me = me;
    this._known = new Map();
  }

  show(participants) {
    this._known = new Map(participants.map((person) => [person.participantId, person]));
    this._list.replaceChildren(...participants.map((person) => this._row(person)));
  }

  name(id) {
    return this._known.get(id)?.displayName ?? String(id ?? "somebody");
  }

  isAi(id) {
    return this._known.get(id)?.kind === "ai";
  }

  /** Return a round badge with an initial or, for an AI, a square one that says so; decoration beside a name. */
  badge(id) {
    const isAi = this.isAi(id);
    const initial = [...this.name(id).trim()][0] ?? "?";
    const badge = make("span", { className: isAi ? "badge ai" : "badge", textContent: isAi ? "AI" : initial.toUpperCase() });
    badge.setAttribute("aria-hidden", "true");
    return badge;
  }

  _row({ participantId, displayName, kind }) {
    const mark = participantId === this._me ? "you" : kind === "ai" ? "an AI" : "";
    return make("li", {}, this.badge(participantId), displayName, " ", make("span", { className: "kind", textContent: mark }));
  }
}
