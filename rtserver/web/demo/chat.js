/**
 * The demonstration chat: the client, put on a page.
 *
 * Owns wiring the parts together; each of them is a file beside this one.  `?as=bob` is the other side.  The token
 * comes from an address that only `rtserver demo` has, and is asked for again before it ends.
 */

import "../client/indicator.js";
import { TIERS, connect } from "../client/rtclient.js";
import { make } from "./dom.js";
import { Messages } from "./messages.js";
import { People } from "./people.js";
import { Presence } from "./presence.js";

const SESSION = "demo";
const HISTORY = 50;
const NOTED = ["participant_joined", "participant_left", "session_status_changed"];
const WORDS = {
  enabled: "at once", "2-5_second_delay": "after 2 to 5 s", "5-10_second_delay": "after 5 to 10 s",
  real_time: "at once", near_real_time: "almost at once", polling_based: "with the next poll",
  live_updates: "step by step", periodic_updates: "now and then", status_only: "that it works",
};

const me = new URLSearchParams(location.search).get("as") === "bob" ? "bob" : "alice";
const element = (id) => document.getElementById(id);
const people = new People(element("people"), me);
const messages = new Messages({ scroll: element("scroll"), list: element("messages"), outbox: element("outbox") }, people, me);
const presence = new Presence({ typing: element("typing"), progress: element("progress") }, people, me, (change) =>
  messages.keepingPlace(change),
);

let client = null;
let outbox = [];
const arrived = new Set(); // ids of own messages that came before the answer to them, until that comes
let oldest = null; // the cursor before which there may be more

async function token() {
  const response = await fetch("demo/token", { method: "POST", body: JSON.stringify({ participantId: me }) });
  if (!response.ok) throw new Error(`no token: ${response.status}`);
  return (await response.json()).token;
}

/** Ask the API for what the client does not bring. */
async function ask(path) {
  const response = await fetch(`api/sessions/${SESSION}${path}`, { headers: { Authorization: `Bearer ${await token()}` } });
  if (!response.ok) throw new Error(`${path}: ${response.status}`);
  return response.json();
}

function onEvent(event) {
  const { type, data, id } = event;
  if (type === "message_added") {
    oldest ??= id;
    messages.add(event);
    if (outbox.some(({ messageId }) => messageId === data.messageId)) {
      arrived.add(data.messageId);
      showOutbox();
    }
    presence.spoke(data.participantId);
  } else if (NOTED.includes(type)) {
    messages.add(event);
    showPeople();
  } else {
    presence.take(event);
  }
}

/** Show what waits to be sent, but for what is among the messages already. */
function showOutbox() {
  for (const id of arrived) if (!outbox.some(({ messageId }) => messageId === id)) arrived.delete(id);
  messages.showOutbox(outbox.filter(({ messageId }) => !arrived.has(messageId)), client?.status.tier === null);
}

function onStatus(status) {
  presence.adapt(status);
  showOutbox();
  const { features } = status;
  const rows = [
    ["Messages", WORDS[features.instantMessages]],
    ["Typing", features.typingIndicators ? "shown" : "not shown"],
    ["AI at work", WORDS[features.aiProgress]],
    ["People", WORDS[features.participantStatus]],
  ];
  const shown = status.tier === null ? [] : rows;
  element("features").replaceChildren(
    ...shown.flatMap(([name, value]) => [make("dt", { textContent: name }), make("dd", { textContent: value })]),
  );
}

/** Follow the session, by all tiers or, to show it, by one. */
function follow(tier) {
  client?.close();
  messages.clear();
  oldest = null;
  client = connect({
    // Relative to the page, so that it works below a base path.
    baseUrl: new URL(".", location.href).pathname,
    sessionId: SESSION,
    token,
    history: HISTORY,
    tiers: tier ? [tier] : TIERS,
    shareTabs: !tier,
    onEvent,
    onStatus,
    onReset: () => {
      messages.clear();
      oldest = null;
      messages.note("Something was missed while you were away; this is what there is now.");
    },
    onOutbox: (entries) => {
      outbox = entries;
      showOutbox();
    },
  });
  element("status").client = client;
  showPeople().then(() => messages.toEnd());
}

async function showPeople() {
  try {
    people.show((await ask("/participants")).participants);
  } catch {
    // The status says what is wrong; the list comes with the next change.
  }
}

async function showEarlier() {
  const page = await ask(`/messages?limit=${HISTORY}&before=${oldest}`).catch(() => null);
  if (page === null) return; // the status says what is wrong; the button is still there
  messages.addEarlier(page.messages);
  oldest = page.next ?? oldest;
  element("earlier").hidden = !page.hasMore;
}

async function send() {
  const field = element("text");
  const content = field.value.trim();
  if (content === "") return;
  field.value = "";
  client.typing(false);
  element("problem").hidden = true;
  messages.toEnd();
  try {
    await client.send({ content });
  } catch (error) {
    element("problem").hidden = false;
    element("problem").textContent = `“${content.slice(0, 60)}” was not sent: ${error.message}`;
  }
}

element("compose").addEventListener("submit", (event) => {
  event.preventDefault();
  send();
});
element("text").addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  send();
});
element("text").addEventListener("input", () => client.typing(element("text").value !== ""));
element("way").addEventListener("change", () => follow(element("way").value));
element("refresh").addEventListener("click", () => client.refresh());
element("earlier").addEventListener("click", showEarlier);
element("aside-details").open = matchMedia("(min-width: 60rem)").matches;
for (const link of document.querySelectorAll("#who a")) {
  if (link.dataset.who === me) link.setAttribute("aria-current", "page");
}
element("other-side").href = `?as=${me === "bob" ? "alice" : "bob"}`;
addEventListener("pagehide", () => client.typing(false));

await showPeople();
follow("");
const first = await ask(`/messages?limit=${HISTORY}`).catch(() => ({ hasMore: false }));
element("earlier").hidden = !first.hasMore;
