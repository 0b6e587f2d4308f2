import { expect, test } from "vitest";
import { answerSchema } from "../../src/agent/loop/answer-schema.ts";
import { Analysis } from "../../src/agent/schemas.ts";
import { ReviewerAnswer } from "../../src/review/finding.ts";

/** Counts what the provider limits: https://platform.claude.com/docs/en/build-with-claude/structured-outputs */
function measure(schema: unknown, count = { optional: 0, unions: 0, refs: 0, open: 0 }) {
  if (Array.isArray(schema)) for (const item of schema) measure(item, count);
  else if (typeof schema === "object" && schema !== null) {
    const node = schema as Record<string, unknown>;
    if (node.type === "object") {
      const required = new Set((node.required as string[] | undefined) ?? []);
      count.optional += Object.keys(node.properties as object).filter((key) => !required.has(key)).length;
      if (node.additionalProperties !== false) count.open += 1;
    }
    if ("anyOf" in node || Array.isArray(node.type)) count.unions += 1;
    if ("$ref" in node) count.refs += 1;
    for (const value of Object.values(node)) measure(value, count);
  }
  return count;
}

test("Analysis and ReviewerAnswer stay within the limits of structured output", () => {
  expect(measure(answerSchema(Analysis))).toMatchObject({ optional: 2, unions: 0, open: 0 });
  // At most 24 optional parameters and 16 unions are allowed; a score may be null.
  expect(measure(answerSchema(ReviewerAnswer))).toMatchObject({ optional: 3, unions: 7, open: 0 });
});

test("Analysis refuses what the provider does not check", () => {
  const analysis = {
    summary: "s",
    acceptanceCriteria: [],
    relevantFiles: [],
    plan: [],
    commitType: "fix",
    title: "t",
    size: "small",
    risk: "low",
    riskReason: "r",
    openQuestions: [],
    doable: "yes",
  };
  expect(Analysis.safeParse(analysis).success).toBe(true);
  expect(Analysis.safeParse({ ...analysis, commitType: "feature" }).success).toBe(false);
  expect(Analysis.safeParse({ ...analysis, openQuestions: ["1", "2", "3", "4", "5", "6"] }).success).toBe(false);
  expect(Analysis.safeParse({ ...analysis, title: "" }).success).toBe(false);
});
