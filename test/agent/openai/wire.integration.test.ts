import { afterEach, describe, expect, test } from "vitest";
import { z } from "zod";
import type { OpenAiConfig } from "../../../src/agent/openai/config.ts";
import { createOpenAiModel } from "../../../src/agent/openai/openai-model.ts";
import { chatProtocol, responsesProtocol, wordsProtocol } from "../../support/openai-protocols.ts";
import { type RawReply, type RawRequest, startRawModel, startScriptedModel } from "../../support/scripted-model.ts";
import { budget, prompt, toolUse, treeOf, workRequest } from "../support.ts";

const closers: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0)) await close();
});

const protocols = { chat: chatProtocol, responses: responsesProtocol, words: wordsProtocol };

async function raw(handler: (request: RawRequest) => RawReply, protocol: keyof typeof protocols) {
  const server = await startRawModel(handler, protocols[protocol]);
  closers.push(() => server.close());
  return server;
}

const modelAt = (url: string, part: Partial<OpenAiConfig> = {}) =>
  createOpenAiModel({
    ...{ provider: "openai", model: "gpt-6.2-sol", baseUrl: `${url}/v1`, apiKey: "test-key", maxOutputTokens: 16_000 },
    ...part,
  });
const localAt = (url: string, part: Partial<OpenAiConfig> = {}) =>
  modelAt(url, { ...{ provider: "openai-compatible", model: "qwen3-coder", apiKey: undefined }, ...part });

const Schema = z.object({ name: z.string(), note: z.string().optional() });
const ask = (model: ReturnType<typeof modelAt>) =>
  model.object({
    prompt: { ...prompt, repository: "Use tabs." },
    schema: Schema,
    budget: budget(),
    signal: new AbortController().signal,
    record: async () => undefined,
  });
const good: RawReply = { message: { content: '{"name":"a"}' } };
const twoTurns = ({ index }: RawRequest): RawReply => ({
  message: { content: index === 0 ? [toolUse("write", { file_path: "b.txt", content: "b" }, "call_1")] : "Done." },
});
const refusing = (param: string, message: string): RawReply => ({
  status: 400,
  body: { error: { message, type: "invalid_request_error", param, code: "unsupported_parameter" } },
});

describe("Responses", () => {
  test("object sends instructions, a strict schema and an effort, and has nothing kept", async () => {
    const server = await raw(() => good, "responses");
    expect((await ask(modelAt(server.url, { effort: "max" }))).kind).toBe("answer");
    const [request] = server.requests;
    expect(request!.path).toBe("/v1/responses");
    expect(request!.body).toMatchObject({
      model: "gpt-6.2-sol",
      instructions: `${prompt.system}\n\nUse tabs.`,
      input: [{ role: "user", content: prompt.task }],
      max_output_tokens: 16_000,
      store: false,
      stream: true,
      reasoning: { effort: "xhigh" },
      text: { format: { type: "json_schema", strict: true, schema: { required: ["name", "note"] } } },
    });
    expect(request!.body.temperature).toBeUndefined();
    expect(request!.headers.authorization).toBe("Bearer test-key");
  });

  test("work sends calls and their results as items of their own", async () => {
    const server = await raw(twoTurns, "responses");
    await modelAt(server.url).work(workRequest(await treeOf({})));
    const [first, second] = server.requests.map(({ body }) => body);
    expect(first.tools.map((tool: { name: string }) => tool.name)).toContain("edit");
    expect(second.input.slice(1)).toEqual([
      { type: "function_call", call_id: "call_1", name: "write", arguments: '{"file_path":"b.txt","content":"b"}' },
      { type: "function_call_output", call_id: "call_1", output: expect.stringContaining("b.txt") },
    ]);
    // What was sent before is the beginning of what is sent next: otherwise nothing would be read from the cache.
    expect(second.input.slice(0, 1)).toEqual(first.input);
    expect([second.tools, second.instructions]).toEqual([first.tools, first.instructions]);
  });

  test.each([
    ["server_error", "The model's server failed."],
    ["rate_limit_exceeded", "The model's provider limits how much may be asked of it, and the limit is reached."],
  ])("an answer that fails in the stream with %s is transient", async (code, reason) => {
    const failed = {
      type: "response.failed",
      response: { status: "failed", error: { code, message: "no" }, output: [] },
    };
    const body = `event: response.failed\ndata: ${JSON.stringify(failed)}\n\n`;
    const server = await raw(
      () => ({ status: 200, headers: { "content-type": "text/event-stream" }, body }),
      "responses",
    );
    await expect(ask(modelAt(server.url))).rejects.toMatchObject({
      retryAfterSeconds: expect.any(Number),
      forPeople: { reason },
    });
  });
});

