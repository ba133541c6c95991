/**
 * A pause: wait for so many seconds, or until it is not worth it any more.
 *
 * Owns one timer and its end.  Refuses to know what is waited for; whoever waits looks at the signal afterwards.
 */

export async function pause(clock, seconds, signal) {
  if (seconds <= 0 || signal.aborted) return;
  await new Promise((resolve) => {
    const go = () => {
      clock.clearTimeout(timer);
      signal.removeEventListener("abort", go);
      resolve();
    };
    const timer = clock.setTimeout(go, seconds * 1000);
    signal.addEventListener("abort", go);
  });
}
