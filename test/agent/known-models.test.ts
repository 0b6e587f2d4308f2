import { expect, test } from "vitest";
import { effortFor, factsOf, findModel, modelFactsDate } from "../../src/agent/known-models.ts";

const table = { "claude-opus-4": 1, "claude-opus-4-5": 2, "claude-opus-5": 3, "claude-3-7-sonnet": 4 };

test.each([
  ["claude-opus-4-5", "claude-opus-4-5"],
  ["claude-opus-4-5-20251101", "claude-opus-4-5"],
  ["claude-opus-4-20250514", "claude-opus-4"],
  ["claude-opus-4@20250514", "claude-opus-4"],
  ["eu.anthropic.claude-opus-4-5-20251101-v1:0", "claude-opus-4-5"],
  ["anthropic/claude-opus-4.5", "claude-opus-4-5"],
  ["Claude-Opus-5", "claude-opus-5"],
  ["claude-opus-5-latest", "claude-opus-5"],
  ["claude-3-7-sonnet-20250219", "claude-3-7-sonnet"],
  ["claude-opus-4-9", undefined],
  ["claude-opus-5-5", undefined],
  ["claude-opus-51", undefined],
  ["qwen3", undefined],
])("findModel finds %s as %s", (model, found) => {
  expect(findModel(table, model)).toBe(found);
});

test("factsOf says which models take a temperature", () => {
  const accepts = (model: string) => factsOf(model).acceptsTemperature;
  expect(
    [
      "claude-opus-4-6",
      "claude-sonnet-4-6",
      "claude-opus-4-5",
      "us.anthropic.claude-haiku-4-5-20251001-v1:0",
      "llama-4",
    ].map(accepts),
  ).toEqual([true, true, true, true, true]);
  expect(
    ["claude-opus-4-7", "claude-opus-5", "claude-opus-5-5", "claude-sonnet-5", "claude-fable-5-2", "claude-opus-7"].map(
      accepts,
    ),
  ).toEqual([false, false, false, false, false, false]);
});

test("factsOf is careful about models that it does not know", () => {
  expect(factsOf("claude-opus-7")).toMatchObject({
    known: false,
    efforts: [],
    contextWindowTokens: 200_000,
    maxOutputTokens: 64_000,
    acceptsTemperature: false,
  });
  expect(factsOf("claude-opus-5-5").contextWindowTokens).toBe(1_000_000);
});

test.each([
  ["gpt-5.4-2026-03-05", true],
  ["openai/gpt-5.4-mini", true],
  ["gpt-5.4-pro", false],
  ["gpt-6.2", false],
  ["my-gpt-5.4-tuned", false],
])("factsOf knows %s: %s", (model, known) => {
  expect(factsOf(model).known).toBe(known);
});

test("factsOf sends no temperature to a model of OpenAI that it does not know, and believes the operator", () => {
  expect(factsOf("gpt-7-sol")).toMatchObject({ acceptsTemperature: false, structuredOutput: "unknown", efforts: [] });
  expect(factsOf("o5-mini").acceptsTemperature).toBe(false);
  expect(factsOf("llama-4", { tools: false, contextWindowTokens: 8_000 })).toMatchObject({
    contextWindowTokens: 8_000,
    tools: false,
    caching: "unknown",
  });
});

test("effortFor names the most that the model takes below what is wanted", () => {
  const facts = factsOf("claude-opus-4-6");
  expect(effortFor(facts, "max")).toBe("max");
  expect(effortFor(facts, "xhigh")).toBe("high");
  expect(effortFor(facts, undefined)).toBeUndefined();
  expect(effortFor(factsOf("claude-haiku-4-5"), "low")).toBeUndefined();
  expect(effortFor(factsOf("gpt-6.2-sol"), "max")).toBe("xhigh");
});

test("modelFactsDate is a day", () => {
  expect(new Date(modelFactsDate).toISOString().slice(0, 10)).toBe(modelFactsDate);
});
