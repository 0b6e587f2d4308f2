import { execFile } from "node:child_process";
import { afterEach, describe, expect, test } from "vitest";
import type { ModelConfig } from "../../src/config/models.ts";
import { checkModel, type ModelReport, reportText } from "../../src/run/models-check.ts";
import { chatProtocol, wordsProtocol } from "../support/openai-protocols.ts";
import { type RawProtocol, type RawReply, type RawRequest, startRawModel } from "../support/scripted-model.ts";

const closers: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0)) await close();
});

async function raw(handler: (request: RawRequest) => RawReply, protocol: RawProtocol = chatProtocol) {
  const server = await startRawModel(handler, protocol);
  closers.push(() => server.close());
  return server;
}

const at = (url: string, part: Partial<ModelConfig> = {}): ModelConfig => ({
  provider: "openai-compatible",
  name: "my-model",
  apiKey: "a-key-that-nobody-may-see",
  baseUrl: `${url}/v1`,
  temperature: 0,
  maxOutputTokens: 16_000,
  contextWindowTokens: 64_000,
  pricesFile: undefined,
  awsRegion: undefined,
  googleProject: undefined,
  googleRegion: undefined,
  price: { input: 1, output: 2 },
  ...part,
});

const answer = '{"word":"ready","sum":5}';
const report: RawReply = {
  message: { content: [{ type: "tool_use", id: "call_1", name: "report", input: JSON.parse(answer) }] },
};
/** Does both as it should. */
const able = ({ index }: RawRequest): RawReply => (index === 0 ? { message: { content: answer } } : report);
const found = ({ lines }: ModelReport, what: string) => lines.find(([name]) => name === what)?.[1];

describe("checkModel", () => {
  test("checkModel says what works and what it cost, by two requests", async () => {
    const server = await raw(able);
    const checked = await checkModel("mine", at(server.url, { facts: { structuredOutput: true } }));
    expect(checked).toMatchObject({ name: "mine", id: "openai-compatible/my-model", ok: true });
    expect(found(checked, "structured output")).toBe("yes, held to the schema by the provider");
    expect(found(checked, "tools")).toBe("yes, called by the provider's protocol");
    expect(found(checked, "cost")).toBe("$0.00028 for 240 tokens, at $1 in and $2 out per million");
    expect(server.requests).toHaveLength(2);
    expect(reportText(checked)).toMatch(/^ok {5}mine: openai-compatible\/my-model\n {2}answers {12}yes, after /);
  });

  test("checkModel says that a model has to be told in words", async () => {
    const server = await raw((request) => {
      if (request.body.tools !== undefined)
        return { status: 400, body: { error: { message: "my-model does not support tools" } } };
      return able(request);
    }, wordsProtocol);
    const checked = await checkModel("mine", at(server.url, { contextWindowTokens: undefined }));
    expect(checked.ok).toBe(true);
    expect(found(checked, "structured output")).toBe("yes, the schema is told in words");
    expect(found(checked, "tools")).toBe("yes, told in words, with whole files");
    expect(found(checked, "note")).toContain("my-model is not known");
  });

  test.each<[string, (request: RawRequest) => RawReply, string, RegExp]>([
    ["answers in prose", () => ({ message: { content: "Five." } }), "structured output", /^no \(out-of-turns/],
    [
      "cannot add",
      ({ index }) => (index === 0 ? { message: { content: '{"word":"ready","sum":6}' } } : report),
      "structured output",
      /is not 6/,
    ],
    ["calls no tool", () => ({ message: { content: answer } }), "tools", /^no \(it answered in words\)/],
  ])("checkModel fails a model that %s", async (_, handler, what, why) => {
    const server = await raw(handler);
    const checked = await checkModel("mine", at(server.url));
    expect(checked.ok).toBe(false);
    expect(found(checked, what)).toMatch(why);
  });

  test("checkModel names the setting that is wrong, and never the key", async () => {
    const refused = await raw(() => ({
      status: 401,
      body: { error: { message: "Incorrect key a-key-that-nobody-may-see" } },
    }));
    const checked = await checkModel("mine", at(refused.url));
    expect(checked.ok).toBe(false);
    expect(found(checked, "answers")).toBe(
      "no: The model's provider did not accept Millwright's credentials (OPENAI_API_KEY).",
    );
    expect(JSON.stringify(checked)).not.toContain("nobody-may-see");
    expect(found(await checkModel("none", at("x", { baseUrl: undefined })), "answers")).toContain("(OPENAI_BASE_URL)");
  });
});

describe("millwright models check", () => {
  const run = (environment: Record<string, string>, ...names: string[]) =>
    new Promise<{ code: number; output: string }>((resolve) => {
      execFile(
        process.execPath,
        ["src/run/millwright.ts", "models", "check", ...names],
        { env: { PATH: process.env["PATH"], ...environment } },
        (error, stdout, stderr) => resolve({ code: Number(error?.code ?? 0), output: stdout + stderr }),
      );
    });

  test("millwright models check asks each model that is used, and ends with 1 when one fails", async () => {
    const good = await raw(able);
    const bad = await raw(() => ({ status: 404, body: { error: { message: "no such model" } } }));
    const environment = {
      MILLWRIGHT_PROVIDER: "openai-compatible",
      MILLWRIGHT_MODEL: "my-model",
      OPENAI_BASE_URL: `${good.url}/v1`,
      MILLWRIGHT_MODELS: JSON.stringify({
        models: { bad: { provider: "openai-compatible", baseUrl: `${bad.url}/v1` } },
      }),
    };
    const all = await run(environment);
    expect(all.output).toContain("ok     default: openai-compatible/my-model");
    expect(all.output).toContain("does not know the configured model (models.bad.model in MILLWRIGHT_MODELS)");
    expect(all.code).toBe(1);
    expect(await run(environment, "worse")).toMatchObject({
      code: 1,
      output: expect.stringContaining("there are: default, bad"),
    });
    expect(await run({ MILLWRIGHT_PROVIDER: "openai" })).toMatchObject({
      code: 1,
      output: expect.stringContaining("OPENAI_API_KEY is not set"),
    });
  });
});
