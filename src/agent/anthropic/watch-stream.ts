import { estimateTokens } from "../../policy/tokens.ts";
import { argumentsProblem } from "../loop/transcript.ts";
import type { Watched } from "../loop/wire.ts";

/** What the SDK's two kinds of message streams have in common. */
interface Stream {
  on(event: "streamEvent", listener: (event: unknown) => void): unknown;
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
      Array.from(json.values(), (parts) => argumentsProblem(parts.join(""))).find((problem) => problem !== undefined),
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
