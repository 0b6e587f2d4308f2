import type { ZodType } from "zod";
import { estimateJsonTokens } from "../../policy/tokens.ts";
import type { Answer, Budget, Prompt, RecordCall, Usage } from "../model.ts";
import { answerSchema, withoutNulls } from "./answer-schema.ts";
import { Ledger } from "./ledger.ts";
import { callModel, type Job, refusalOf, type Session, textOf } from "./session.ts";
import type { Turn } from "./transcript.ts";
import type { JsonSchema, WireRequest } from "./wire.ts";

export interface ObjectRequest<T> {
  prompt: Prompt;
  schema: ZodType<T>;
  budget: Budget;
  signal: AbortSignal;
  record: RecordCall;
}

/** B20: invalid or truncated output is repaired at most twice. */
const maxRepairs = 2;

/**
 * Asks for one structured answer. An answer that does not fit the schema is sent back with what is wrong with it; a refused or
 * overlong prompt is tried once more without the repository's part. The answer is parsed here and not by the SDK, whose error
 * for an invalid one loses the tokens that it cost.
 */
export async function askForObject<T>(session: Session, request: ObjectRequest<T>): Promise<Answer<T>> {
  const ledger = new Ledger(request.budget, session.price, session.maxOutputTokens);
  const job: Job = { ...request, ledger };
  const schema = answerSchema(request.schema);
  const first: Turn = { role: "user", content: taskWithSchema(session, request.prompt, schema) };
  let messages: Turn[] = [first];
  // Without a part that the answer is about there would be an answer about nothing.
  const smallest = () => smaller || request.prompt.needsRepository === true;
  let smaller = false;
  let repairs = 0;
  for (;;) {
    if (Date.now() >= request.budget.deadline.getTime())
      return { kind: "out-of-time", message: "The time for this answer is used up", usage: ledger.usage };
    const { prompt } = request;
    const asked = {
      prompt,
      withRepository: !smaller,
      messages,
      schema: session.facts.structuredOutput === false ? undefined : schema,
    };
    const promptTokens = estimateJsonTokens([prompt.system, smaller ? "" : prompt.repository, messages, schema]) + 100;
    if (!(await fits(session, asked, promptTokens, request.signal))) {
      if (smallest()) return tooLong(ledger);
      smaller = true;
      continue;
    }
    const allowance = ledger.allow({ knownTokens: 0, newTokens: promptTokens });
    if (allowance.kind !== "go") return { ...allowance, usage: ledger.usage };
    const { maxTokens } = allowance;
    const result = await callModel(session, job, promptTokens, (signal, attempt) =>
      session.wire.send({ ...asked, maxTokens }, signal, attempt),
    );

    if (result.kind === "out-of-time")
      return { kind: "out-of-time", message: "The model did not answer in time", usage: ledger.usage };
    const ending =
      result.kind === "reply"
        ? result.reply.stop_reason
        : result.kind === "overflow"
          ? "model_context_window_exceeded"
          : undefined;
    if (ending === "model_context_window_exceeded" || ending === "refusal") {
      if (smallest() && ending === "refusal" && result.kind === "reply") {
        return { kind: "refused", message: refusalOf(result.reply), usage: ledger.usage };
      }
      if (smallest()) return tooLong(ledger);
      smaller = true;
      messages = [first];
      continue;
    }
    if (result.kind === "stale-thinking")
      throw new Error(`The model's provider refused the request: ${result.message}`);
    const text = result.kind === "reply" ? textOf(result.reply) : "";
    const read =
      ending === "max_tokens"
        ? { problem: `it was cut off after ${maxTokens} tokens; be much briefer` }
        : readAnswer(text, request.schema, schema);
    if ("value" in read) return { kind: "answer", value: read.value, usage: ledger.usage };
    if (ending === "max_tokens" && allowance.lowered)
      return {
        kind: "out-of-budget",
        message: "What was left of the budget did not suffice for a whole answer",
        usage: ledger.usage,
      };
    if (repairs === maxRepairs)
      return {
        kind: "invalid-answer",
        message: `The model's answer was not usable after ${maxRepairs} repairs: ${read.problem}`,
        usage: ledger.usage,
      };
    repairs += 1;
    messages = [first, ...repair(text, read.problem)];
  }
}

/** Whether prompt and answer fit into the window: by the estimate, else by the provider's own count. */
async function fits(
  session: Session,
  request: Omit<WireRequest, "maxTokens">,
  estimate: number,
  signal: AbortSignal,
): Promise<boolean> {
  const limit = session.windowTokens - session.maxOutputTokens;
  if (estimate <= limit) return true;
  const exact = await session.wire.countTokens(request, signal);
  return exact !== undefined && exact <= limit;
}

function tooLong(ledger: Ledger): { kind: "context-overflow"; message: string; usage: Usage } {
  return { kind: "context-overflow", message: "The prompt does not fit into the model's window", usage: ledger.usage };
}

/** Models that are not known to keep to a format are told the schema in words. */
function taskWithSchema(session: Session, prompt: Prompt, schema: JsonSchema): string {
  if (session.facts.structuredOutput === true) return prompt.task;
  return `${prompt.task}\n\nAnswer with one JSON object and nothing else. It must fit this JSON Schema:\n${JSON.stringify(schema)}`;
}

function readAnswer<T>(text: string, schema: ZodType<T>, told: JsonSchema): { value: T } | { problem: string } {
  let json: unknown;
  try {
    json = JSON.parse(text.replace(/^```(?:json)?\s*\n([\s\S]*?)\n?```$/, "$1"));
  } catch (error) {
    return { problem: text === "" ? "it was empty" : `it is not JSON (${(error as Error).message.slice(0, 200)})` };
  }
  const parsed = schema.safeParse(withoutNulls(json, told));
  if (parsed.success) return { value: parsed.data };
  return {
    problem: parsed.error.issues
      .slice(0, 8)
      .map((issue) => `${issue.path.join(".") || "the answer"}: ${issue.message}`)
      .join("; "),
  };
}

function repair(text: string, problem: string): Turn[] {
  const ask: Turn = {
    role: "user",
    content: `Your answer cannot be used: ${problem}. Answer again, with the complete JSON object and nothing else.`,
  };
  return text === "" ? [ask] : [{ role: "assistant", content: text.slice(0, 20_000).toWellFormed().trimEnd() }, ask];
}
