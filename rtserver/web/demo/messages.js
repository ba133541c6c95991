/**
 * The list of messages: what was said, what waits to be sent, and notes in between.
 *
 * Owns the order on the page, and staying at the end while somebody reads there.  Everything from elsewhere is text.
 */

import { make, timeOfDay } from "./dom.js";

/** A page that stays open for days keeps so many. */
const MAX_SHOWN = 500;
/** Who is so near to the end wants to stay there. */
const NEAR_PIXELS = 80;

export class Messages {
  constructor({ scroll, list, outbox }, people, me) {
    Object.assign(this, { _scroll: scroll, _list: list, _outbox: outbox, _people: people, _me: me });
  }

  clear() {
    this._list.replaceChildren();
  }

  /** Add one event at the end. */
  add(event) {
    this.keepingPlace(() => {
      this._list.append(this._item(event));
      while (this._list.childElementCount > MAX_SHOWN) this._list.firstElementChild.remove();
    });
  }

  /** Put older events, newest first, before all others. */
  addEarlier(events) {
    const before = this._scroll.scrollHeight;
    this._list.prepend(...events.map((event) => this._item(event)).reverse());
    this._scroll.scrollTop += this._scroll.scrollHeight - before;
  }

  /** Show what waits to be sent. */
  showOutbox(entries, isOffline) {
    const word = isOffline ? "is sent when there is a connection" : "is being sent";
    const items = entries.map(({ data }) => this._message({ participantId: this._me, content: data.content }, word, "waiting"));
    this.keepingPlace(() => this._outbox.replaceChildren(...items));
  }

  /** Say something that nobody said. */
  note(text) {
    this.keepingPlace(() => this._list.append(make("li", { className: "note", textContent: text })));
  }

  /** Change what is shown, and stay at the end if that is where somebody was. */
  keepingPlace(change) {
    const { scrollHeight, scrollTop, clientHeight } = this._scroll;
    const isAtEnd = scrollHeight - scrollTop - clientHeight < NEAR_PIXELS;
    change();
    if (isAtEnd) this._scroll.scrollTop = this._scroll.scrollHeight;
  }

  toEnd() {
    this._scroll.scrollTop = this._scroll.scrollHeight;
  }

  _item(event) {
    const { type, data, timestamp } = event;
    if (type === "message_added") return this._message(data, timeOfDay(timestamp), "");
    const name = data.displayName ?? this._people.name(data.participantId);
    const text = {
      participant_joined: `${name} has joined`,
      participant_left: `${name} has left`,
      session_status_changed: `The session is ${data.status}`,
    }[type];
    return make("li", { className: "note", textContent: text ?? type });
  }

  _message({ participantId, content }, when, kind) {
    const isMine = participantId === this._me;
    const classes = ["message", isMine ? "mine" : "", this._people.isAi(participantId) ? "ai" : "", kind].filter(Boolean).join(" ");
    const name = make("strong", { textContent: isMine ? "You" : this._people.name(participantId) });
    return make(
      "li", { className: classes }, this._people.badge(participantId),
      make("p", { className: "byline" }, name, when ? ` · ${when}` : ""),
      make("p", { className: "bubble", textContent: String(content) }),
    );
  }
}
