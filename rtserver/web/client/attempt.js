/**
 * An attempt: everything that runs while a tier is tried or used, ended as a whole.
 *
 * Owns timers, requests and streams that were started under it.  Once it is over, nothing that it began can say
 * anything any more: there is no second loop, no late timer, and an abort of our own counts against nobody.
 */

export class Attempt {
  constructor(clock) {
    this.isOver = false;
    this._clock = clock;
    this._controller = new AbortController();
    this._timers = new Map();
    this._streams = new Set();
  }

  /** The signal for requests that belong to it. */
  get signal() {
    return this._controller.signal;
  }

  /** Call `then` after so many seconds; a timer of the same name is replaced. */
  after(name, seconds, then) {
    this.cancel(name);
    const timer = this._clock.setTimeout(() => {
      this._timers.delete(name);
      then();
    }, seconds * 1000);
    this._timers.set(name, timer);
  }

  cancel(name) {
    if (this._timers.has(name)) this._clock.clearTimeout(this._timers.get(name));
    this._timers.delete(name);
  }

  /** Close `stream` when this is over. */
  own(stream) {
    this._streams.add(stream);
    return stream;
  }

  /** What it owns now: streams, and attempts that run beside. */
  get streams() {
    return this._streams;
  }

  /** Let go of what goes on without this. */
  disown(stream) {
    this._streams.delete(stream);
  }

  /** Close one stream now; another has taken its place. */
  drop(stream) {
    this._streams.delete(stream);
    stream.close();
  }

  /** Have all its streams hear events of one more type. */
  listen(type) {
    for (const stream of this._streams) stream.listen(type);
  }

  closeStreams() {
    for (const stream of this._streams) stream.close();
    this._streams.clear();
  }

  close() {
    this.end();
  }

  end() {
    this.isOver = true;
    for (const timer of this._timers.values()) this._clock.clearTimeout(timer);
    this._timers.clear();
    this.closeStreams();
    this._controller.abort();
  }
}
