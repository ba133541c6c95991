/**
 * Promotion: a better tier is verified beside the one that runs, and nothing is lost if it is not.
 *
 * Owns one trial: the best tier first, each with the same proof and the same time as at the start.  Events that come by
 * it count; whoever has seen them already is the intake's business.
 */

import { LONG_POLL_SECONDS, SSE_SECONDS } from "./client.js";
import { openStream } from "./opening.js";

const PROOF_HOLD_SECONDS = 10;

/** Return the tier that was verified, still running under `trial`, or null. */
export async function promote(client, trial, { tier, tiers }) {
  const better = tiers.slice(0, tiers.indexOf(tier));
  for (const candidate of better) {
    const isVerified = await (candidate === "sse" ? tryStream(client, trial) : tryHolding(client, trial));
    if (trial.isOver) return null;
    if (isVerified) return candidate;
    trial.closeStreams();
  }
  return null;
}

function tryStream(client, trial) {
  return new Promise((resolve) => {
    const hear = client.listenBeside(trial, (word) => {
      if (word !== "connected") resolve(word === "probe apart");
    });
    trial.after("trial", SSE_SECONDS, () => resolve(false));
    trial.signal.addEventListener("abort", () => resolve(false));
    openStream(client, trial, hear);
  });
}

async function tryHolding({ polling }, trial) {
  const isInTime = new Promise((resolve) => trial.after("trial", LONG_POLL_SECONDS, () => resolve(false)));
  const isHeld = (async () => {
    for (const seconds of [0, PROOF_HOLD_SECONDS]) {
      const { verdict } = await polling.long(trial.signal, seconds);
      if (verdict !== "ok") return false;
    }
    return true;
  })();
  return Promise.race([isHeld, isInTime]);
}
