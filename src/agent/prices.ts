import { z } from "zod";
import { OwnPrice } from "../config/models.ts";
import { findModel } from "./known-models.ts";

/** Dollars per million tokens. */
export interface Price {
  input: number;
  output: number;
  cacheRead: number;
  cacheWrite5m: number;
  cacheWrite1h: number;
  /** Prices of a whole request whose prompt (cache included) is longer than `aboveTokens`. */
  long?: { aboveTokens: number } & Omit<Price, "long">;
}

/** Tokens of one call, as the provider counts them: `inputTokens` are those that were neither read from nor written to the cache. */
export interface TokenCounts {
  inputTokens: number;
  outputTokens: number;
  cacheReadTokens: number;
  cacheWrite5mTokens: number;
  cacheWrite1hTokens: number;
}

/** The day on which the oldest part of the table was last compared with its source. */
export const pricesDate = "2026-11-21";

/**
 * Sources. Claude: https://platform.claude.com/docs/en/about-claude/pricing, section "Model pricing". OpenAI, looked up on
 * 2026-11-26: https://developers.openai.com/api/docs/pricing and the pages of the models. Of GPT-5.6 Sol and Terra the
 * prices before the discount that was promised until 2026-11-21.
 */
const table: Record<string, Price> = {
  "claude-fable-5-2": price(8, 40, 0.2),
  "claude-mythos-5-2": price(8, 40, 0.2),
  "claude-fable-5-1": price(10, 50, 0.25),
  "claude-mythos-5-1": price(10, 50, 0.25),
  "claude-fable-5": price(10, 50),
  "claude-mythos-5": price(10, 50),
  "claude-opus-5-5": price(4, 20, 0.2),
  "claude-opus-5": price(5, 25),
  "claude-opus-4-8": price(5, 25),
  "claude-opus-4-7": price(5, 25),
  "claude-opus-4-6": price(5, 25),
  "claude-opus-4-5": price(5, 25),
  "claude-opus-4-1": price(15, 75),
  "claude-opus-4": price(15, 75),
  "claude-sonnet-5-5": price(2, 10, 0.1),
  "claude-sonnet-5": price(2, 10),
  "claude-sonnet-4-6": price(3, 15),
  "claude-sonnet-4-5": price(3, 15),
  "claude-sonnet-4": price(3, 15),
  "claude-3-7-sonnet": price(3, 15),
  "claude-haiku-5-5": { ...price(0.1, 0.5), long: { aboveTokens: 100_000, ...price(0.5, 2.5) } },
  "claude-haiku-4-5": price(1, 5),
  "claude-3-5-haiku": price(0.8, 4),

  "gpt-6.2-astra": longer(price(8, 40)),
  "gpt-6.2-sol": longer(price(2, 10, 0.1)),
  "gpt-6.1-sol": longer(price(2, 10, 0.1)),
  "gpt-6.1-terra": longer(price(1, 5, 0.05)),
  "gpt-6-astra": longer(price(10, 50, 1)),
  "gpt-6-sol": longer(price(2, 10, 0.2)),
  "gpt-6-luna": longer(price(0.1, 0.5, 0.01)),
  "gpt-5.6-sol": longer(price(5, 30, 0.5)),
  "gpt-5.6-terra": longer(price(2.5, 15, 0.25)),
  "gpt-5.6-luna": longer(price(0.2, 1.2, 0.02)),
  "gpt-5.5": longer(price(5, 30)),
  "gpt-5.4": longer(price(2.5, 15, 0.25)),
  "gpt-5.4-mini": price(0.75, 4.5, 0.075),
  "gpt-5.2": price(1.75, 14),
  "gpt-5.1": price(1.25, 10, 0.125),
  "gpt-5": price(1.25, 10, 0.125),
  "gpt-5-mini": price(0.25, 2, 0.025),
  "gpt-5-nano": price(0.05, 0.4, 0.005),
  "gpt-4.1": price(2, 8, 0.5),
  "gpt-4.1-mini": price(0.4, 1.6, 0.1),
  "gpt-4.1-nano": price(0.1, 0.4, 0.025),
  "gpt-4o": price(2.5, 10, 1.25),
  "gpt-4o-mini": price(0.15, 0.6, 0.075),
};

/** The operator's own prices: a JSON object from a model's name to dollars per million tokens. */
export const PriceOverrides = z.record(z.string().min(1), OwnPrice);
export type PriceOverrides = z.infer<typeof PriceOverrides>;

/** Reads a JSON file's text. Throws an error that names the source, the path, the rule and the value. */
export function parsePriceOverrides(json: string, source: string): PriceOverrides {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch (error) {
    throw new Error(`Cannot read the prices in ${source}: not JSON (${(error as Error).message})`);
  }
  const parsed = PriceOverrides.safeParse(value);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0]!;
  throw new Error(`Cannot read the prices in ${source}: ${issue.path.join(".") || "(top level)"}: ${issue.message}`);
}

/**
 * The price of a model, from the operator's overrides, else from the table. A model of neither is charged the dearest price
 * in the table, so that a budget ends too early rather than too late; `known` is then false.
 */
export function priceOf(model: string, overrides: PriceOverrides = {}): { price: Price; known: boolean } {
  const own = findModel(overrides, model);
  if (own !== undefined) {
    const { input, output, ...cache } = overrides[own]!;
    return { price: { ...price(input, output), ...defined(cache) }, known: true };
  }
  const name = findModel(table, model);
  return name === undefined ? { price: dearest(), known: false } : { price: table[name]!, known: true };
}

/** Dollars of one call. `known` is false when the model has no price of its own. */
export function costOf(
  counts: TokenCounts,
  model: string,
  overrides?: PriceOverrides,
): { usd: number; known: boolean } {
  const { price, known } = priceOf(model, overrides);
  return { usd: dollarsOf(counts, price), known };
}

export function dollarsOf(counts: TokenCounts, price: Price): number {
  const prompt = counts.inputTokens + counts.cacheReadTokens + counts.cacheWrite5mTokens + counts.cacheWrite1hTokens;
  const rate = price.long !== undefined && prompt > price.long.aboveTokens ? price.long : price;
  const perMillion =
    counts.inputTokens * rate.input +
    counts.outputTokens * rate.output +
    counts.cacheReadTokens * rate.cacheRead +
    counts.cacheWrite5mTokens * rate.cacheWrite5m +
    counts.cacheWrite1hTokens * rate.cacheWrite1h;
  return perMillion / 1_000_000;
}

/** Cache writes cost 1.25 times (5 minutes) and twice (1 hour) the input, reads a tenth unless stated. */
function price(input: number, output: number, cacheRead = input / 10): Price {
  return { input, output, cacheRead, cacheWrite5m: input * 1.25, cacheWrite1h: input * 2 };
}

/** Of prompts with more than 272,000 tokens, prompt and cache cost twice as much, and the answer half as much again. */
function longer(short: Price): Price {
  const { input, output, cacheRead, cacheWrite5m, cacheWrite1h } = short;
  const twice = { input: 2 * input, cacheRead: 2 * cacheRead, cacheWrite5m: 2 * cacheWrite5m };
  return {
    ...short,
    long: { aboveTokens: 272_000, ...twice, cacheWrite1h: 2 * cacheWrite1h, output: 1.5 * output },
  };
}

function dearest(): Price {
  return Object.values(table).reduce((most, next) =>
    next.input + next.output > most.input + most.output ? next : most,
  );
}

function defined<T extends object>(value: T): { [K in keyof T]-?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(value).filter(([, entry]) => entry !== undefined)) as never;
}
