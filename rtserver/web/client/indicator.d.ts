/** Types of `<rt-status>`; docs/client.rst explains it. */

import type { Connection, Status, Transition } from "./rtclient.js";

/** Every sentence that the indicator shows: replace functions for another language. */
export interface Words {
  title(status: Status): string;
  hint(status: Status, secondsLeft?: number | null): string;
  asOf(time: string): string;
  facts(status: Status): [name: string, value: string][];
  transition(transition: Transition): string;
  tryNow: string;
  details: string;
  copy: string;
  copied: string;
  notCopied: string;
  group: string;
  history: string;
}

export class StatusIndicator extends HTMLElement {
  words: Words;
  client: Connection | null;
  show(status: Status): void;
}

declare global {
  interface HTMLElementTagNameMap {
    "rt-status": StatusIndicator;
  }
}
