import type { BetaRunnableTool } from "@anthropic-ai/sdk/lib/tools/BetaRunnableTool";
import { estimateJsonTokens } from "../../policy/tokens.ts";
import type { WorkRequest, WorkResult } from "../model.ts";
import { prepareTools } from "../tools/prepare-tools.ts";
import { answerToolCalls } from "./answer-tool-calls.ts";
import { Ledger } from "./ledger.ts";
import { callModel, type Job, redact, refusalOf, type Session, textOf } from "./session.ts";
import { shrink, shrunkMost, withoutThinking } from "./shrink.ts";
import { blocksOf, callDetail, parseTranscript, plainJson, sendable, type Turn, wordsOf } from "./transcript.ts";
import { promptTokens } from "./usage.ts";
import type { Attempt, Reply } from "./wire.ts";

/** B20: a cut-off or empty answer is repaired at most twice in a row. */
const maxRepairs = 2;

/** After each of these in a row the conversation is made half as long. */
const maxOverflows = 3;

/** As many turns in a row with the same calls and the same results mean that the model goes in circles. */
const sameTurnsInCircle = 5;

/**
 * Lets the model work on a directory with tools, turn by turn, until it says that it is done or a limit is reached. After
 * every turn the whole conversation is handed to `onTurn` and nothing else happens until that has finished. Continues from a
 * transcript; calls of tools that are unanswered at its end are run first. A transcript whose last message is the model's
 * final one is done already.
 */
export async function work(session: Session, request: WorkRequest): Promise<WorkResult> {
  const ledger = new Ledger(request.budget, session.price, session.maxOutputTokens);
  const job: Job = { ...request, ledger };
  const tools = prepareTools(request.directory, request.tools, session.redactor);
  const conversation = new Conversation(session, request, tools);
  const end = <K extends WorkResult["kind"]>(kind: K, message = "") => ({ kind, message, usage: ledger.usage });

  const last = conversation.messages.at(-1);
  if (last?.role === "assistant") {
    const answered = await conversation.runTools(request.signal);
    if (!answered) return { kind: "done", text: wordsOf(last), usage: ledger.usage };
    await conversation.handOut(ledger);
  }

  let repairs = 0;
  let refusals = 0;
  let overflows = 0;
  const recentTurns: string[] = [];
  for (let turns = 0; ; ) {
    request.signal.throwIfAborted();
    if (Date.now() >= request.budget.deadline.getTime()) return endOfSlice(turns, ledger);
    if (!(await conversation.fit(request.signal)))
      return end(
        "context-overflow",
        "The conversation does not fit into the model's window, even without its older parts",
      ) as WorkResult;
    const size = conversation.size();
    const allowance = ledger.allow(size);
    if (allowance.kind !== "go") return { ...allowance, usage: ledger.usage };

    const asked = size.knownTokens + size.newTokens;
    const result = await callModel(session, job, asked, (signal, attempt) =>
      conversation.send(allowance.maxTokens, signal, attempt),
    );
    if (result.kind === "out-of-time") return endOfSlice(turns, ledger);
    if (result.kind === "stale-thinking" && conversation.dropThinking()) continue;
    if (result.kind === "stale-thinking")
      throw new Error(`The model's provider refused the request: ${result.message}`);
    if (result.kind === "broken-call") {
      repairs += 1;
      if (repairs > maxRepairs) return gaveUp(end, "not usable", repairs);
      conversation.ask(`Your answer could not be used: ${result.message}. No tool of it was run.`);
      continue;
    }
    const ending = result.kind === "overflow" ? "model_context_window_exceeded" : result.reply.stop_reason;
    if (result.kind === "overflow" || ending === "model_context_window_exceeded") {
      overflows += 1;
      if (overflows > maxOverflows || !conversation.halve())
        return end("context-overflow", "The conversation does not fit into the model's window") as WorkResult;
      continue;
    }

    const { reply } = result;
    if (ending === "refusal") {
      refusals += 1;
      if (refusals > 1) return end("refused", refusalOf(reply)) as WorkResult;
      conversation.simplify();
      continue;
    }
    if (ending === "max_tokens" && allowance.lowered)
      return end("out-of-budget", "What was left of the budget did not suffice for a whole answer") as WorkResult;
    // Not every server says `tool_use` when there are calls, or has calls when it says so.
    const callsTools = reply.content.some((block) => block.type === "tool_use");
    const lacksCall = ending === "tool_use" && !callsTools;
    const isPaused = ending === "pause_turn" && reply.content.length > 0;
    const isEmpty = !callsTools && !isPaused && textOf(reply) === "";
    // Some models end without a word once their last tool call has done the work; asked once more, that is taken for done.
    if (isEmpty && !lacksCall && ending !== "max_tokens" && repairs > 0 && conversation.endsInToolResults(repairs))
      return { kind: "done", text: "", usage: ledger.usage };
    if (ending === "max_tokens" || isEmpty || lacksCall) {
      repairs += 1;
      if (repairs > maxRepairs)
        return gaveUp(end, ending === "max_tokens" ? "cut off" : isEmpty ? "empty" : "not usable", repairs);
      conversation.keepWords(reply);
      conversation.ask(
        ending === "max_tokens"
          ? `Your answer was cut off after ${allowance.maxTokens} tokens and no tool of it was run.`
          : isEmpty
            ? "Your answer was empty."
            : "Your answer should have called a tool, but no call was in it.",
      );
      continue;
    }

    repairs = 0;
    overflows = 0;
    conversation.add(reply, promptTokens(result.counts) + result.counts.outputTokens, asked);
    if (callsTools) await conversation.runTools(request.signal);
    await conversation.handOut(ledger);
    turns += 1;
    if (!callsTools && !isPaused) return { kind: "done", text: textOf(reply), usage: ledger.usage };
    recentTurns.push(conversation.lastTurn());
    if (recentTurns.length >= sameTurnsInCircle && new Set(recentTurns.slice(-sameTurnsInCircle)).size === 1) {
      return end("gave-up", `The model repeated the same calls ${sameTurnsInCircle} times`) as WorkResult;
    }
  }
}

