import { expect, test } from "vitest";
import { z } from "zod";
import { answerSchema, strictSchema, withoutNulls } from "../../../src/agent/loop/answer-schema.ts";
import { Analysis } from "../../../src/agent/schemas.ts";
import { ReviewerAnswer } from "../../../src/review/finding.ts";

const Inner = z.object({ path: z.string().max(9), line: z.number().optional() });
const Schema = z.object({
  name: z.string(),
  kind: z.enum(["a", "b"]).optional(),
  parts: z.array(Inner),
  gone: z.string().nullable(),
});

test("answerSchema keeps what is said of every property, optional and shared ones too", () => {
  const line = z.string().max(9);
  const described = z.object({
    a: line.meta({ description: "First." }),
    b: line.optional().meta({ description: "Second." }),
  });
  expect(answerSchema(described).properties).toEqual({
    a: { type: "string", description: "First.\n\n{maxLength: 9}" },
    b: { type: "string", description: "Second.\n\n{maxLength: 9}" },
  });
  for (const schema of [Analysis, ReviewerAnswer]) {
    const words = [...JSON.stringify(z.toJSONSchema(schema)).matchAll(/"description":("(?:[^"\\]|\\.)*")/g)];
    const told = JSON.stringify(answerSchema(schema));
    expect(words.length).toBeGreaterThan(8);
    for (const [, text] of words) expect(told).toContain(text!.slice(1, -1));
  }
});

test("strictSchema requires every property, closes every object and says no limits", () => {
  for (const schema of [Schema, Analysis]) {
    const text = JSON.stringify(strictSchema(answerSchema(schema)));
    expect(text).not.toMatch(/"(maxLength|minLength|maxItems)":/);
    const visit = (value: unknown): void => {
      if (typeof value !== "object" || value === null) return;
      const { type, properties, required, additionalProperties } = value as Record<string, unknown>;
      if (type === "object") {
        expect(required).toEqual(Object.keys(properties as object));
        expect(additionalProperties).toBe(false);
      }
      for (const child of Object.values(value)) visit(child);
    };
    visit(JSON.parse(text));
  }
  expect(strictSchema(answerSchema(Schema)).properties).toMatchObject({
    kind: { anyOf: [{ enum: ["a", "b"] }, { type: "null" }] },
    name: { type: "string" },
  });
});

test("withoutNulls takes away what stands for a property that is not there, and no other null", () => {
  const told = answerSchema(Schema);
  const value = {
    name: "n",
    kind: null,
    parts: [
      { path: "a", line: null },
      { path: "b", line: 3 },
    ],
    gone: null,
  };
  const plain = withoutNulls(value, told);
  expect(plain).toEqual({ name: "n", parts: [{ path: "a" }, { path: "b", line: 3 }], gone: null });
  expect(Schema.safeParse(plain).success).toBe(true);
  expect(withoutNulls({ name: null, parts: [] }, told)).toEqual({ name: null, parts: [] });
  expect(withoutNulls([null, "x"], told)).toEqual([null, "x"]);
});
