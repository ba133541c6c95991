/**
 * To the sign-in page and back, and never round in circles.
 *
 * Owns the guard: a tab goes there once a minute at most, and of many tabs one in ten seconds; the others wait for
 * somebody to press "Try now".  Refuses addresses that are not http or https.
 */

const TAB_GUARD_SECONDS = 60;
const BROWSER_GUARD_SECONDS = 10;

export class SignIn {
  constructor(loginUrl, { location, clock, sessionStorage, localStorage }) {
    this._loginUrl = loginUrl;
    this._location = location;
    this._clock = clock;
    this._isArmed = true;
    this._places = [
      [sessionStorage, TAB_GUARD_SECONDS],
      [localStorage, BROWSER_GUARD_SECONDS],
    ];
  }

  /** Leave for the sign-in page; return false where there is none, or this was tried a moment ago. */
  go() {
    const target = this._target();
    if (target === null || this._places.some(([storage, seconds]) => this._isRecent(storage, seconds))) return false;
    for (const [storage] of this._places) storage.set("sign-in at", String(this._clock.now()));
    this._location.assign(target);
    return true;
  }

  /**
   * Something on the way redirects, and is asked again by itself: leave once.  Who comes back without success is led
   * there again by "Try now", or after it has worked, and not at every try.
   */
  goOnce() {
    if (this._isArmed) this.go();
    this._isArmed = false;
  }

  rearm() {
    this._isArmed = true;
  }

  _isRecent(storage, seconds) {
    const passed = this._clock.now() - Number(storage.get("sign-in at") ?? -Infinity);
    return passed >= 0 && passed < seconds * 1000;
  }

  _target() {
    if (!this._loginUrl || !this._location) return null;
    try {
      const here = this._location.href;
      const url = new URL(typeof this._loginUrl === "function" ? this._loginUrl(here) : this._loginUrl, here);
      if (!["http:", "https:"].includes(url.protocol)) return null;
      if (!url.searchParams.has("next")) url.searchParams.set("next", here);
      return url.href;
    } catch {
      return null;
    }
  }
}
