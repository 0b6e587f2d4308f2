import type { CallRecord } from "../model.ts";
import { dollarsOf, type Price, type TokenCounts } from "../prices.ts";

/** More than any request can have: a figure beyond it is a mistake of the server and must not break the sums. */
const mostTokens = 1_000_000_000;

/**
 * The provider's figures. What a server leaves out or says in a way that cannot be true is replaced by our own estimate,
 * which is rather too high: a budget must not grow by a negative figure. Cache writes whose lifetime is not said count as
 * the dearer ones of an hour.
 */
export function countsOf(usage: unknown, estimate: { promptTokens: number; outputTokens: number }): TokenCounts {
  const reported = fieldsOf(usage);
  const written = figure(reported["cache_creation_input_tokens"]) ?? 0;
  const fiveMinutes = figure(fieldsOf(reported["cache_creation"])["ephemeral_5m_input_tokens"]) ?? 0;
  const read = figure(reported["cache_read_input_tokens"]) ?? 0;
  return {
    inputTokens: figure(reported["input_tokens"]) ?? Math.max(0, estimate.promptTokens - read - written),
    outputTokens: figure(reported["output_tokens"]) ?? estimate.outputTokens,
    cacheReadTokens: read,
    cacheWrite5mTokens: fiveMinutes,
    cacheWrite1hTokens: Math.max(0, written - fiveMinutes),
  };
}

/** Tokens of the prompt, wherever they came from. */
export function promptTokens(counts: TokenCounts): number {
  return counts.inputTokens + counts.cacheReadTokens + counts.cacheWrite5mTokens + counts.cacheWrite1hTokens;
}

/** A call as it is stored: who was asked with which prompt, what it took, and how it ended. */
export function callRecord(
  call: {
    provider: string;
    model: string;
    prompt: { name: string; version: string };
    price: Price;
    startedAt: number;
    ending: string;
  },
  counts: TokenCounts,
): CallRecord {
  const { provider, model, prompt, price, startedAt, ending } = call;
  return {
    provider,
    model,
    prompt: prompt.name,
    promptVersion: prompt.version,
    inputTokens: counts.inputTokens,
    outputTokens: counts.outputTokens,
    cacheReadTokens: counts.cacheReadTokens,
    cacheWriteTokens: counts.cacheWrite5mTokens + counts.cacheWrite1hTokens,
    costUsd: dollarsOf(counts, price),
    durationMs: Date.now() - startedAt,
    ending,
  };
}

function fieldsOf(value: unknown): Record<string, unknown> {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
}

function figure(value: unknown): number | undefined {
  if (typeof value !== "number" || !Number.isFinite(value) || value < 0) return undefined;
  return Math.min(mostTokens, Math.ceil(value));
}
