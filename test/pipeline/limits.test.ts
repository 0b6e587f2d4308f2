import { describe, expect, test } from "vitest";
import { backoffSecondsBefore, limitsOf, pauseSecondsInTrouble } from "../../src/pipeline/limits.ts";
import { steps } from "../../src/pipeline/steps/index.ts";

/** An invocation on AWS Lambda has 15 minutes: https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html */
const longestStepMinutes = 10;

describe("limitsOf", () => {
  test("limitsOf gives every step at most ten minutes, so that it fits into an invocation with room to spare", () => {
    const names = Object.keys(steps);
    expect(names).toContain("run-checks");
    for (const name of [...names, "a step that nobody knows"]) {
      expect(limitsOf(name).minutes, name).toBeLessThanOrEqual(longestStepMinutes);
      expect(limitsOf(name).minutes, name).toBeGreaterThan(0);
    }
  });

  test("backoffSecondsBefore doubles from attempt to attempt, up to a minute", () => {
    expect([2, 3, 4, 20].map((attempt) => backoffSecondsBefore("analyse-issue", attempt))).toEqual([5, 10, 20, 60]);
  });

  test("pauseSecondsInTrouble never answers less than a second or more than ten minutes", () => {
    expect(pauseSecondsInTrouble(0, 0)).toBe(1);
    expect(pauseSecondsInTrouble(86_400, 0)).toBe(600);
    expect(pauseSecondsInTrouble(0, 30)).toBe(30);
  });
});
