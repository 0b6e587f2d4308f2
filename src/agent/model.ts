import type { ZodType } from "zod";

/** What a call may still spend. Whichever is reached first ends the work with a named ending, never with a crash. */
export interface Budget {
  /** Requests to the model. */
  turns: number;
  outputTokens: number;
  inputTokens: number;
  costUsd: number;
  deadline: Date;
}

/** Tokens and cost of one or several calls, in dollars of the price table. */
export interface Usage {
  calls: number;
  inputTokens: number;
  outputTokens: number;
  cacheReadTokens: number;
  cacheWriteTokens: number;
  costUsd: number;
}

/** A prompt: what never changes first, so that it is cached; what a stranger wrote only as data in a delimited block. */
export interface Prompt {
  /** Name and version of the Markdown file; recorded with every call. */
  name: string;
  version: string;
  /** Our own text; cached for an hour. */
  system: string;
  /** The repository's instructions and map; a second cache mark stands behind it. */
  repository?: string;
  /** The answer is about that part: it is never left out to make a prompt smaller. */
  needsRepository?: boolean;
  /** What changes from call to call. */
  task: string;
  /** The models and providers that the repository's text may go to (`models.allowed`); undefined where it says nothing. */
  allowedModels: readonly string[] | undefined;
}

export type ModelFailure =
  | "out-of-budget"
  | "out-of-time"
  | "out-of-turns"
  | "gave-up"
  | "refused"
  | "invalid-answer"
  | "context-overflow";

export type Answer<T> =
  | { kind: "answer"; value: T; usage: Usage }
  | { kind: ModelFailure; message: string; usage: Usage };

/** One tool of the agent, in the form that the provider's tool runner takes. Called one at a time. */
export interface Tool {
  name: string;
  description: string;
  input: ZodType;
  run(input: unknown, signal: AbortSignal): Promise<string>;
}

export interface WorkRequest {
  prompt: Prompt;
  /** File tools (read, write, edit, glob, grep) are confined to this directory; symlinks are resolved, `.git` is refused. */
  directory: string;
  /** Further tools. The names read, write, edit, glob, grep, delete and move are taken. */
  tools: Tool[];
  /**
   * A saved transcript to continue from: plain JSON, as `onTurn` gave it. The prompt's task is then not sent again. One that
   * ends in the model's final words gives `done` at once; to ask for more, append `{ role: "user", content }` to it.
   */
  transcript?: unknown[];
  budget: Budget;
  signal: AbortSignal;
  /** After every turn, with the whole transcript so far: the caller saves it together with the tree. */
  onTurn(turn: {
    transcript: unknown[];
    usage: Usage;
    text: string;
    toolCalls: { name: string; detail: string }[];
  }): Promise<void>;
  record: RecordCall;
}

export type WorkResult =
  | { kind: "done"; text: string; usage: Usage }
  | { kind: "unfinished"; usage: Usage }
  | { kind: ModelFailure; message: string; usage: Usage };

/** One call to a model as it is stored: who asked, which prompt, tokens, dollars, how long, how it ended. */
export interface CallRecord {
  provider: string;
  model: string;
  prompt: string;
  promptVersion: string;
  inputTokens: number;
  outputTokens: number;
  cacheReadTokens: number;
  cacheWriteTokens: number;
  costUsd: number;
  durationMs: number;
  ending: string;
}

export type RecordCall = (call: CallRecord) => Promise<void>;

/**
 * The model port. Transient faults (429, 529, 5xx, a cut stream) are thrown as `TransientModelError` with a pause in
 * seconds and do not use up an attempt, what the provider will never do (wrong credentials, an unknown model) as
 * `ModelRefusedError`; everything that is an answer of some kind is a value.
 */
export interface Model {
  readonly id: string;
  /** Prompt and answer together; longer conversations are pruned. */
  readonly contextWindowTokens: number;
  /** False when the model has no price of its own, so that costs are counted with the dearest price that is known. */
  readonly priceIsKnown?: boolean;
  /** What an operator should know: guesses that were made about a model that nobody has described. */
  readonly warnings?: readonly string[];
  /** How it does what it does, as far as it has shown: some servers say only when they are asked that they cannot. */
  abilities?(): { structuredOutput: string; tools: string; caching: string };
  object<T>(request: {
    prompt: Prompt;
    schema: ZodType<T>;
    budget: Budget;
    signal: AbortSignal;
    record: RecordCall;
  }): Promise<Answer<T>>;
  /**
   * Ends `unfinished` at `budget.deadline` between two turns, so that a slice can be continued, or `out-of-time` when not
   * one turn was possible. Throws the signal's reason when it is aborted.
   */
  work(request: WorkRequest): Promise<WorkResult>;
}

/** What people read of a fault that stays: our own words, because the provider's may name accounts and addresses. */
export interface ForPeople {
  reason: string;
  /** What to do next. */
  advice: string;
}

export class TransientModelError extends Error {
  override name = "TransientModelError";
  readonly retryAfterSeconds: number;
  readonly forPeople: ForPeople;
  constructor(message: string, retryAfterSeconds: number, forPeople: ForPeople, options?: { cause?: unknown }) {
    super(message, options);
    this.retryAfterSeconds = retryAfterSeconds;
    this.forPeople = forPeople;
  }
}

/** The provider will refuse this request however often it is sent. */
export class ModelRefusedError extends Error {
  override name = "ModelRefusedError";
  readonly permanent = true;
  readonly forPeople: ForPeople;
  constructor(message: string, forPeople: ForPeople, options?: { cause?: unknown }) {
    super(message, options);
    this.forPeople = forPeople;
  }
}
