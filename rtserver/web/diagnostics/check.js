/**
 * The network check's page: runs a check, shows what is known so far, and gives the result out.
 *
 * `window.result` is {causes, tiers, asks, text} once a check is over, null before.  The address may have `?pace=5`: the
 * check is run so many times faster, every wait, deadline and threshold alike, for tests behind a network as fast.
 */

import { CAUSES } from "./causes.js";
import { judge, tiersOf } from "./judge.js";
import { Check } from "./run.js";
import { addressed, headlineOf, letterOf, STEPS, stepOf, TIER_NAMES, TIER_WORDS, VERDICTS } from "./words.js";

const MAX_PACE = 10;
const ORDER = Object.keys(CAUSES);
const $ = (id) => document.getElementById(id);
const asked = Number(new URLSearchParams(location.search).get("pace"));
const pace = asked >= 1 ? Math.min(asked, MAX_PACE) : 1;

let running = null;
let token = null;

function element(name, className, ...content) {
  const made = document.createElement(name);
  if (className) made.className = className;
  made.append(...content);
  return made;
}

function fill(id, entries) {
  $(id).replaceChildren(...entries);
}

/** Set a text only if it is another one: what has not changed is not read out again. */
function say(id, text) {
  if ($(id).textContent !== text) $(id).textContent = text;
}

function line(title, state, word, text) {
  return element("li", "line", element("h3", "", title), element("span", `mark ${state}`, word), ...(text ? [element("p", "", text)] : []));
}

const STATE_WORDS = { waiting: "waiting", running: "running", skipped: "skipped", good: "good", bad: "trouble" };
const textOf = (code, part) => addressed(CAUSES[code][part], location);

function show(check, isOver) {
  const causes = judge(check.seen, ORDER);
  const tiers = tiersOf(causes, CAUSES, check.seen);
  const steps = Object.keys(STEPS).map((name) => ({ title: STEPS[name], ...stepOf(name, check.steps[name], causes, check.seen) }));
  fill("steps", steps.map(({ title, state, text }) => line(title, state, STATE_WORDS[state], text)));
  fill("tiers", Object.entries(tiers).map(([tier, { verdict, causes: why }]) => tierLine(tier, isOver || verdict === "fails" ? verdict : "unknown", why, isOver)));
  fill("causes", causes.map((code) => element("li", "", element("h3", "", textOf(code, "title")), element("p", "", textOf(code, "words")))));
  const asks = causes.filter((code) => CAUSES[code].request);
  fill("asks", asks.map((code) => element("li", "", element("div", "", element("h3", "", textOf(code, "title")), element("p", "", textOf(code, "request"))))));
  $("causes-section").hidden = !causes.length;
  $("asks-section").hidden = !asks.length;
  $("sign-in").hidden = !causes.includes("signed-out");
  return { causes, tiers, steps };
}

function tierLine(tier, verdict, why, isOver) {
  const because = why.length ? ` ${why.map((code) => textOf(code, "title")).join("; ")}.` : "";
  const word = isOver || verdict !== "unknown" ? VERDICTS[verdict] : "being checked";
  return line(TIER_NAMES[tier], verdict, word, TIER_WORDS[tier] + because);
}

async function start() {
  running?.abort();
  const own = (running = new AbortController());
  window.result = null;
  say("headline", "Checking");
  say("summary", "The check has begun. What is known shows below as it comes.");
  say("said", "");
  $("copy").disabled = $("print").disabled = true;
  $("progress").hidden = false;
  let check = null;
  const onProgress = (share) => {
    if (own.signal.aborted) return;
    $("progress").value = share;
    show(check, false);
  };
  check = new Check({ pace, token, signal: own.signal, order: ORDER, onProgress });
  await check.run();
  if (own.signal.aborted) return;
  try {
    finish(show(check, true), check.seen);
  } catch (error) {
    console.error(error);
    giveUp();
  }
}

/** End a check that came to no result: a page that never ends tells nobody anything. */
function giveUp() {
  say("headline", "The check failed");
  say("summary", "Something came back that the check has no words for. What is known stands below; check again.");
  $("progress").hidden = true;
  window.result = { causes: [], tiers: tiersOf([], CAUSES), asks: [], text: "" };
}

function finish(found, seen) {
  const [headline, summary] = headlineOf(found, seen);
  say("headline", headline);
  say("summary", summary);
  $("progress").hidden = true;
  const at = new Date().toLocaleString(undefined, { dateStyle: "long", timeStyle: "long" });
  const address = new URL(".", document.baseURI).href;
  const text = letterOf({ ...found, address, agent: navigator.userAgent, at, catalogue: CAUSES });
  say("stamp", `${address}, ${at}. ${navigator.userAgent}`);
  $("copy").disabled = $("print").disabled = false;
  const asks = found.causes.filter((code) => CAUSES[code].request).map((code) => ({ cause: code, title: textOf(code, "title"), request: textOf(code, "request") }));
  window.result = { causes: found.causes, tiers: found.tiers, asks, text };
}

async function copy() {
  const { text } = window.result;
  try {
    await navigator.clipboard.writeText(text);
    say("said", "Copied.");
  } catch {
    // Without a secure context there is no clipboard, but there is the old way.
    const area = element("textarea", "", text);
    document.body.append(area);
    area.select();
    const isDone = document.execCommand("copy");
    area.remove();
    say("said", isDone ? "Copied." : "This browser does not let pages copy: print it, or select the text below.");
  }
}

$("host").textContent = location.host;
$("again").addEventListener("click", start);
$("copy").addEventListener("click", copy);
$("print").addEventListener("click", () => print());
$("sign-in").addEventListener("submit", (event) => {
  event.preventDefault();
  token = $("token").value.trim() || null;
  start();
});
start();
