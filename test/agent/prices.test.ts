import { expect, test } from "vitest";
import { costOf, parsePriceOverrides, priceOf, pricesDate } from "../../src/agent/prices.ts";

const none = { inputTokens: 0, outputTokens: 0, cacheReadTokens: 0, cacheWrite5mTokens: 0, cacheWrite1hTokens: 0 };
const million = 1_000_000;

test("costOf counts every kind of token at its own price", () => {
  const one = (part: Partial<typeof none>) => costOf({ ...none, ...part }, "claude-opus-5-5").usd;
  expect(one({ inputTokens: million })).toBe(4);
  expect(one({ outputTokens: million })).toBe(20);
  expect(one({ cacheReadTokens: million })).toBe(0.2);
  expect(one({ cacheWrite5mTokens: million })).toBe(5);
  expect(one({ cacheWrite1hTokens: million })).toBe(8);
  expect(costOf({ ...none, cacheReadTokens: million }, "claude-opus-4-5").usd).toBe(0.5);
});

test("costOf charges a long prompt's price for the whole request", () => {
  const short = { ...none, inputTokens: 40_000, cacheReadTokens: 60_000, outputTokens: 10_000 };
  expect(costOf(short, "claude-haiku-5-5").usd).toBeCloseTo(
    (40_000 * 0.1 + 60_000 * 0.01 + 10_000 * 0.5) / million,
    12,
  );
  expect(costOf({ ...short, inputTokens: 40_001 }, "claude-haiku-5-5").usd).toBeCloseTo(
    (40_001 * 0.5 + 60_000 * 0.05 + 10_000 * 2.5) / million,
    12,
  );
});

test("costOf charges OpenAI's long prompts twice and their answers half as much again", () => {
  const short = { ...none, inputTokens: 272_000, outputTokens: 1_000 };
  expect(costOf(short, "gpt-6.2-sol").usd).toBeCloseTo((272_000 * 2 + 1_000 * 10) / million, 12);
  expect(costOf({ ...short, inputTokens: 272_001 }, "gpt-6.2-sol").usd).toBeCloseTo(
    (272_001 * 4 + 1_000 * 15) / million,
    12,
  );
  expect(priceOf("gpt-5.4-pro").known).toBe(false);
});

test("priceOf charges an unknown model the dearest price and says that it is unknown", () => {
  expect(priceOf("claude-opus-9")).toMatchObject({ known: false, price: { input: 15, output: 75 } });
  expect(priceOf("us.anthropic.claude-sonnet-5-5-v1:0")).toMatchObject({
    known: true,
    price: { input: 2, output: 10, cacheRead: 0.1 },
  });
});

test("priceOf prefers the operator's prices and fills in what they leave out", () => {
  const overrides = parsePriceOverrides(
    '{"local-model":{"input":1,"output":2,"cacheRead":0.7},"claude-opus-5-5":{"input":3,"output":4}}',
    "prices.json",
  );
  expect(priceOf("local-model", overrides)).toEqual({
    known: true,
    price: { input: 1, output: 2, cacheRead: 0.7, cacheWrite5m: 1.25, cacheWrite1h: 2 },
  });
  expect(priceOf("claude-opus-5-5", overrides).price.input).toBe(3);
});

test.each([
  ["{", "Cannot read the prices in prices.json: not JSON"],
  ['{"a":{"input":-1,"output":2}}', "Cannot read the prices in prices.json: a.input: Too small"],
  ['{"a":{"input":1}}', "Cannot read the prices in prices.json: a.output: "],
  ['{"a":{"input":1,"output":1,"inptu":1}}', 'Cannot read the prices in prices.json: a: Unrecognized key: "inptu"'],
])("parsePriceOverrides refuses %s", (json, message) => {
  expect(() => parsePriceOverrides(json, "prices.json")).toThrow(message);
});

test("pricesDate is a day", () => {
  expect(new Date(pricesDate).toISOString().slice(0, 10)).toBe(pricesDate);
});
