import { estimateJsonTokens } from "../../policy/tokens.ts";
import type { ModelFacts } from "../known-models.ts";
import type { Budget, Prompt, RecordCall } from "../model.ts";
import type { Price, TokenCounts } from "../prices.ts";
import { type Fault, lasting } from "./faults.ts";
import type { Ledger } from "./ledger.ts";
import { callRecord, countsOf } from "./usage.ts";
import { NoModelError } from "./watched-fetch.ts";
import type { Attempt, Reply, Wire } from "./wire.ts";

/** What all calls of one model share. */
export interface Session {
  provider: string;
  model: string;
  wire: Wire;
  facts: ModelFacts;
  price: Price;
  windowTokens: number;
  maxOutputTokens: number;
  /** How long after the budget's deadline a call that is under way may still take. */
  graceSeconds: number;
  redactor: { redact(text: string): string } | undefined;
  /** What came from the address so far: a gateway that fails may send a page, an address that is wrong sends nothing else. */
  heard: { answered: boolean; pages: number };
}

/** As many pages from an address that has never answered mean that there is no model. */
const mostPages = 3;

/** One piece of work: its prompt, its limits and where its calls are recorded. */
export interface Job {
  prompt: Prompt;
  budget: Budget;
  signal: AbortSignal;
  record: RecordCall;
  ledger: Ledger;
}

export type CallResult =
  | { kind: "reply"; reply: Reply; counts: TokenCounts }
  | { kind: "out-of-time" }
  | Exclude<Fault, { kind: "transient" | "fatal" }>;

/** Endings at which a tool call may stop in the middle; none of its tools is run then. */
const unfinished = new Set(["max_tokens", "model_context_window_exceeded", "refusal"]);

/**
 * Makes one request, whose prompt has about `promptTokens`, and records it before its reply is used. Throws
 * `TransientModelError` for what may work later, `ModelRefusedError` for what the provider will never do, and the signal's
 * reason when it was aborted. A call that is still running some seconds after the deadline is ended as `out-of-time`.
 */
export async function callModel(
  session: Session,
  job: Job,
  promptTokens: number,
  send: (signal: AbortSignal, attempt: Attempt) => Promise<Reply>,
): Promise<CallResult> {
  job.signal.throwIfAborted();
  const graceMs = session.graceSeconds * 1000;
  const timeUp = AbortSignal.timeout(
    Math.min(2 ** 31 - 1, Math.max(0, job.budget.deadline.getTime() - Date.now() + graceMs)),
  );
  const startedAt = Date.now();
  const attempt: Attempt = {};
  let reply: Reply | undefined;
  try {
    reply = await send(AbortSignal.any([job.signal, timeUp]), attempt);
    assertMessage(reply);
  } catch (error) {
    const fault = session.wire.sortFault(error, (text) => redact(session, text));
    const ending = job.signal.aborted ? "aborted" : timeUp.aborted ? "out-of-time" : fault.kind;
    const usage = attempt.watched?.usage() ?? usageOf(reply);
    if (usage !== undefined) {
      const received = attempt.watched?.outputTokens() ?? 0;
      const counts = countsOf(usage, { promptTokens, outputTokens: received });
      await record(
        session,
        job,
        { ...counts, outputTokens: Math.max(counts.outputTokens, received) },
        startedAt,
        ending,
      );
    }
    job.signal.throwIfAborted();
    if (timeUp.aborted) return { kind: "out-of-time" };
    if (fault.kind === "transient" && fault.error.cause instanceof NoModelError) {
      session.heard.pages += 1;
      if (!session.heard.answered && session.heard.pages >= mostPages) throw lasting(fault.error);
    }
    if (fault.kind === "transient" || fault.kind === "fatal") throw fault.error;
    return fault;
  }
  session.heard.answered = true;
  const counts = countsOf(reply.usage, { promptTokens, outputTokens: estimateJsonTokens(reply.content) });
  const ending = reply.stop_reason ?? "none";
  const problem = unfinished.has(ending) ? undefined : attempt.watched?.problem();
  await record(session, job, counts, startedAt, problem === undefined ? ending : "broken-call");
  return problem === undefined ? { kind: "reply", reply, counts } : { kind: "broken-call", message: problem };
}

/** What an answer that is no whole message says it cost. */
function usageOf(reply: unknown): object | undefined {
  const { usage } = (reply ?? {}) as { usage?: unknown };
  return typeof usage === "object" && usage !== null ? usage : undefined;
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
  const { provider, model, price } = session;
  const call = callRecord({ provider, model, price, prompt: job.prompt, startedAt, ending }, counts);
  await job.record(call);
}

/** The text without the secrets that are known. */
export function redact(session: Session, text: string): string {
  return session.redactor?.redact(text) ?? text;
}

/** The words of a reply. */
export function textOf(reply: Reply): string {
  const texts: string[] = [];
  for (const block of reply.content) if (block.type === "text") texts.push(block.text ?? "");
  return texts.join("\n").trim();
}

/** Why the model refused, in one sentence. */
export function refusalOf(reply: Reply): string {
  const details = reply.stop_details;
  const category = details?.category ?? undefined;
  return `The model refused the request${category === undefined ? "" : ` (${category})`}`;
}
