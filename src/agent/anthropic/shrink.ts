import type {
  BetaContentBlockParam,
  BetaToolResultBlockParam,
  BetaToolUseBlockParam,
} from "@anthropic-ai/sdk/resources/beta/messages/messages";
import { estimateJsonTokens } from "../tokens.ts";
import { blocksOf, callDetail, type Turn } from "./transcript.ts";

/** The last messages are left whole: they are what the model is at. */
const untouchedMessages = 6;

/** Shorter results and arguments stay: a stub would hardly be smaller. */
const shortCharacters = 400;

/**
 * The conversation with its oldest tool results, then its oldest long tool arguments, replaced by stubs until it is estimated
 * at no more than `targetTokens`; undefined when that is not enough. The first prompt and the last turns stay as they
 * are. The same input gives the same output. Thinking is dropped, because the provider accepts it only in the very
 * conversation in which it was thought.
 */
export function shrink(messages: readonly Turn[], targetTokens: number): Turn[] | undefined {
  const shrunk = withoutThinking(messages);
  const calls = new Map(
    shrunk.flatMap(blocksOf).flatMap((block) => (block.type === "tool_use" ? [[block.id, block] as const] : [])),
  );
  let tokens = estimateJsonTokens(shrunk);
  const stubs = [
    (block: BetaContentBlockParam) =>
      block.type === "tool_result" ? stubResult(block, calls.get(block.tool_use_id)) : block,
    (block: BetaContentBlockParam) => (block.type === "tool_use" ? stubArguments(block) : block),
  ];
  for (const stub of stubs) {
    for (let at = 1; at < shrunk.length - untouchedMessages && tokens > targetTokens; at += 1) {
      const message = shrunk[at]!;
      if (typeof message.content === "string") continue;
      const smaller = { ...message, content: message.content.map(stub) };
      tokens -= estimateJsonTokens(message) - estimateJsonTokens(smaller);
      shrunk[at] = smaller;
    }
  }
  return tokens <= targetTokens ? shrunk : undefined;
}

/** The conversation without thinking blocks; messages of nothing else are left out. */
export function withoutThinking(messages: readonly Turn[]): Turn[] {
  return messages.flatMap((message) => {
    if (message.role !== "assistant" || typeof message.content === "string") return [message];
    const content = message.content.filter((block) => block.type !== "thinking" && block.type !== "redacted_thinking");
    return content.length === 0 ? [] : [{ ...message, content }];
  });
}

function stubResult(
  result: BetaToolResultBlockParam,
  call: BetaToolUseBlockParam | undefined,
): BetaToolResultBlockParam {
  const length =
    typeof result.content === "string" ? result.content.length : JSON.stringify(result.content ?? "").length;
  if (length <= shortCharacters) return result;
  const name = call === undefined ? "a tool" : callDetail(call.name, call.input);
  return {
    ...result,
    content: `[Result of ${name} removed to save room: ${length} characters. Call it again if you need it.]`,
  };
}

function stubArguments(call: BetaToolUseBlockParam): BetaToolUseBlockParam {
  const input = Object.fromEntries(
    Object.entries((call.input ?? {}) as Record<string, unknown>).map(([name, value]) => {
      const length = typeof value === "string" ? value.length : JSON.stringify(value ?? null).length;
      return [name, length <= shortCharacters ? value : `[${length} characters removed to save room]`];
    }),
  );
  return { ...call, input };
}
