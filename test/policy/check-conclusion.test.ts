import { expect, test } from "vitest";
import { countsAsFailed, countsAsPassed, workflowRunIn } from "../../src/policy/check-conclusion.ts";

test.each([
  ["failure", true, false],
  ["error", true, false],
  ["timed_out", true, false],
  ["startup_failure", true, false],
  ["success", false, true],
  ["neutral", false, true],
  ["skipped", false, false],
  ["cancelled", false, false],
  ["action_required", false, false],
  ["stale", false, false],
  ["pending", false, false],
  [null, false, false],
])("countsAsFailed and countsAsPassed say of %s: %s, %s", (conclusion, failed, passed) => {
  expect([countsAsFailed(conclusion), countsAsPassed(conclusion)]).toEqual([failed, passed]);
});

test.each([
  ["https://github.com/acme/shop/actions/runs/123/job/456", 123],
  ["https://github.com/acme/shop/actions/runs/123/job/456?pr=7", 123],
  ["https://ci.example.com/builds/123", undefined],
  ["https://github.com/acme/shop/actions/runs/123", undefined],
  [null, undefined],
])("workflowRunIn reads %s", (url, run) => {
  expect(workflowRunIn(url)).toBe(run);
});
