import { expect, test } from "vitest";
import { leftOf } from "../../src/status/view.ts";
import type { Spent, StepRow } from "../../src/store/store.ts";

const limits = {
  run: { usd: 5, tokens: 2_000_000, minutes: 60, turns: 100, attempts: 3 },
  repositoryDay: { usd: 50, runs: 100 },
  accountDay: { usd: 100, runs: 200 },
  day: { usd: 200 },
  subjectDayRuns: 10,
};
const usage = {
  calls: 2,
  inputTokens: 1_000,
  outputTokens: 500,
  cacheReadTokens: 300,
  cacheWriteTokens: 200,
  costUsd: 2,
};
const spent = {
  run: usage,
  repositoryDay: { ...usage, runs: 4 },
  accountDay: { ...usage, runs: 4 },
  day: { ...usage, runs: 4 },
  subjectDayRuns: 1,
} as Spent;

const step = (name: string, output?: unknown): StepRow => ({
  path: `${name}#1`,
  name,
  attempt: 1,
  status: "done",
  startedAt: "2030-01-01T00:00:00.000Z",
  endedAt: "2030-01-01T00:10:00.000Z",
  output,
});

test("leftOf subtracts what was spent from the operator's limits", () => {
  expect(leftOf(spent, limits, [step("run-checks")])).toEqual({
    runUsd: 3,
    runTokens: 1_998_000,
    runMinutes: 50,
    runAttempts: 2,
    repositoryDayUsd: 48,
    accountDayUsd: 98,
    dayUsd: 198,
    repositoryDayRuns: 96,
  });
});

test("leftOf counts by the repository's own limits where they are lower, and never below zero", () => {
  const pinned = { maxAttempts: 1, limits: { costUsd: 1, dayCostUsd: 2.5, tokens: 5_000, minutes: 90 } };
  expect(leftOf(spent, limits, [step("read-repository", pinned), step("run-checks")])).toMatchObject({
    runUsd: 0,
    runTokens: 3_000,
    runMinutes: 40,
    runAttempts: 0,
    repositoryDayUsd: 0.5,
  });
});
