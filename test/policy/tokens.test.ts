import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { estimateJsonTokens, estimateTokens } from "../../src/policy/tokens.ts";

test("estimateTokens counts 2.5 ASCII characters as one, and anything else by its bytes", () => {
  expect(estimateTokens("")).toBe(0);
  expect(estimateTokens("a".repeat(25))).toBe(10);
  expect(estimateTokens("漢字")).toBe(5);
  expect(estimateTokens("😀")).toBe(3);
  expect(estimateTokens("\ud800")).toBeGreaterThan(0);
});

test("estimateTokens never falls when text is added", () => {
  const text = readFileSync(new URL("./guard.test.ts", import.meta.url), "utf8");
  let last = 0;
  for (let length = 0; length < text.length; length += 97) {
    const tokens = estimateTokens(text.slice(0, length));
    expect(tokens).toBeGreaterThanOrEqual(last);
    last = tokens;
  }
});

test("estimateJsonTokens counts the JSON that is sent", () => {
  expect(estimateJsonTokens({ a: "b" })).toBe(estimateTokens('{"a":"b"}'));
  expect(estimateJsonTokens(undefined)).toBe(0);
});
