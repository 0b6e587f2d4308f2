import { describe, expect, test } from "vitest";
import { analysisKey } from "../../../../src/pipeline/steps/support/analysis-key.ts";

const parts: Parameters<typeof analysisKey>[0] = {
  installationId: 1,
  repositoryId: 2,
  trust: "own",
  baseSha: "b",
  modelId: "m",
  version: 1,
  hash: "h",
};

describe("analysisKey", () => {
  test.each<[string, Partial<typeof parts>]>([
    ["another installation", { installationId: 9 }],
    ["another repository", { repositoryId: 9 }],
    ["a fork", { trust: "fork" }],
    ["another base commit", { baseSha: "9" }],
    ["another model", { modelId: "9" }],
    ["another prompt", { version: 9 }],
    ["another failure", { hash: "9" }],
  ])("analysisKey is another one for %s", (_what, change) => {
    expect(analysisKey({ ...parts, ...change })).not.toBe(analysisKey(parts));
  });

  test("analysisKey is the same for the same", () => {
    expect(analysisKey({ ...parts })).toBe(analysisKey(parts));
  });
});
