/**
 * How `<rt-status>` looks.  Every colour is a custom property, so that a page gives it its own:
 *
 *     rt-status { --rt-live: #0a7d33; --rt-trouble: #b3261e; --rt-text: #1b1b1f; --rt-surface: #fff; }
 *
 * Owns one constructed style sheet: there is no inline style, so a strict Content-Security-Policy has nothing to refuse.
 */

const CSS = `
:host {
  --_text: var(--rt-text, #1b1b1f);
  --_muted: var(--rt-muted, #55555e);
  --_surface: var(--rt-surface, #ffffff);
  --_border: var(--rt-border, #c9c9d1);
  --_live: var(--rt-live, #0a7d33);
  --_slow: var(--rt-slow, #8a5a00);
  --_trouble: var(--rt-trouble, #b3261e);
  --_focus: var(--rt-focus, #0b57b0);
  display: block;
  position: relative;
  font: var(--rt-font, 0.875rem/1.4 system-ui, sans-serif);
  color: var(--_text);
}
@media (prefers-color-scheme: dark) {
  :host {
    --_text: var(--rt-text, #ececf1);
    --_muted: var(--rt-muted, #b6b6c0);
    --_surface: var(--rt-surface, #1c1c21);
    --_border: var(--rt-border, #4a4a55);
    --_live: var(--rt-live, #5fd38a);
    --_slow: var(--rt-slow, #f0bd5a);
    --_trouble: var(--rt-trouble, #ff9a90);
    --_focus: var(--rt-focus, #8ab8ff);
  }
}
[part="bar"] {
  --_now: var(--_muted);
  display: flex;
  flex-wrap: wrap;
  align-items: center;
  gap: 0.25rem 0.6rem;
}
[data-state="live"] { --_now: var(--_live); }
[data-state="delayed"], [data-state="polling"] { --_now: var(--_slow); }
[data-state="offline"], [data-state="blocked"], [data-state="reconnecting"], [data-state="signed-out"],
[data-state="stopped"] { --_now: var(--_trouble); }
svg { flex: none; inline-size: 1.1rem; block-size: 1.1rem; overflow: visible; fill: var(--_now); }
path { fill-rule: evenodd; }
.text { flex: 1 1 12rem; min-inline-size: 0; overflow-wrap: anywhere; }
.actions { display: flex; gap: 0.5rem; }
[part="title"] { color: var(--_now); font-weight: 650; }
[part="hint"], [part="as-of"] { color: var(--_muted); }
[part="as-of"] { white-space: nowrap; font-variant-numeric: tabular-nums; }
[part="button"], summary {
  display: inline-flex;
  align-items: center;
  font: inherit;
  color: inherit;
  background: var(--_surface);
  border: 1px solid var(--_border);
  border-radius: 0.45rem;
  padding: 0.25rem 0.7rem;
  min-block-size: 1.5rem;
  cursor: pointer;
}
[part="button"][hidden] { display: none; }
[part="button"]:hover, summary:hover { border-color: var(--_now); }
:focus-visible { outline: 2px solid var(--_focus); outline-offset: 2px; }
summary { list-style: none; }
summary::-webkit-details-marker { display: none; }
summary::after {
  content: "";
  margin-inline-start: 0.45em;
  border: 0.28em solid transparent;
  border-block-start-color: currentColor;
  translate: 0 0.14em;
}
details[open] > summary::after { rotate: 180deg; translate: 0 -0.14em; }
[part="panel"] {
  position: absolute;
  z-index: 10;
  inset-inline-end: 0;
  inset-block-start: calc(100% + 0.4rem);
  inline-size: min(34rem, 92vw);
  max-block-size: min(70vh, 32rem);
  overflow: auto;
  box-sizing: border-box;
  padding: 0.9rem 1rem;
  background: var(--_surface);
  border: 1px solid var(--_border);
  border-radius: 0.6rem;
  box-shadow: 0 6px 24px #0003;
}
h2 { font-size: 1em; margin: 0.9rem 0 0.3rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 0.2rem 0.9rem; margin: 0; }
dt { color: var(--_muted); }
dd { margin: 0; min-inline-size: 0; overflow-wrap: anywhere; }
ol { margin: 0; padding: 0; list-style: none; font: 0.8em/1.5 ui-monospace, monospace; overflow-wrap: anywhere; }
p { margin: 0.8rem 0 0; }
.unseen {
  position: absolute;
  inline-size: 1px;
  block-size: 1px;
  overflow: hidden;
  clip-path: inset(50%);
  white-space: nowrap;
}
@media (max-width: 30rem) { dl { grid-template-columns: 1fr; } dd { margin-block-end: 0.3rem; } }
@media (prefers-reduced-motion: no-preference) { [part="title"], svg { transition: color 0.2s, fill 0.2s; } }
`;

let made = null;

export function sheet() {
  if (made === null) {
    made = new CSSStyleSheet();
    made.replaceSync(CSS);
  }
  return made;
}
