import { type Dimension, dimensions, type Finding, type ReviewerScores } from "./finding.ts";

/** One set of scores for the whole change; `not-scored` where nobody looked (R5). */
export type Scores = Record<Dimension | "overall", number | "not-scored">;

/** A reviewer's scores for one group of files, and how much it looked at (changed lines, or tokens). */
export interface ScoredPart {
  scores: ReviewerScores;
  weight: number;
}

/** An overall score may be at most this much above correctness and security. */
const slack = 2;

/** No dimension can be better than what was found in it. */
const ceilings = { critical: 3, major: 6, minor: 9, nit: 10 } as const;

/**
 * Correctness and security are as good as their weakest part, everything else is the mean by weight, rounded down. A finding
 * that is shown caps the score of its own category. Overall is at most two above correctness and security, and is not
 * given when the budget ended the review or nobody scored either of the two.
 */
export function combineScores(
  parts: readonly ScoredPart[],
  { shown, cutByBudget }: { shown: readonly Pick<Finding, "category" | "severity">[]; cutByBudget: boolean },
): Scores {
  const of = (name: Dimension | "overall") =>
    parts.flatMap(({ scores, weight }) => {
      const score = scores[name];
      return score === null ? [] : [{ score, weight: Math.max(weight, 1) }];
    });
  const scores = Object.fromEntries(
    dimensions.map((name) => {
      const given = of(name);
      if (given.length === 0) return [name, "not-scored"];
      const combined = name === "correctness" || name === "security" ? lowest(given) : mean(given);
      const caps = shown
        .filter(({ category }) => dimensionOf(category) === name)
        .map(({ severity }) => ceilings[severity]);
      return [name, Math.min(combined, ...caps)];
    }),
  ) as Record<Dimension, number | "not-scored">;
  const numbers = Object.values(scores).filter((score) => score !== "not-scored");
  const base = [scores.correctness, scores.security].filter((score) => score !== "not-scored");
  if (cutByBudget || base.length === 0) return { ...scores, overall: "not-scored" };
  const given = of("overall");
  const overall =
    given.length > 0 ? mean(given) : Math.floor(numbers.reduce((sum, score) => sum + score, 0) / numbers.length);
  return { ...scores, overall: Math.min(overall, ...base.map((score) => Math.min(10, score + slack))) };
}

function dimensionOf(category: Finding["category"]): Dimension {
  return category === "architecture" ? "maintainability" : category;
}

function lowest(given: readonly { score: number }[]): number {
  return Math.min(...given.map(({ score }) => score));
}

function mean(given: readonly { score: number; weight: number }[]): number {
  const weight = given.reduce((sum, one) => sum + one.weight, 0);
  return Math.floor(given.reduce((sum, one) => sum + one.score * one.weight, 0) / weight + 1e-9);
}
