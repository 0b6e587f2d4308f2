import type { BetaCacheControlEphemeral, BetaTextBlockParam } from "@anthropic-ai/sdk/resources/beta/messages/messages";
import { blocksOf, type Turn } from "../loop/transcript.ts";
import type { Prompt } from "../model.ts";
import type { AnthropicConfig } from "./config.ts";

/** Our own text first, cached for an hour; then what belongs to the repository, cached for five minutes. */
export function systemBlocks(prompt: Prompt, withRepository = true): BetaTextBlockParam[] {
  const blocks: BetaTextBlockParam[] = [
    { type: "text", text: prompt.system, cache_control: { type: "ephemeral", ttl: "1h" } },
  ];
  if (withRepository && prompt.repository !== undefined && prompt.repository !== "") {
    blocks.push({ type: "text", text: prompt.repository, cache_control: { type: "ephemeral" } });
  }
  return blocks;
}

/**
 * Marks the end of the conversation for the cache, so that the next turn reads it from there. The API places the mark by
 * itself; Bedrock and Vertex take only marks on blocks, so it is put on a copy of the last one.
 */
export function markLast(
  config: AnthropicConfig,
  messages: Turn[],
): { messages: Turn[]; cache_control?: BetaCacheControlEphemeral } {
  if (config.provider === "anthropic") return { messages, cache_control: { type: "ephemeral" } };
  const last = messages.at(-1);
  if (last === undefined) return { messages };
  const blocks = blocksOf(last);
  const end = blocks.at(-1);
  if (end === undefined || (end.type !== "text" && end.type !== "tool_result")) return { messages };
  const marked = { ...end, cache_control: { type: "ephemeral" as const } };
  return { messages: [...messages.slice(0, -1), { ...last, content: [...blocks.slice(0, -1), marked] }] };
}

/** Longest answer that is asked for in one piece; longer ones are streamed, so that a stall is noticed and no time-out cuts them. */
const longestUnstreamedTokens = 8_000;

export function isStreamed(maxTokens: number): boolean {
  return maxTokens > longestUnstreamedTokens;
}
