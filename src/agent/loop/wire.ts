import type { BetaRunnableTool } from "@anthropic-ai/sdk/lib/tools/BetaRunnableTool";
import type { Prompt } from "../model.ts";
import type { Fault } from "./faults.ts";
import type { Turn } from "./transcript.ts";

/** One request to a model, in the words that all providers share; a wire puts it into those of its protocol. */
export interface WireRequest {
  prompt: Prompt;
  /** Whether the repository's part of the prompt is sent. */
  withRepository: boolean;
  messages: Turn[];
  tools?: BetaRunnableTool[] | undefined;
  /** JSON Schema of the answer, closed and without limits of length. */
  schema?: JsonSchema | undefined;
  maxTokens: number;
}

export type JsonSchema = Record<string, unknown>;

/**
 * What is used of an answer. Conversations are kept in the blocks of the Messages protocol, whoever answered: so one loop
 * serves all providers, and another one can go on with a conversation.
 */
export interface Reply {
  content: ReplyBlock[];
  stop_reason: string | null;
  stop_details?: { category?: string | null } | null;
  /** Figures by the names of the Messages protocol. */
  usage: object | null | undefined;
}

/** Text, or the call of a tool; what else a provider sends is kept as it is. */
export interface ReplyBlock {
  type: string;
  text?: string;
  id?: string;
  name?: string;
  input?: unknown;
}

/** A call under way; of one that is streamed, what has come so far. */
export interface Attempt {
  watched?: Watched;
}

/** What is known of a stream beside the message that is made of it. */
export interface Watched {
  /** What the stream said about its cost so far; undefined before the message has begun. */
  usage(): object | undefined;
  /** Tokens of what came so far, by our own estimate: only the end of a stream says what all of it cost. */
  outputTokens(): number;
  /** Why the arguments of a tool call cannot be used, once the stream has ended. */
  problem(): string | undefined;
}

/** One protocol to one provider. It sends, and neither retries nor decides. */
export interface Wire {
  /** Throws what the provider's SDK throws, which `sortFault` sorts. */
  send(request: WireRequest, signal: AbortSignal, attempt: Attempt): Promise<Reply>;
  /** The prompt's tokens as the provider counts them; undefined where it cannot count. Throws the signal's reason only. */
  countTokens(request: Omit<WireRequest, "maxTokens">, signal: AbortSignal): Promise<number | undefined>;
  /** Whether answers are held to a schema, and tools are called, by the provider; in words otherwise. */
  abilities(): { structuredOutput: boolean; tools: boolean };
  sortFault(error: unknown, redact: (text: string) => string): Fault;
}
