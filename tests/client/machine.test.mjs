/** The state machine does what the shared table says, and its docstring says the same. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { MAX_FAILURES, MAX_STRIKES, begin, step } from "../../rtserver/web/client/machine.js";
import { CUT_EARLY_MS, LASTING_MS } from "../../rtserver/web/client/stream.js";

const table = JSON.parse(readFileSync(new URL("transitions.json", import.meta.url)));
const docstring = readFileSync(new URL("../../rtserver/web/client/machine.js", import.meta.url), "utf8").split("*/")[0];
const RUNNING = Object.keys(table.people).filter((state) => !["new", "signed-out", "stopped", "closed"].includes(state));

const each = (value) => (Array.isArray(value) ? value : [value]);

/** Every row of the table, one state and one tier in each. */
function* rows() {
  for (const given of table.rows) {
    for (const state of each(given.state)) {
      for (const tier of each(given.tier ?? table.defaults.tier)) yield { ...table.defaults, ...given, state, tier };
    }
  }
}

/** The lines of the docstring's table as `state | event | next | actions`. */
function documented() {
  const found = new Set();
  let states = [];
  for (const line of docstring.split("State table")[1].split("\n").slice(1)) {
    const row = line.match(/^ \* {3}(\S.*?) *-> (.+?)(?: {2,}(.*))?$/);
    const heading = line.match(/^ \* {1}(\S.*)$/);
    if (row) for (const state of states) found.add([state, row[1], row[2].trim(), row[3] ?? ""].join(" | "));
    else if (heading?.[1] === "every state from bootstrapping to blocked") states = RUNNING;
    else if (heading?.[1] === "every state but closed") states = Object.keys(table.people).filter((s) => s !== "closed");
    else if (heading) states = heading[1].split(", ");
  }
  return found;
}

for (const row of rows()) {
  const name = `${row.state}, ${row.tier}${row.verified ? ", verified" : ""}, ${row.failures} failures, ${row.strikes} strikes: ${row.event}`;
  test(`${name} -> ${row.next ?? row.state} [${row.actions.join(", ")}]`, () => {
    const { state, tier, tiers, verified, failures, strikes } = row;
    const before = Object.freeze({ state, tier, tiers, verified, failures, strikes });

    const { machine, actions } = step(before, row.event);

    const nextTier = row.next_tier ?? tier;
    assert.deepEqual(machine, {
      state: row.next ?? state,
      tier: nextTier,
      tiers,
      verified: row.next_verified ?? (nextTier === tier ? verified : false),
      failures: row.next_failures ?? (nextTier === tier ? failures : 0),
      strikes: row.next_strikes ?? strikes,
    });
    assert.deepEqual(actions, row.actions);
  });
}

test("what is not in the table changes nothing and wants nothing", () => {
  const listed = new Set([...rows()].map(({ state, event }) => `${state} ${event}`));
  for (const state of Object.keys(table.people)) {
    for (const event of Object.keys(table.events)) {
      if (listed.has(`${state} ${event}`)) continue;
      const before = { ...begin(), state };
      assert.deepEqual(step(before, event), { machine: before, actions: [] }, `${state} ${event}`);
    }
  }
});

test("the docstring's table is the shared one", () => {
  const shared = new Set([...rows()].map((row) => [row.state, row.event, row.next ?? row.state, row.actions.join(", ")].join(" | ")));
  assert.deepEqual([...documented()].sort(), [...shared].sort());
});

test("a tier may fail, and disappoint, as often as the table says", () => {
  assert.equal(MAX_FAILURES, table.limits.failures);
  assert.equal(MAX_STRIKES, table.limits.strikes);
  assert.equal(CUT_EARLY_MS, table.limits.cut_early_seconds * 1000);
  assert.equal(LASTING_MS, table.limits.lasting_seconds * 1000);
});

test("it begins with the tier that is remembered, if it may use it", () => {
  assert.equal(begin(undefined, "long-poll").tier, "long-poll");
  assert.equal(begin(["long-poll", "short-poll"], "sse").tier, "long-poll");
  assert.equal(begin(undefined, "carrier-pigeon").tier, "sse");
});
