/**
 * The token: who somebody is, where no cookie says it.
 *
 * Owns calling the application's token function: once for all who ask at the same time, again before the token ends,
 * and again when the server refused it.  Keeps the token in memory alone, and whom it stood for first: a token may come
 * to be another person's.  Without a token there is the cookie.
 */

/** So long before its end a token is renewed: a tenth of its life, a minute at most. */
const RENEW_AT_MOST = 60;

export class Token {
  /** `source` is a string, a function that returns one or a promise of one, or undefined; `now` is the server's time. */
  constructor(source, now) {
    this._source = source;
    this._now = now;
    this._token = typeof source === "string" ? source : null;
    this._asking = null;
    this._person = null; // whose connection this is, once a token has said so
  }

  get isUsed() {
    return this._source !== undefined && this._source !== null;
  }

  get isRenewable() {
    return typeof this._source === "function";
  }

  /** Return the token, or null where the cookie counts; throws what the function throws. */
  async current() {
    if (!this.isRenewable) return this._token;
    const left = this.secondsLeft();
    if (this._token !== null && (left === null || left > 0)) return this._token;
    return this.renew(this._token);
  }

  /** Ask for another token than `refused`; if somebody has got one meanwhile, that is it. */
  async renew(refused) {
    if (this._token !== null && this._token !== refused) return this._token;
    this._asking ??= Promise.resolve()
      .then(() => this._source())
      .then((token) => {
        this._token = String(token);
        this._person ??= this.claimed();
        return this._token;
      })
      .finally(() => {
        this._asking = null;
      });
    return this._asking;
  }

  /** Return in how many seconds the token should be renewed; null where that is not known. */
  secondsLeft() {
    const claims = readClaims(this._token);
    if (typeof claims?.exp !== "number") return null;
    const life = typeof claims.iat === "number" ? claims.exp - claims.iat : Infinity;
    return claims.exp - Math.min(RENEW_AT_MOST, life / 10) - this._now() / 1000;
  }

  /** Before any token has come: whose connection this is, as it was known before. */
  expect(person) {
    this._person ??= person;
  }

  /** Return whether the token is somebody else's than at first; of tokens that name nobody that is not known. */
  isOfAnother() {
    const claimed = this.claimed();
    return claimed !== null && this._person !== null && claimed !== this._person;
  }

  /** Return whom the token names, unverified, or null. */
  claimed() {
    return readClaims(this._token)?.sub ?? null;
  }

  /** Return whom the token stands for, to keep people apart and not to trust; null where there is a cookie. */
  subject() {
    if (!this.isUsed) return null;
    return this.claimed() ?? `#${hash(this._token ?? "")}`;
  }
}

/** Return a number for a text, so that it need not be kept: FNV-1a. */
function hash(text) {
  let found = 0x811c9dc5;
  for (const letter of text) found = Math.imul(found ^ letter.codePointAt(0), 0x01000193) >>> 0;
  return found.toString(36);
}

/** Return what a JWT claims, unverified, or null if it is none. */
export function readClaims(token) {
  try {
    const part = token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/");
    return JSON.parse(new TextDecoder().decode(Uint8Array.from(atob(part), (letter) => letter.charCodeAt(0))));
  } catch {
    return null;
  }
}
