/** Types of the browser client of rtserver; docs/client.rst explains every option and status. */

export type Tier = "sse" | "long-poll" | "short-poll";

export type State =
  | "connecting" | "live" | "delayed" | "polling"
  | "reconnecting" | "offline" | "blocked" | "signed-out" | "stopped";

/** What a tier can show. */
export interface Features {
  typingIndicators: boolean;
  instantMessages: "enabled" | "2-5_second_delay" | "5-10_second_delay";
  participantStatus: "real_time" | "near_real_time" | "polling_based";
  aiProgress: "live_updates" | "periodic_updates" | "status_only";
}

export interface Status {
  state: State;
  /** The tier that brings events now, or null. */
  tier: Tier | null;
  /** One short sentence, or null where all is well. */
  reason: string | null;
  /** When the server was last heard, by its own clock: ISO 8601. */
  asOf: string | null;
  /** When the next try is due, by this device's clock: ISO 8601. */
  nextRetryAt: string | null;
  /** Seconds until news arrives, at most; null where nothing is known. */
  expectedDelay: number | null;
  features: Features;
}

/** One event.  Passing states (`typing_indicator`, `ai_progress`) have neither id nor sequence. */
export interface SessionEvent<Data = Record<string, unknown>> {
  id: string | null;
  sequence: number | null;
  type: string;
  timestamp: string | null;
  data: Data;
  /** With `compact`: long strings were cut; `GET .../events/{id}` has the whole. */
  truncated?: boolean;
}

export interface Reset {
  reason: "trimmed" | "epoch" | "ahead" | "foreign";
  requested?: string;
  earliest?: string;
  lastEventId: string;
}

export interface OutboxEntry {
  messageId: string;
  type: string;
  data: Record<string, unknown>;
  /** Milliseconds since 1970. */
  at: number;
}

export interface Transition {
  at: string;
  from: string;
  event: string;
  to: string;
  tier: Tier;
}

export interface Options {
  sessionId: string;
  baseUrl?: string;
  token?: string | (() => string | Promise<string>);
  onEvent?: (event: SessionEvent) => void;
  onReset?: (reset: Reset) => void;
  onStatus?: (status: Status) => void;
  onOutbox?: (entries: OutboxEntry[]) => void;
  loginUrl?: string | ((here: string) => string);
  eventTypes?: string[];
  types?: string[];
  history?: number;
  cursor?: string | null;
  tiers?: Tier[];
  heartbeat?: number;
  compact?: boolean;
  shareTabs?: boolean;
  keepOutbox?: boolean;
  identity?: string | null;
}

export interface Connection {
  readonly status: Status;
  readonly transitions: Transition[];
  readonly sessionId: string;
  send(data: Record<string, unknown>, type?: string): Promise<SessionEvent>;
  typing(isTyping?: boolean): void;
  refresh(): void;
  close(): void;
  watch(listener: (status: Status) => void): () => void;
}

/** Why a message will never arrive. */
export class SendRefused extends Error {
  readonly status: number;
  readonly problem: Record<string, unknown> | null;
}

export const TIERS: readonly Tier[];

export function connect(options: Options): Connection;
