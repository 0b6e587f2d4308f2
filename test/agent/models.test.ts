import { describe, expect, test } from "vitest";
import { z } from "zod";
import { TransientModelError } from "../../src/agent/model.ts";
import { createModels, unknownPlace } from "../../src/agent/models.ts";
import type { ModelConfig, ModelsConfig } from "../../src/config/models.ts";
import { workRequest } from "./support.ts";

const own: ModelConfig = {
  provider: "anthropic",
  name: "claude-opus-5-5",
  apiKey: "key",
  baseUrl: undefined,
  temperature: 0,
  maxOutputTokens: 16_000,
  contextWindowTokens: undefined,
  pricesFile: undefined,
  awsRegion: undefined,
  googleProject: undefined,
  googleRegion: undefined,
};
const config: ModelsConfig = {
  named: {
    default: own,
    small: { ...own, name: "claude-haiku-5-5" },
    local: { ...own, provider: "openai-compatible", name: "qwen", baseUrl: "http://127.0.0.1:1/v1", apiKey: undefined },
  },
  use: {
    "analyse-issue": { model: "small" },
    "review-pr": { model: "local", effort: "low" },
    "review-pr/verify-findings": { model: "small" },
  },
};

describe("createModels", () => {
  test("createModels gives each step the most exact model that is set for it", () => {
    const models = createModels(config);
    const of = (pipeline: string, step: string) => models.of({ pipeline, step }).id;
    expect(of("issue-to-pr", "write-change")).toBe("anthropic/claude-opus-5-5");
    expect(of("issue-to-pr", "analyse-issue")).toBe("anthropic/claude-haiku-5-5");
    expect(of("review-pr", "review-group")).toBe("openai-compatible/qwen");
    expect(of("review-pr", "verify-findings")).toBe("anthropic/claude-haiku-5-5");
    expect(models.of({ pipeline: "x", step: "y" })).toBe(models.of({ pipeline: "x", step: "z" }));
  });

  test("createModels sends the effort of each place, and none where none is set", async () => {
    const sent: unknown[] = [];
    const fetch: typeof globalThis.fetch = async (_input, init) => {
      sent.push(JSON.parse(String(init?.body)).output_config.effort);
      return new Response("{}", { status: 500 });
    };
    const use = {
      default: { effort: "medium" as const },
      "review-pr": {},
      "review-pr/verify-findings": { effort: "max" as const },
    };
    for (const [uses, pipeline, step] of [
      [use, "issue-to-pr", "analyse-issue"],
      [use, "review-pr", "review-group"],
      [use, "review-pr", "verify-findings"],
      [{}, "review-pr", "verify-findings"],
    ] as const) {
      const model = createModels({ ...config, use: uses }, { fetch }).of({ pipeline, step });
      await expect(model.object({ ...workRequest("."), schema: z.object({}) })).rejects.toThrow(TransientModelError);
    }
    expect(sent).toEqual(["medium", "medium", "max", undefined]);
  });

  test("createModels counts with the smallest window of a pipeline, because one step sends what another packed", () => {
    const pipelines = ["issue-to-pr", "review-pr"];
    const models = createModels(config, { pipelines });
    const windowOf = (pipeline: string, step: string) => models.of({ pipeline, step }).contextWindowTokens;
    expect(windowOf("issue-to-pr", "select-context")).toBe(200_000);
    expect(windowOf("review-pr", "verify-findings")).toBe(32_000);
    const use = { "write-change": { fallback: ["local"] } };
    const written = createModels({ ...config, use }, { pipelines });
    expect(written.of({ pipeline: "issue-to-pr", step: "select-context" }).contextWindowTokens).toBe(32_000);
  });

  test("createModels says which models it had to guess about", () => {
    expect(createModels(config).warnings).toEqual([
      expect.stringContaining("The model qwen is not known: it is taken for one with 32000 tokens"),
      expect.stringContaining("The model qwen has no known price"),
    ]);
    const described = { ...config.named["local"]!, price: { input: 0, output: 0 } };
    expect(createModels({ named: { default: described }, use: {} }).warnings).toHaveLength(1);
  });

  test("createModels refuses a pipeline whose models a repository does not allow", () => {
    const models = createModels(config);
    expect(models.whyNot("issue-to-pr", undefined)).toBeUndefined();
    expect(models.whyNot("issue-to-pr", ["anthropic"])).toBeUndefined();
    expect(models.whyNot("issue-to-pr", ["default"])).toBeUndefined();
    expect(models.whyNot("issue-to-pr", ["openai"])?.reason).toContain("allows openai alone");
    // The pipeline's own model would do, but one of its steps has another one.
    expect(models.whyNot("review-pr", ["local"])?.reason).toContain("anthropic/claude-haiku-5-5");
    expect(models.whyNot("review-pr", ["local", "claude-haiku-5-5"])).toBeUndefined();
  });

  test("createModels fails at start when a model cannot be called as it is configured", () => {
    const broken = { ...own, apiKey: undefined };
    expect(() => createModels({ named: { default: own, broken }, use: { x: { fallback: ["broken"] } } })).toThrow(
      "no key is configured (ANTHROPIC_API_KEY",
    );
    expect(() => createModels({ named: { default: own, broken }, use: {} })).not.toThrow();
  });
});

test.each([
  ["default", undefined],
  ["issue-to-pr", undefined],
  ["write-change", undefined],
  ["issue-to-pr/write-change", undefined],
  ["issue-to-pull", "use.issue-to-pull: is no pipeline (issue-to-pr), no step"],
  ["write-change/issue-to-pr", "use.write-change/issue-to-pr: is no pipeline"],
  ["issue-to-pr/write-change/x", "is no pipeline"],
])("unknownPlace finds in %s: %s", (place, problem) => {
  const found = unknownPlace(
    { named: {}, use: { [place]: {} } },
    { pipelines: ["issue-to-pr"], steps: ["write-change"] },
  );
  if (problem === undefined) expect(found).toBeUndefined();
  else expect(found).toContain(problem);
});
