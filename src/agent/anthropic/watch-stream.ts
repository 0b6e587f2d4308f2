import { estimateTokens } from "../../policy/tokens.ts";

/** What the SDK's two kinds of message streams have in common. */
interface Stream {
  on(event: "streamEvent", listener: (event: unknown) => void): unknown;
}

/** What is known of a stream beside the message that the SDK makes of it. */
export interface Watched {
  /** What the stream said about its cost so far; undefined before the message has begun. */
  usage(): Record<string, unknown> | undefined;
  /** Tokens of what came so far, by our own estimate: only the end of a stream says what all of it cost. */
  outputTokens(): number;
  /** Why the arguments of a tool call cannot be used, once the stream has ended. */
  problem(): string | undefined;
}

/**
 * Keeps the arguments of tool calls as they were sent. The SDK completes JSON that ends too early without a word, and half
 * of an edit must never be taken for a whole one.
 */
export function watchStream(stream: Stream): Watched {
  const json = new Map<number, string[]>();
  let usage: Record<string, unknown> | undefined;
  let tokens = 0;
  stream.on("streamEvent", (given) => {
    const event = (given ?? {}) as Event;
    if (event.type === "message_start") usage = { ...event.message?.usage };
    if (event.type === "message_delta" && usage !== undefined) usage = { ...usage, ...event.usage };
    if (event.type !== "content_block_delta" || typeof event.delta !== "object" || event.delta === null) return;
    const { text, thinking, partial_json: part } = event.delta;
    for (const one of [text, thinking, part]) if (typeof one === "string") tokens += estimateTokens(one);
    if (typeof part !== "string" || typeof event.index !== "number") return;
    const parts = json.get(event.index);
    if (parts === undefined) json.set(event.index, [part]);
    else parts.push(part);
  });
  return {
    usage: () => usage,
    outputTokens: () => tokens,
    problem: () =>
      Array.from(json.values(), (parts) => problemOf(parts.join(""))).find((problem) => problem !== undefined),
  };
}

/** As far as it is looked at; a server may send anything. */
interface Event {
  type?: unknown;
  index?: unknown;
  message?: { usage?: object } | null;
  usage?: object | null;
  delta?: { text?: unknown; thinking?: unknown; partial_json?: unknown } | null;
}

/** A call without arguments sends no JSON at all. */
function problemOf(json: string): string | undefined {
  if (json === "") return undefined;
  try {
    JSON.parse(json);
    return undefined;
  } catch (error) {
    return `the arguments of a tool call are not JSON (${(error as Error).message.slice(0, 200)})`;
  }
}
