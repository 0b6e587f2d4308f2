import { expect, test } from "vitest";
import { z } from "zod";
import { answerSchema, strictSchema, withoutNulls } from "../../../src/agent/loop/answer-schema.ts";
import { Analysis } from "../../../src/agent/schemas.ts";

const Inner = z.object({ path: z.string().max(9), line: z.number().optional() });
const Schema = z.object({
  name: z.string(),
  kind: z.enum(["a", "b"]).optional(),
  parts: z.array(Inner),
  gone: z.string().nullable(),
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