const sliceEndMessage =
  "This call was ended because the time for this part of the work was over. Call it again if you need it.";

type End = (kind: "gave-up", message: string) => unknown;

function gaveUp(end: End, what: string, times: number): WorkResult {
  return end("gave-up", `The model's answer was ${what} ${times} times in a row`) as WorkResult;
}

/** Without a single turn another slice would not get further either. */
function endOfSlice(turns: number, ledger: Ledger): WorkResult {
  return turns > 0
    ? { kind: "unfinished", usage: ledger.usage }
    : { kind: "out-of-time", message: "The time was used up before the model finished one turn", usage: ledger.usage };
}

/** The messages, how long they are, and what may be done to make them shorter. */
class Conversation {
  messages: Turn[];
  readonly #session: Session;
  readonly #request: WorkRequest;
  readonly #tools: BetaRunnableTool[];
  #withRepository = true;
  /** What the provider counted for the first `messages`. */
  #counted: { messages: number; tokens: number } | undefined;

  constructor(session: Session, request: WorkRequest, tools: BetaRunnableTool[]) {
    this.#session = session;
    this.#request = request;
    this.#tools = tools;
    this.messages = startOf(request);
  }

  /** Tokens of the next prompt: those that the provider counted, and an estimate of what came since. */
  size(): { knownTokens: number; newTokens: number } {
    if (this.#counted === undefined)
      return { knownTokens: 0, newTokens: this.#fixedTokens() + estimateJsonTokens(this.messages) };
    return {
      knownTokens: this.#counted.tokens,
      newTokens: estimateJsonTokens(this.messages.slice(this.#counted.messages)),
    };
  }

  /** Makes the conversation fit into the window where it does not. False when that is not possible. */
  async fit(signal: AbortSignal): Promise<boolean> {
    const limit = this.#session.windowTokens - this.#session.maxOutputTokens;
    const size = this.size();
    if (size.knownTokens + size.newTokens <= limit) return true;
    const exact = await this.#count(signal);
    if (exact !== undefined && exact <= limit) {
      this.#counted = { messages: this.messages.length, tokens: exact };
      return true;
    }
    // Well below the limit, so that the cached beginning does not change with every turn.
    return (
      this.#shrinkTo(limit * 0.6 - this.#fixedTokens()) ||
      this.#shrinkTo(limit * 0.9 - this.#fixedTokens(), 0) ||
      (this.#leaveRepositoryOut() && this.fit(signal))
    );
  }

  /** After the provider itself said that the prompt is too long. */
  halve(): boolean {
    const half = estimateJsonTokens(this.messages) / 2;
    return this.#shrinkTo(half) || this.#shrinkTo(half, 0) || this.#leaveRepositoryOut();
  }

  /** After a refusal: without the repository's part and without what was read, which may have been what was refused. */
  simplify(): void {
    this.#leaveRepositoryOut();
    this.#replace(shrunkMost(this.messages));
  }

  /** Whether there was any thinking to drop. */
  dropThinking(): boolean {
    const plain = withoutThinking(this.messages);
    const changed = JSON.stringify(plain) !== JSON.stringify(this.messages);
    this.#replace(plain);
    return changed;
  }

  /** `tokens` is what the provider counted for all of it; a figure far below the estimate is none to rely on. */
  add(reply: Reply, tokens: number, estimatedTokens: number): void {
    this.messages.push({ role: "assistant", content: sendable(reply.content, this.messages) });
    this.#counted = tokens < estimatedTokens / 8 ? undefined : { messages: this.messages.length, tokens };
  }

  /** Keeps the words of a reply that was cut off, never its tool calls. */
  keepWords(reply: Reply): void {
    const words = textOf(reply);
    if (words !== "") this.messages.push({ role: "assistant", content: words });
  }

  /** Says what was wrong with an answer, and how to go on. */
  ask(problem: string): void {
    this.messages.push({
      role: "user",
      content: `${problem} Go on in smaller steps: one tool call at a time, small edits instead of whole files.`,
    });
  }

  /**
   * Runs the tool calls that the last message makes. False when it makes none. Calls that are not finished some seconds after
   * the deadline are answered with an error, so that the turn as a whole is kept.
   */
  async runTools(signal: AbortSignal): Promise<boolean> {
    const graceMs = this.#session.graceSeconds * 1000;
    const sliceEnd = new AbortController();
    const msLeft = Math.max(0, this.#request.budget.deadline.getTime() + graceMs - Date.now());
    const timer = setTimeout(() => sliceEnd.abort(new Error(sliceEndMessage)), Math.min(2 ** 31 - 1, msLeft));
    const toolSignal = AbortSignal.any([signal, sliceEnd.signal]);
    const results = await answerToolCalls(this.messages, this.#tools, toolSignal).finally(() => clearTimeout(timer));
    signal.throwIfAborted();
    if (results === undefined) return false;
    this.messages.push(results);
    return true;
  }

  /** Whether the model had used tools right before the last `asks` messages of ours. */
  endsInToolResults(asks: number): boolean {
    const before = this.messages.filter((message) => message.role === "user").at(-1 - asks);
    return before !== undefined && blocksOf(before).some((block) => block.type === "tool_result");
  }

  async handOut(ledger: Ledger): Promise<void> {
    const reply = this.messages.findLast((message) => message.role === "assistant");
    const toolCalls = (reply === undefined ? [] : blocksOf(reply)).flatMap((block) =>
      block.type === "tool_use"
        ? [{ name: block.name, detail: redact(this.#session, callDetail(block.name, block.input)) }]
        : [],
    );
    const text = reply === undefined ? "" : wordsOf(reply);
    await this.#request.onTurn({
      transcript: plainJson(this.messages) as unknown[],
      usage: ledger.usage,
      text,
      toolCalls,
    });
  }

  /** What the last turn did, to be compared with other turns. */
  lastTurn(): string {
    return JSON.stringify(
      this.messages
        .slice(-2)
        .map((message) => blocksOf(message).map((block) => ({ ...block, id: "", tool_use_id: "" }))),
    );
  }

  send(maxTokens: number, signal: AbortSignal, attempt: Attempt): Promise<Reply> {
    return this.#session.wire.send({ ...this.#asked(), maxTokens }, signal, attempt);
  }

  #count(signal: AbortSignal): Promise<number | undefined> {
    return this.#session.wire.countTokens(this.#asked(), signal);
  }

  #asked() {
    const { prompt } = this.#request;
    return { prompt, withRepository: this.#withRepository, messages: this.messages, tools: this.#tools };
  }

  #fixedTokens(): number {
    const definitions = this.#tools.map((tool) =>
      "input_schema" in tool ? [tool.name, tool.description, tool.input_schema] : [tool.name],
    );
    const { system, repository } = this.#request.prompt;
    return estimateJsonTokens([system, this.#withRepository ? repository : "", definitions]) + 600;
  }

  #shrinkTo(tokens: number, untouchedMessages?: number): boolean {
    const shrunk = shrink(this.messages, tokens, untouchedMessages);
    if (shrunk !== undefined) this.#replace(shrunk);
    return shrunk !== undefined;
  }

  #leaveRepositoryOut(): boolean {
    const had = this.#withRepository && (this.#request.prompt.repository ?? "") !== "";
    this.#withRepository = false;
    if (had) this.#counted = undefined;
    return had;
  }

  #replace(messages: Turn[]): void {
    this.messages = messages;
    this.#counted = undefined;
  }
}

function startOf(request: WorkRequest): Turn[] {
  const saved = request.transcript ?? [];
  return saved.length === 0 ? [{ role: "user", content: request.prompt.task }] : parseTranscript(saved);
}
