import type { BetaUsage } from "@anthropic-ai/sdk/resources/beta/messages/messages";
import type { TokenCounts } from "../prices.ts";

type ReportedUsage = Pick<BetaUsage, "input_tokens" | "output_tokens"> &
  Partial<Pick<BetaUsage, "cache_read_input_tokens" | "cache_creation_input_tokens" | "cache_creation">>;

/** The provider's figures. Cache writes whose lifetime is not said count as the dearer ones of an hour. */
export function countsOf(usage: ReportedUsage): TokenCounts {
  const written = usage.cache_creation_input_tokens ?? 0;
  const fiveMinutes = usage.cache_creation?.ephemeral_5m_input_tokens ?? 0;
  return {
    inputTokens: usage.input_tokens ?? 0,
    outputTokens: usage.output_tokens ?? 0,
    cacheReadTokens: usage.cache_read_input_tokens ?? 0,
    cacheWrite5mTokens: fiveMinutes,
    cacheWrite1hTokens: Math.max(0, written - fiveMinutes),
  };
}

/** Tokens of the prompt, wherever they came from. */
export function promptTokens(counts: TokenCounts): number {
  return counts.inputTokens + counts.cacheReadTokens + counts.cacheWrite5mTokens + counts.cacheWrite1hTokens;
}
