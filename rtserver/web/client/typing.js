/**
 * Typing: that somebody writes is said now and then, and that they stopped, once.
 *
 * Owns how often.  It is a passing state: what does not arrive is not repeated.
 */

/** The server forgets after 10 s. */
const REPEAT_SECONDS = 5;

export class Typing {
  constructor(requests, clock) {
    this._requests = requests;
    this._clock = clock;
    this._isTyping = false;
    this._saidAt = -Infinity;
  }

  /** `isShown` is whether the tier in use shows typing at all; where it does not, nothing is sent. */
  say(isTyping, isShown) {
    const now = this._clock.monotonic() / 1000;
    const isNews = isTyping !== this._isTyping || (isTyping && now - this._saidAt >= REPEAT_SECONDS);
    if (!isShown || !isNews) return;
    this._isTyping = isTyping;
    this._saidAt = now;
    this._requests.post("/events", { type: "typing_indicator", data: { isTyping } }, {});
  }
}
