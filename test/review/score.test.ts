import { describe, expect, it } from "vitest";
import type { ReviewerScores } from "../../src/review/finding.ts";
import { combineScores } from "../../src/review/score.ts";

const none: ReviewerScores = {
  correctness: null,
  security: null,
  performance: null,
  maintainability: null,
  tests: null,
  documentation: null,
  overall: null,
};
const part = (scores: Partial<ReviewerScores>, weight = 1) => ({ scores: { ...none, ...scores }, weight });
const whole = { shown: [], cutByBudget: false };

describe("combineScores", () => {
  it("says where nobody looked", () => {
    expect(combineScores([], whole)).toEqual(Object.fromEntries(Object.keys(none).map((name) => [name, "not-scored"])));
    expect(combineScores([part({ security: 8, overall: 9 })], whole)).toMatchObject({
      security: 8,
      tests: "not-scored",
      overall: 9,
    });
  });

  it("is as good as the weakest part in correctness and security, and the mean by weight in everything else", () => {
    const parts = [
      part({ correctness: 9, security: 9, tests: 8, documentation: 9 }, 3),
      part({ correctness: 4, security: 7, tests: 4, documentation: 8 }, 1),
    ];
    expect(combineScores(parts, whole)).toMatchObject({ correctness: 4, security: 7, tests: 7, documentation: 8 });
  });

  it("gives no overall above the lower of correctness and security by more than two", () => {
    expect(combineScores([part({ correctness: 9, security: 3, overall: 9 })], whole).overall).toBe(5);
    expect(combineScores([part({ correctness: 2, overall: 9 })], whole).overall).toBe(4);
    expect(combineScores([part({ correctness: 10, security: 10, overall: 10 })], whole).overall).toBe(10);
  });

  it("makes an overall of the others where no reviewer gave one", () => {
    expect(combineScores([part({ correctness: 8, security: 9, tests: 5 })], whole).overall).toBe(7);
  });

  it("gives no overall when neither correctness nor security was scored", () => {
    expect(combineScores([part({ documentation: 9, overall: 9 })], whole)).toMatchObject({
      documentation: 9,
      overall: "not-scored",
    });
  });

  it("gives no overall to a run that was cut by its budget", () => {
    expect(
      combineScores([part({ correctness: 9, security: 9, overall: 9 })], { shown: [], cutByBudget: true }),
    ).toMatchObject({
      correctness: 9,
      overall: "not-scored",
    });
  });

  it("does not praise what a finding that is shown contradicts", () => {
    const shown = [
      { category: "security", severity: "critical" },
      { category: "architecture", severity: "major" },
    ] as const;
    const scores = combineScores([part({ correctness: 9, security: 9, maintainability: 9, tests: 9, overall: 9 })], {
      shown,
      cutByBudget: false,
    });
    expect(scores).toMatchObject({ correctness: 9, security: 3, maintainability: 6, tests: 9, overall: 5 });
  });

  it("counts a part without weight", () => {
    expect(combineScores([part({ tests: 8 }, 0), part({ tests: 6 }, 0)], whole).tests).toBe(7);
  });
});
