import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test, vi } from "vitest";
import { z } from "zod";
import { createModel } from "../../src/agent/create-model.ts";
import { TransientModelError } from "../../src/agent/model.ts";
import type { OperatorConfig } from "../../src/config/operator.ts";
import { budget, prompt, treeOf } from "./support.ts";

const config: OperatorConfig["model"] = {
  provider: "anthropic",
  name: "claude-opus-5-5",
  apiKey: "key",
  baseUrl: undefined,
  temperature: 0,
  maxOutputTokens: 16_000,
  contextWindowTokens: undefined,
  pricesFile: undefined,
  awsRegion: "eu-central-1",
  googleProject: undefined,
  googleRegion: "europe-west1",
};

test("createModel names the model and its window", () => {
  expect(createModel(config)).toMatchObject({
    id: "anthropic/claude-opus-5-5",
    contextWindowTokens: 200_000,
    priceIsKnown: true,
  });
  expect(createModel({ ...config, contextWindowTokens: 500_000 }).contextWindowTokens).toBe(500_000);
  expect(createModel({ ...config, provider: "bedrock", name: "anthropic.claude-opus-5-5" }).id).toBe(
    "bedrock/anthropic.claude-opus-5-5",
  );
});

test("createModel never sends the key of the Anthropic API to another provider", async () => {
  const seen: string[] = [];
  const fetch: typeof globalThis.fetch = async (input, init) => {
    seen.push(JSON.stringify([String(input), [...new Headers(init?.headers)]]));
    return new Response("{}", { status: 500 });
  };
  vi.stubEnv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE");
  vi.stubEnv("AWS_SECRET_ACCESS_KEY", "example");
  const model = createModel({ ...config, provider: "bedrock", apiKey: "sk-ant-secret-key" }, undefined, { fetch });
  const request = {
    prompt,
    schema: z.object({}),
    budget: budget(),
    signal: new AbortController().signal,
    record: async () => undefined,
  };
  await expect(model.object(request)).rejects.toThrow(TransientModelError);
  vi.unstubAllEnvs();
  expect(seen).toHaveLength(1);
  expect(seen[0]).toContain("AKIDEXAMPLE");
  expect(seen[0]).not.toContain("sk-ant-secret-key");
});

test("createModel looks for Google's credentials only when a request is made", () => {
  expect(createModel({ ...config, provider: "vertex", googleProject: "demo" }).id).toBe("vertex/claude-opus-5-5");
});

test("createModel reads the operator's prices and says what is wrong with them", async () => {
  const directory = await treeOf({ "prices.json": '{"my-model":{"input":1,"output":2}}' });
  const pricesFile = join(directory, "prices.json");
  expect(createModel({ ...config, name: "my-model", pricesFile }).priceIsKnown).toBe(true);
  await writeFile(pricesFile, "nonsense");
  expect(() => createModel({ ...config, pricesFile })).toThrow(`Cannot read the prices in ${pricesFile}: not JSON`);
  expect(() => createModel({ ...config, pricesFile: join(directory, "none.json") })).toThrow(
    "(MILLWRIGHT_PRICES): ENOENT",
  );
});
