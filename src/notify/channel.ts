import type { Notice } from "./notice.ts";

/** How one try to tell something ended. `why` is for the operator: a sentence without the channel's address. */
export type Sending =
  | { kind: "sent"; remark?: string }
  /** The same notice may go through later; `afterSeconds` where the receiver asked for it, and then for everything that it is sent. */
  | { kind: "retry"; why: string; afterSeconds?: number }
  /** It will not go through as it is. */
  | { kind: "failed"; why: string };

export interface SendOptions {
  /** Names what is told: hexadecimal digits, the same each time that it is sent, so that a receiver knows a repetition. */
  key: string;
  filedAt: Date;
  signal: AbortSignal;
}

/** Where people are told something. What goes wrong on the way is a result; `send` may also throw, which counts as `retry`. */
export interface Channel {
  kind: "slack" | "teams" | "webhook" | "email";
  send(notice: Notice, options: SendOptions): Promise<Sending>;
}
