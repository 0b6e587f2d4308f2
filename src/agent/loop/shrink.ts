import type {
  BetaContentBlockParam,
  BetaToolResultBlockParam,
  BetaToolUseBlockParam,
} from "@anthropic-ai/sdk/resources/beta/messages/messages";
import { estimateJsonTokens } from "../../policy/tokens.ts";
import { blocksOf, callDetail, type Turn } from "./transcript.ts";

/** The last messages are left whole where that is possible: they are what the model is at. */
const usuallyUntouchedMessages = 6;

/** Shorter results and arguments stay: a stub would hardly be smaller. */
const shortCharacters = 400;

/**
 * The conversation with its oldest tool results, then its oldest long tool arguments, replaced by stubs until it is estimated
 * at no more than `targetTokens`; undefined when that is not enough. The first prompt and the last `untouchedMessages`
 * stay as they are. The same input gives the same output. Thinking is dropped, because the provider accepts it only in
 * the very conversation in which it was thought.
 */
export function shrink(
  messages: readonly Turn[],
  targetTokens: number,
  untouchedMessages = usuallyUntouchedMessages,
): Turn[] | undefined {
  const { shrunk, tokens } = squeeze(messages, targetTokens, untouchedMessages);
  return tokens <= targetTokens ? shrunk : undefined;
}

/** The conversation with every long result and argument replaced by a stub. */
export function shrunkMost(messages: readonly Turn[]): Turn[] {
  return squeeze(messages, 0, 0).shrunk;
}

function squeeze(messages: readonly Turn[], targetTokens: number, untouchedMessages: number) {
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
      const content = [...message.content];
      for (let part = 0; part < content.length && tokens > targetTokens; part += 1) {
        const whole = content[part]!;
        content[part] = stub(whole);
        tokens -= estimateJsonTokens(whole) - estimateJsonTokens(content[part]);
      }
      shrunk[at] = { ...message, content };
    }
  }
  return { shrunk, tokens };
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
