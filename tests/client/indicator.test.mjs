/** The indicator's life on a page, without a page: what it watches, and when it stops. */

import assert from "node:assert/strict";
import { test } from "node:test";

globalThis.HTMLElement = class {};
globalThis.customElements = { get: () => true };
const { StatusIndicator } = await import("../../rtserver/web/client/indicator.js");

/** An indicator without its parts: it notes what it would show. */
const scene = () => {
  const shown = [];
  const element = Object.create(StatusIndicator.prototype, { _shown: { value: null, writable: true } });
  element.show = (status) => {
    element._shown = status;
    shown.push(status.state);
  };
  const client = {
    listeners: new Set(),
    status: { state: "live" },
    watch(listener) {
      this.listeners.add(listener);
      listener(this.status);
      return () => this.listeners.delete(listener);
    },
  };
  return { element, client, shown };
};

test("an indicator that is taken off its page watches nothing, and goes on when it is put back", () => {
  const { element, client, shown } = scene();
  element.client = client;
  element.connectedCallback();
  assert.equal(client.listeners.size, 1);
  element.disconnectedCallback();
  assert.equal(client.listeners.size, 0);
  client.status = { state: "offline" };
  element.connectedCallback();
  assert.equal(client.listeners.size, 1);
  assert.deepEqual(shown.filter((state, index) => state !== shown[index - 1]), ["live", "offline"]);
});

test("another client takes the place of the first, also while the indicator is off its page", () => {
  const { element, client } = scene();
  const other = { ...client, listeners: new Set(), watch: client.watch };
  element.client = client;
  element.disconnectedCallback();
  element.client = other;
  element.connectedCallback();
  assert.deepEqual([client.listeners.size, other.listeners.size], [0, 1]);
  element.client = null;
  element.connectedCallback();
  assert.deepEqual([client.listeners.size, other.listeners.size], [0, 0]);
  assert.equal(element.client, null);
});
