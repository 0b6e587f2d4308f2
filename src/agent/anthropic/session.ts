import type { BetaMessage } from "@anthropic-ai/sdk/resources/beta/messages/messages";
import type { Message } from "@anthropic-ai/sdk/resources/messages/messages";
import type { Budget, CallRecord, Prompt, RecordCall } from "../model.ts";
import { dollarsOf, type Price, type TokenCounts } from "../prices.ts";
import type { Client } from "./client.ts";
import type { AnthropicConfig } from "./config.ts";
import { type Fault, sortFault } from "./errors.ts";
import type { Ledger } from "./ledger.ts";
import { countsOf } from "./usage.ts";

/** What all calls of one model share. */
export interface Session {
  config: AnthropicConfig;
  client: Client;
  price: Price;
  windowTokens: number;
  maxOutputTokens: number;
  redact(text: string): string;
}

/** One piece of work: its prompt, its limits and where its calls are recorded. */
export interface Job {
  prompt: Prompt;
  budget: Budget;
  signal: AbortSignal;
  record: RecordCall;
  ledger: Ledger;
}

/** What is used of a reply, from either of the SDK's two kinds of messages. */
export type Reply =
  | Pick<BetaMessage, "content" | "stop_reason" | "usage" | "stop_details">
  | Pick<Message, "content" | "stop_reason" | "usage" | "stop_details">;

/** Streams what it has received so far, so that a call that breaks off is still paid for. */
export interface Attempt {
  partial?: () => Reply | undefined;
}

export type CallResult<R> =
  | { kind: "reply"; reply: R; counts: TokenCounts }
  | { kind: "out-of-time" }
  | Exclude<Fault, { kind: "transient" | "fatal" }>;

/**
 * Makes one request and records it before its reply is used. Throws `TransientModelError` for what may work later, the
 * signal's reason when it was aborted, and an error that says why for what the provider will never do. A call that is still
 * running some seconds after the deadline is ended as `out-of-time`.
 */
export async function callModel<R extends Reply>(
  session: Session,
  job: Job,
  send: (signal: AbortSignal, attempt: Attempt) => Promise<R>,
): Promise<CallResult<R>> {
  job.signal.throwIfAborted();
  const graceMs = (session.config.graceSeconds ?? 20) * 1000;
  const timeUp = AbortSignal.timeout(
    Math.min(2 ** 31 - 1, Math.max(0, job.budget.deadline.getTime() - Date.now() + graceMs)),
  );
  const startedAt = Date.now();
  const attempt: Attempt = {};
  let reply: R;
  try {
    reply = await send(AbortSignal.any([job.signal, timeUp]), attempt);
    // An answer without an ending is not whole: a tool call could be half of what was meant.
    if (reply.stop_reason === null) throw new SyntaxError("the answer ended before it was complete");
  } catch (error) {
    const fault = sortFault(error, session.redact);
    const begun = attempt.partial?.();
    const ending = job.signal.aborted ? "aborted" : timeUp.aborted ? "out-of-time" : fault.kind;
    if (begun !== undefined) await record(session, job, countsOf(begun.usage), startedAt, ending);
    job.signal.throwIfAborted();
    if (timeUp.aborted) return { kind: "out-of-time" };
    if (fault.kind === "transient" || fault.kind === "fatal") throw fault.error;
    return fault;
  }
  const counts = countsOf(reply.usage);
  await record(session, job, counts, startedAt, reply.stop_reason ?? "none");
  return { kind: "reply", reply, counts };
}

async function record(
  session: Session,
  job: Job,
  counts: TokenCounts,
  startedAt: number,
  ending: string,
): Promise<void> {
  job.ledger.add(counts);
  const call: CallRecord = {
    provider: session.config.provider,
    model: session.config.model,
    prompt: job.prompt.name,
    promptVersion: job.prompt.version,
    inputTokens: counts.inputTokens,
    outputTokens: counts.outputTokens,
    cacheReadTokens: counts.cacheReadTokens,
    cacheWriteTokens: counts.cacheWrite5mTokens + counts.cacheWrite1hTokens,
    costUsd: dollarsOf(counts, session.price),
    durationMs: Date.now() - startedAt,
    ending,
  };
  await job.record(call);
}

/** The words of a reply. */
export function textOf(reply: Reply): string {
  const texts: string[] = [];
  for (const block of reply.content) if (block.type === "text") texts.push(block.text);
  return texts.join("\n").trim();
}

/** Why the model refused, in one sentence. */
export function refusalOf(reply: Reply): string {
  const details = reply.stop_details;
  const category = details?.category ?? undefined;
  return `The model refused the request${category === undefined ? "" : ` (${category})`}`;
}
