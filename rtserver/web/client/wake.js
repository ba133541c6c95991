/**
 * What the device tells: sleep, network, a page that comes back.
 *
 * Owns the listeners on window and document, and a tick that notices when time was lost.  Says `wake`, `online`,
 * `offline`, `seen` and `leave`, at a pace: what follows from the first three costs requests, and a bad network comes
 * and goes every second.  Refuses to know what follows.
 */

const TICK_SECONDS = 5;
/** More than this between two ticks is sleep.  Hidden pages are slowed down to one tick a minute: that is none. */
const SLEEP_SECONDS = 20;
const HIDDEN_SLEEP_SECONDS = 150;
/** So long after a word of the network the next one waits; of several the last counts. */
const REST_SECONDS = 3;

export class Wake {
  constructor({ window, document, clock }, say) {
    this._clock = clock;
    this._document = document;
    this._say = say;
    this._removers = [];
    this._saidAt = -Infinity;
    this._latest = null; // what was told since, and waits
    this._listen(window, "online", () => this._tell("online"));
    this._listen(window, "offline", () => this._tell("offline"));
    this._listen(window, "pageshow", (event) => event.persisted && this._tell("wake"));
    this._listen(window, "pagehide", () => this._leave());
    this._listen(document, "visibilitychange", () => this._seen());
    this._tickedAt = clock.now();
    this._tick();
  }

  close() {
    this._clock.clearTimeout(this._timer);
    this._clock.clearTimeout(this._rest);
    for (const remove of this._removers) remove();
  }

  _listen(target, type, then) {
    if (!target?.addEventListener) return;
    target.addEventListener(type, then);
    this._removers.push(() => target.removeEventListener(type, then));
  }

  _tick() {
    this._timer = this._clock.setTimeout(() => {
      this._look();
      this._tick();
    }, TICK_SECONDS * 1000);
  }

  _tell(word) {
    const passed = (this._clock.now() - this._saidAt) / 1000;
    const isResting = passed >= 0 && passed < REST_SECONDS;
    // What was said a moment ago holds, if nothing else came between: computers that wake up say it twice.
    if (isResting && this._latest === null && (word === "offline") === (this._said === "offline")) return;
    this._clock.clearTimeout(this._rest);
    this._latest = isResting ? word : null;
    if (isResting) this._rest = this._clock.setTimeout(() => this._tell(this._latest), (REST_SECONDS - passed) * 1000);
    else this._speak(word);
  }

  /** A page that was away has missed something, however short ago it was woken. */
  _leave() {
    this._saidAt = -Infinity;
    this._say("leave");
  }

  _speak(word) {
    this._saidAt = this._clock.now();
    this._said = word;
    this._say(word);
  }

  _seen() {
    if (this._document.hidden) return;
    if (!this._look()) this._say("seen");
  }

  /** Say `wake` if time was lost since the last look; return whether it was. */
  _look() {
    const passed = (this._clock.now() - this._tickedAt) / 1000;
    this._tickedAt = this._clock.now();
    const isSleep = passed > (this._document?.hidden ? HIDDEN_SLEEP_SECONDS : SLEEP_SECONDS);
    if (isSleep) this._tell("wake");
    return isSleep;
  }
}