describe("Chat Completions", () => {
  test("work sends what every compatible server takes, and no key that is another's", async () => {
    process.env.OPENAI_API_KEY = "of-the-environment";
    process.env.OPENAI_ORG_ID = "org-of-the-environment";
    const server = await raw(twoTurns, "chat");
    try {
      await localAt(server.url).work(workRequest(await treeOf({})));
    } finally {
      delete process.env.OPENAI_API_KEY;
      delete process.env.OPENAI_ORG_ID;
    }
    const [first, second] = server.requests;
    expect(first!.path).toBe("/v1/chat/completions");
    expect(JSON.stringify(first!.headers)).not.toContain("environment");
    expect(first!.body).toMatchObject({
      messages: [
        { role: "system", content: prompt.system },
        { role: "user", content: prompt.task },
      ],
      max_tokens: 16_000,
      temperature: 0,
      stream_options: { include_usage: true },
    });
    expect(Object.keys(first!.body)).not.toContain("max_completion_tokens");
    expect(second!.body.messages.slice(2)).toMatchObject([
      { role: "assistant", tool_calls: [{ id: "call_1", type: "function", function: { name: "write" } }] },
      { role: "tool", tool_call_id: "call_1" },
    ]);
  });

  test("object tells a model that is not known the schema in words, and sends no format", async () => {
    const server = await raw(() => good, "chat");
    await ask(localAt(server.url));
    expect(server.requests[0]!.body.response_format).toBeUndefined();
    expect(server.requests[0]!.body.messages[1].content).toContain('"required":["name"]');
    await ask(localAt(server.url, { facts: { structuredOutput: true } }));
    expect(server.requests[1]!.body.response_format.json_schema.schema.required).toEqual(["name", "note"]);
    expect(server.requests[1]!.body.messages[1].content).toBe(prompt.task);
  });

  test("object leaves out what the server says it does not know, once for all", async () => {
    const server = await raw(({ body }) => {
      if (body.max_tokens !== undefined)
        return refusing(
          "max_tokens",
          "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
        );
      if (body.temperature !== undefined)
        return refusing("temperature", "Unsupported value: 'temperature' does not support 0 with this model.");
      if (body.response_format !== undefined)
        return { status: 400, body: { error: { message: "response_format is not supported by this server" } } };
      return good;
    }, "chat");
    const model = localAt(server.url, { facts: { structuredOutput: true } });
    expect((await ask(model)).kind).toBe("answer");
    expect(server.requests).toHaveLength(4);
    expect(server.requests[3]!.body.max_completion_tokens).toBe(16_000);
    // Without the format the model is told the schema.
    expect(server.requests[3]!.body.messages[0].content).toContain('"additionalProperties":false');
    expect((await ask(model)).kind).toBe("answer");
    expect(server.requests).toHaveLength(5);
  });

  test("object does not go on for ever against a server that refuses everything", async () => {
    const server = await raw(() => refusing("messages", "messages: unknown field"), "chat");
    await expect(ask(localAt(server.url))).rejects.toThrow("The model's provider refused the request");
    expect(server.requests).toHaveLength(1);
  });

  test("work goes on in words when the server says that the model has no tools", async () => {
    const server = await raw((request) => {
      if (request.body.tools !== undefined)
        return {
          status: 400,
          body: { error: { message: '"qwen3-coder" does not support tools', type: "invalid_request_error" } },
        };
      return twoTurns({ ...request, index: request.index - 1 });
    }, "words");
    const request = workRequest(await treeOf({}));
    expect(await localAt(server.url).work(request)).toMatchObject({ kind: "done" });
    expect(server.requests.map(({ body }) => body.tools === undefined)).toEqual([false, true, true]);
    expect(server.requests[2]!.body.messages[0].content).toContain("@@@ write path/of/the/file");
    expect(server.requests[2]!.body.messages[2].content).toBe("@@@ write b.txt\nb\n@@@ end");
    expect(server.requests[2]!.body.messages[3].content).toContain("Result:");
    expect(request.calls).toHaveLength(2);
  });
});

describe.each([
  ["openai", modelAt],
  ["openai-compatible", localAt],
] as const)("%s against the stand-in", (_name, at) => {
  test("work calls tools, and is transient when it is overloaded", async () => {
    const server = await startScriptedModel();
    closers.push(() => server.close());
    const call = { id: "call_1", name: "write", arguments: JSON.stringify({ file_path: "b.txt", content: "b" }) };
    server.on({ systemMessage: "stage: write-change", turnIndex: 0 }, { toolCalls: [call] });
    server.on(
      { turnIndex: 1 },
      { error: { message: "Too many", type: "rate_limit_error" }, status: 429, retryAfter: 4 },
    );
    const request = workRequest(await treeOf({}));
    await expect(at(server.url).work(request)).rejects.toMatchObject({ retryAfterSeconds: 4 });
    expect(request.turns.map((turn) => turn.toolCalls)).toEqual([[{ name: "write", detail: "write b.txt" }]]);
  });

  test("object takes the structured answer", async () => {
    const server = await startScriptedModel();
    closers.push(() => server.close());
    server.on({ systemMessage: "stage: write-change" }, { content: '{"name":"a"}' });
    expect(await ask(at(server.url))).toMatchObject({ kind: "answer", value: { name: "a" } });
  });
});

test("createOpenAiModel names the setting that is missing", () => {
  const make = (part: Partial<OpenAiConfig>) =>
    createOpenAiModel({ provider: "openai", model: "gpt-6.2-sol", maxOutputTokens: 1_000, ...part });
  expect(() => make({})).toThrow("no key is configured (OPENAI_API_KEY");
  expect(() => make({ provider: "openai-compatible" })).toThrow("no address is configured (OPENAI_BASE_URL)");
});
