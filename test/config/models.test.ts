import { generateKeyPairSync } from "node:crypto";
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { createModels, unknownPlace } from "../../src/agent/models.ts";
import { type ModelConfig, modelsInUse } from "../../src/config/models.ts";
import { readOperatorConfig } from "../../src/config/operator.ts";
import { parseRepositoryConfig } from "../../src/config/repository.ts";
import { pipelines } from "../../src/pipeline/index.ts";
import { steps } from "../../src/pipeline/steps/index.ts";

const privateKey = generateKeyPairSync("rsa", {
  modulusLength: 2048,
  privateKeyEncoding: { type: "pkcs8", format: "pem" },
  publicKeyEncoding: { type: "spki", format: "pem" },
}).privateKey;
const enough = { APP_ID: "1", PRIVATE_KEY: privateKey, WEBHOOK_SECRET: "long enough", ANTHROPIC_API_KEY: "key" };
const { ANTHROPIC_API_KEY: _, ...withoutKey } = enough;
const read = (models: unknown, more: Record<string, string> = {}) =>
  readOperatorConfig({
    ...enough,
    MILLWRIGHT_MODELS: typeof models === "string" ? models : JSON.stringify(models),
    ...more,
  });

describe("MILLWRIGHT_MODELS", () => {
  test("readOperatorConfig reads models and their uses, from JSON and from a file", () => {
    const models = {
      models: {
        fast: { provider: "openai", model: "gpt-6-luna" },
        local: {
          provider: "openai-compatible",
          baseUrl: "http://127.0.0.1:11434/v1/",
          tools: false,
          price: { input: 0, output: 0 },
        },
        gateway: {
          provider: "anthropic",
          model: "claude-opus-5",
          baseUrl: "https://gateway.example",
          key: "GATEWAY_KEY",
        },
      },
      use: { default: { fallback: ["gateway"] }, "review-pr": { model: "fast", effort: "low" } },
    };
    const keys = { OPENAI_API_KEY: "openai-key", GATEWAY_KEY: "gateway-key" };
    const file = join(mkdtempSync(join(tmpdir(), "millwright-models-")), "models.json");
    writeFileSync(file, JSON.stringify(models));
    for (const given of [models, file]) {
      const config = read(given, keys);
      expect(config.models.use).toEqual(models.use);
      expect(Object.keys(config.models.named)).toEqual(["default", "fast", "local", "gateway"]);
      expect(config.models.named["fast"]).toMatchObject({ name: "gpt-6-luna", apiKey: "openai-key" });
      expect(config.models.named["local"]).toMatchObject({
        ...{ name: "local", baseUrl: "http://127.0.0.1:11434/v1", apiKey: undefined },
        facts: { tools: false },
      });
      expect(config.models.named["gateway"]).toMatchObject({
        apiKey: "gateway-key",
        settings: { key: "GATEWAY_KEY", baseUrl: "models.gateway.baseUrl in MILLWRIGHT_MODELS" },
      });
      expect(config.model).toBe(config.models.named["default"]);
    }
  });

  test("readOperatorConfig reads the example of docs/models.md", () => {
    const page = readFileSync("docs/models.md", "utf8");
    const example = Array.from(page.matchAll(/```json\n([\s\S]*?)```/g), ([, json]) => json!).find((json) =>
      json.includes('"use"'),
    );
    const keys = { OPENAI_API_KEY: "openai-key", GATEWAY_KEY: "gateway-key" };
    const { models } = read(example, keys);
    expect(Object.keys(models.named)).toEqual(["default", "fast", "local", "gateway"]);
    expect(createModels(models).of({ pipeline: "review-pr", step: "review-group" }).id).toBe("openai/gpt-6-luna");
    expect(unknownPlace(models, { pipelines: Object.keys(pipelines), steps: Object.keys(steps) })).toBeUndefined();
  });

  test("readOperatorConfig needs no key for the environment's model where another one is used by default", () => {
    const models = { models: { local: { provider: "openai-compatible", baseUrl: "http://127.0.0.1:1/v1" } } };
    expect(() => readOperatorConfig({ ...withoutKey, MILLWRIGHT_MODELS: JSON.stringify(models) })).toThrow(
      "ANTHROPIC_API_KEY is not set",
    );
    const used = { ...models, use: { default: { model: "local" } } };
    const config = readOperatorConfig({ ...withoutKey, MILLWRIGHT_MODELS: JSON.stringify(used) });
    expect(config.model.name).toBe("local");
  });

  test("readOperatorConfig never gives a provider's key to another address", () => {
    const config = read({ models: { proxy: { provider: "anthropic", baseUrl: "https://elsewhere.example" } } });
    expect(config.models.named["proxy"]!.apiKey).toBeUndefined();
    const openAi = read(
      { models: { local: { provider: "openai-compatible", baseUrl: "http://127.0.0.1:1/v1" } } },
      { OPENAI_API_KEY: "openai-key" },
    );
    expect(openAi.models.named["local"]!.apiKey).toBeUndefined();
  });

  test.each<[string, unknown, string]>([
    ["no JSON", "{", "MILLWRIGHT_MODELS: is not JSON"],
    [
      "a file that is not there",
      "/nowhere/models.json",
      "MILLWRIGHT_MODELS: cannot read /nowhere/models.json (ENOENT)",
    ],
    ["a provider that is none", { models: { a: { provider: "x" } } }, "MILLWRIGHT_MODELS: models.a.provider:"],
    ["an unknown setting", { models: { a: { provider: "bedrock", baseURL: "x" } } }, "models.a: Unrecognized key"],
    ["a key itself", { models: { a: { provider: "openai", key: "sk-123" } } }, "models.a.key: must be the name of an"],
    [
      "a key that is not set",
      { models: { a: { provider: "openai", key: "MY_KEY" } } },
      "models.a: MY_KEY, which holds its key, is not set",
    ],
    [
      "a server without address",
      { models: { a: { provider: "openai-compatible" } } },
      "models.a: an openai-compatible server needs a baseUrl",
    ],
    [
      "the environment's name",
      { models: { default: { provider: "bedrock" } } },
      "models.default: is the environment's own model",
    ],
    [
      "a model that is not there",
      { use: { "issue-to-pr": { fallback: ["b"] } } },
      'use.issue-to-pr: there is no model "b" (there are: default)',
    ],
    ["an effort that is none", { use: { default: { effort: "much" } } }, "use.default.effort:"],
  ])("readOperatorConfig names what is wrong: %s", (_name, models, problem) => {
    expect(() => read(models)).toThrow(problem);
  });

  test.each([
    [{ MILLWRIGHT_PROVIDER: "openai", MILLWRIGHT_MODEL: "gpt-6.2-sol" }, "OPENAI_API_KEY is not set"],
    [
      { MILLWRIGHT_PROVIDER: "openai", OPENAI_API_KEY: "k" },
      "MILLWRIGHT_MODEL is not set, and MILLWRIGHT_PROVIDER is openai",
    ],
    [{ MILLWRIGHT_PROVIDER: "openai-compatible", MILLWRIGHT_MODEL: "m" }, "OPENAI_BASE_URL is not set"],
  ])("readOperatorConfig says what %o lacks", (environment, problem) => {
    expect(() => readOperatorConfig({ ...withoutKey, ...environment })).toThrow(problem);
  });

  test("readOperatorConfig gives OpenAI its own key and address alone", () => {
    const { model } = readOperatorConfig({
      ...enough,
      ...{ MILLWRIGHT_PROVIDER: "openai", MILLWRIGHT_MODEL: "gpt-6.2-sol", OPENAI_API_KEY: "openai-key" },
      ANTHROPIC_BASE_URL: "https://claude.example",
    });
    expect(model).toMatchObject({ apiKey: "openai-key", baseUrl: undefined, settings: { key: "OPENAI_API_KEY" } });
  });
});

test.each([
  [{}, ["default", "a"]],
  [{ default: { model: "a" } }, ["a"]],
  [{ default: { model: "a", fallback: ["default"] } }, ["default", "a"]],
  [{ default: { model: "a" }, "review-pr": { model: "default" } }, ["default", "a"]],
])("modelsInUse leaves out the environment's model where nothing uses it: %j", (use, names) => {
  const one = {} as ModelConfig;
  expect(modelsInUse({ named: { default: one, a: one }, use })).toEqual(names);
});

test.each([
  ["models:\n  allowed: [anthropic, local, openai/gpt-6.2-sol]", undefined],
  ["models:\n  allowed: []", "models.allowed"],
  ['models:\n  allowed: ["@someone"]', "models.allowed.0"],
  ["models:\n  allow: [anthropic]", "models.allow"],
])("parseRepositoryConfig takes %j: %s", (text, path) => {
  const parsed = parseRepositoryConfig(text);
  expect(parsed.kind === "ok" ? undefined : parsed.problems[0]!.path).toBe(path);
});
