import type { Budget, ModelFailure, Usage } from "../model.ts";
import { dollarsOf, type Price, type TokenCounts } from "../prices.ts";

/** Fewer output tokens than this are not worth a call. */
const leastOutputTokens = 2_048;

export type Allowance =
  | { kind: "go"; maxTokens: number; lowered: boolean }
  | { kind: Extract<ModelFailure, "out-of-budget" | "out-of-turns">; message: string };

/** What the calls of one piece of work have used, and whether the next one fits into the budget. */
export class Ledger {
  readonly #budget: Budget;
  readonly #price: Price;
  readonly #maxOutputTokens: number;
  #usage: Usage = { calls: 0, inputTokens: 0, outputTokens: 0, cacheReadTokens: 0, cacheWriteTokens: 0, costUsd: 0 };

  constructor(budget: Budget, price: Price, maxOutputTokens: number) {
    this.#budget = budget;
    this.#price = price;
    this.#maxOutputTokens = maxOutputTokens;
  }

  get usage(): Usage {
    return { ...this.#usage };
  }

  /** Adds a call; returns its dollars. */
  add(counts: TokenCounts): number {
    const costUsd = dollarsOf(counts, this.#price);
    this.#usage = {
      calls: this.#usage.calls + 1,
      inputTokens: this.#usage.inputTokens + counts.inputTokens,
      outputTokens: this.#usage.outputTokens + counts.outputTokens,
      cacheReadTokens: this.#usage.cacheReadTokens + counts.cacheReadTokens,
      cacheWriteTokens: this.#usage.cacheWriteTokens + counts.cacheWrite5mTokens + counts.cacheWrite1hTokens,
      costUsd: this.#usage.costUsd + costUsd,
    };
    return costUsd;
  }

  /**
   * Whether a prompt of so many tokens may be sent, and how long its answer may be. It is conservative: nothing is read
   * from the cache, what is new is written to it for an hour, and the answer has its full length. So a budget is never
   * exceeded by a call whose tokens were estimated high enough.
   */
  allow(prompt: { knownTokens: number; newTokens: number }): Allowance {
    const budget = this.#budget;
    const used = this.#usage;
    if (used.calls >= budget.turns)
      return { kind: "out-of-turns", message: `The limit of ${budget.turns} requests to the model is reached` };
    const promptTokens = prompt.knownTokens + prompt.newTokens;
    const inputLeft = budget.inputTokens - used.inputTokens - used.cacheReadTokens - used.cacheWriteTokens;
    if (promptTokens > inputLeft)
      return outOfBudget(`about ${promptTokens} input tokens are needed, ${Math.max(0, inputLeft)} are left`);
    const outputLeft = budget.outputTokens - used.outputTokens;
    const costLeft = budget.costUsd - used.costUsd;
    const counts: TokenCounts = {
      inputTokens: prompt.knownTokens,
      outputTokens: 0,
      cacheReadTokens: 0,
      cacheWrite5mTokens: 0,
      cacheWrite1hTokens: prompt.newTokens,
    };
    const promptUsd = dollarsOf(counts, this.#price);
    const outputPrice = dollarsOf({ ...counts, outputTokens: 1_000_000 }, this.#price) - promptUsd;
    const affordable =
      outputPrice === 0
        ? costLeft < 0
          ? 0
          : Number.POSITIVE_INFINITY
        : Math.floor(((costLeft - promptUsd) / outputPrice) * 1_000_000);
    const least = Math.min(leastOutputTokens, this.#maxOutputTokens);
    if (outputLeft < least) return outOfBudget(`${Math.max(0, outputLeft)} output tokens are left`);
    if (affordable < least)
      return outOfBudget(
        `the next request may cost $${(promptUsd + (outputPrice * least) / 1_000_000).toFixed(4)}, $${Math.max(0, costLeft).toFixed(4)} is left`,
      );
    const maxTokens = Math.min(this.#maxOutputTokens, outputLeft, affordable);
    return { kind: "go", maxTokens, lowered: maxTokens < this.#maxOutputTokens };
  }
}

function outOfBudget(reason: string): Allowance {
  return { kind: "out-of-budget", message: `The budget does not allow another request: ${reason}` };
}
