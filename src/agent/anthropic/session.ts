import type { BetaMessage } from "@anthropic-ai/sdk/resources/beta/messages/messages";
import type { Message } from "@anthropic-ai/sdk/resources/messages/messages";
import type { Budget, CallRecord, Prompt, RecordCall } from "../model.ts";
import { dollarsOf, type Price, type TokenCounts } from "../prices.ts";
import { estimateJsonTokens } from "../tokens.ts";
import type { Client } from "./client.ts";
import type { AnthropicConfig } from "./config.ts";
import { BrokenCallError, type Fault, sortFault } from "./errors.ts";
import type { Ledger } from "./ledger.ts";
import { countsOf } from "./usage.ts";
import { type Watched, watchStream } from "./watch-stream.ts";

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

type ReplyStream = Parameters<typeof watchStream>[0] & { currentMessage: Reply | undefined };

/** A call under way: what a stream has received so far, so that one that breaks off is still paid for. */
export class Attempt {
  #stream: ReplyStream | undefined;
  #watched: Watched | undefined;

  watch(stream: ReplyStream): void {
    this.#stream = stream;
    this.#watched = watchStream(stream);
  }

  /** The message that a stream has begun, with the tokens of what came of it. */
  get begun(): { usage: unknown; outputTokens: number } | undefined {
    const message = this.#stream?.currentMessage;
    return message === undefined
      ? undefined
      : { usage: message.usage, outputTokens: this.#watched?.outputTokens() ?? 0 };
  }

  /** Throws `BrokenCallError` when the arguments of a tool call are not whole. */
  assertWholeCalls(): void {
    const problem = this.#watched?.problem();
    if (problem !== undefined) throw new BrokenCallError(problem);
  }
}

export type CallResult<R> =
  | { kind: "reply"; reply: R; counts: TokenCounts }
  | { kind: "out-of-time" }
  | Exclude<Fault, { kind: "transient" | "fatal" }>;

/** Endings at which a tool call may stop in the middle; none of its tools is run then. */
const unfinished = new Set(["max_tokens", "model_context_window_exceeded", "refusal"]);

/**
 * Makes one request, whose prompt has about `promptTokens`, and records it before its reply is used. Throws
 * `TransientModelError` for what may work later, `ModelRefusedError` for what the provider will never do, and the signal's
 * reason when it was aborted. A call that is still running some seconds after the deadline is ended as `out-of-time`.
 */
export async function callModel<R extends Reply>(
  session: Session,
  job: Job,
  promptTokens: number,
  send: (signal: AbortSignal, attempt: Attempt) => Promise<R>,
): Promise<CallResult<R>> {
  job.signal.throwIfAborted();
  const graceMs = (session.config.graceSeconds ?? 20) * 1000;
  const timeUp = AbortSignal.timeout(
    Math.min(2 ** 31 - 1, Math.max(0, job.budget.deadline.getTime() - Date.now() + graceMs)),
  );
  const startedAt = Date.now();
  const attempt = new Attempt();
  let reply: R;
  try {
    reply = await send(AbortSignal.any([job.signal, timeUp]), attempt);
    assertMessage(reply);
    if (!unfinished.has(reply.stop_reason ?? "")) attempt.assertWholeCalls();
  } catch (error) {
    const fault = sortFault(error, session.redact);
    const { begun } = attempt;
    const ending = job.signal.aborted ? "aborted" : timeUp.aborted ? "out-of-time" : fault.kind;
    if (begun !== undefined) {
      const counts = countsOf(begun.usage, { promptTokens, outputTokens: begun.outputTokens });
      // Until its end a stream says what it cost up to its beginning.
      const outputTokens = Math.max(counts.outputTokens, begun.outputTokens);
      await record(session, job, { ...counts, outputTokens }, startedAt, ending);
    }
    job.signal.throwIfAborted();
    if (timeUp.aborted) return { kind: "out-of-time" };
    if (fault.kind === "transient" || fault.kind === "fatal") throw fault.error;
    return fault;
  }
  const counts = countsOf(reply.usage, { promptTokens, outputTokens: estimateJsonTokens(reply.content) });
  await record(session, job, counts, startedAt, reply.stop_reason ?? "none");
  return { kind: "reply", reply, counts };
}

/**
 * Throws a `SyntaxError`, as for an answer that is not JSON, when this is no whole message: a page of a gateway, or an answer
 * without an ending, in which a tool call could be half of what was meant.
 */
function assertMessage(reply: unknown): void {
  const { content, stop_reason: ending } = (reply ?? {}) as { content?: unknown; stop_reason?: unknown };
  if (!Array.isArray(content) || !content.every(isBlock)) throw new SyntaxError("the answer is not a message");
  if (typeof ending !== "string") throw new SyntaxError("the answer ended before it was complete");
}

function isBlock(block: unknown): boolean {
  const { type, text, id, name } = (block ?? {}) as Record<string, unknown>;
  if (type === "text") return typeof text === "string";
  if (type === "tool_use") return typeof id === "string" && typeof name === "string";
  return typeof type === "string";
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
