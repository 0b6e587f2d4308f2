import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import { afterEach, describe, expect, test } from "vitest";
import { z } from "zod";
import { createAnthropicModel } from "../../../src/agent/anthropic/anthropic-model.ts";
import type { AnthropicConfig } from "../../../src/agent/anthropic/config.ts";
import {
  messageEvents,
  type RawMessage,
  type RawReply,
  type RawRequest,
  startRawModel,
} from "../../support/scripted-model.ts";
import { budget, modelAt, prompt, toolUse, treeOf, workRequest } from "../support.ts";

const closers: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0)) await close();
});

async function raw(handler: (request: RawRequest) => RawReply) {
  const server = await startRawModel(handler);
  closers.push(() => server.close());
  return server;
}

const write = toolUse("write", { file_path: "b.txt", content: "b" }, "toolu_b");
const twoTurns = ({ index }: RawRequest): RawReply => ({ message: { content: index % 2 === 0 ? [write] : "Done." } });

describe("what is sent", () => {
  test("the system text is cached for an hour, the repository's part behind it, and the end of the conversation", async () => {
    const server = await raw(twoTurns);
    const request = workRequest(await treeOf({}), { prompt: { ...prompt, repository: "Use tabs." } });
    await modelAt(server.url).work(request);
    const bodies = server.requests.map(({ body }) => body);
    for (const body of bodies) {
      expect(body.system).toEqual([
        { type: "text", text: prompt.system, cache_control: { type: "ephemeral", ttl: "1h" } },
        { type: "text", text: "Use tabs.", cache_control: { type: "ephemeral" } },
      ]);
      expect(body.cache_control).toEqual({ type: "ephemeral" });
      expect(body.thread).toBeUndefined();
    }
    // What was sent before is the beginning of what is sent next: otherwise nothing would be read from the cache.
    expect(bodies[1].messages.slice(0, bodies[0].messages.length)).toEqual(bodies[0].messages);
    expect(bodies[1].tools).toEqual(bodies[0].tools);
    expect(JSON.stringify(request.turns)).not.toContain("cache_control");
  });

  test.each([
    ["claude-opus-5-5", undefined, undefined],
    ["claude-sonnet-5", 0.5, undefined],
    ["claude-haiku-9-9", undefined, undefined],
    ["claude-sonnet-4-6", undefined, 0],
    ["claude-haiku-4-5-20251001", 0.3, 0.3],
    ["qwen3-coder", undefined, 0],
  ])("the temperature of %s configured as %s is sent as %s", async (model, temperature, sent) => {
    const server = await raw(twoTurns);
    await modelAt(server.url, { model, temperature }).work(workRequest(await treeOf({})));
    expect(server.requests.map(({ body }) => body.temperature)).toEqual([sent, sent]);
  });

  test("the effort is sent to models that take one, beside the format of an answer, and else nothing is", async () => {
    const server = await raw(({ index }) => ({ message: { content: index % 2 === 0 ? '{"a":1}' : "Done." } }));
    const efforts: unknown[] = [];
    for (const [model, effort] of [
      ["claude-opus-5-5", "max"],
      ["claude-opus-4-6", "xhigh"],
      ["claude-haiku-4-5", "high"],
      ["claude-opus-5-5", undefined],
    ] as const) {
      const asked = modelAt(server.url, { model, effort });
      await asked.object({ ...workRequest("."), schema: z.object({ a: z.number() }) });
      await asked.work(workRequest(await treeOf({})));
      const [object, work] = server.requests.slice(-2).map(({ body }) => body.output_config);
      expect(object.format.type).toBe("json_schema");
      expect(work?.effort).toBe(object.effort);
      efforts.push(work?.effort);
    }
    expect(efforts).toEqual(["max", "high", undefined, undefined]);
  });

  test("the key goes to the configured server alone, and the environment's is not used", async () => {
    const server = await raw(twoTurns);
    process.env.ANTHROPIC_API_KEY = "of-the-environment";
    process.env.ANTHROPIC_AUTH_TOKEN = "token-of-the-environment";
    try {
      await modelAt(server.url, { apiKey: "configured-key" }).work(workRequest(await treeOf({})));
    } finally {
      delete process.env.ANTHROPIC_API_KEY;
      delete process.env.ANTHROPIC_AUTH_TOKEN;
    }
    const headers = JSON.stringify(server.requests[0]!.headers);
    expect(headers).toContain("configured-key");
    expect(headers).not.toContain("environment");
  });

  test("the most output tokens are lowered to what the model can do", async () => {
    const server = await raw(twoTurns);
    await modelAt(server.url, { model: "claude-opus-4-1", maxOutputTokens: 64_000 }).work(
      workRequest(await treeOf({})),
    );
    expect(server.requests[0]!.body.max_tokens).toBe(32_000);
  });
});

describe("Bedrock", () => {
  const config: AnthropicConfig = {
    provider: "bedrock",
    model: "anthropic.claude-opus-4-6-v1:0",
    region: "eu-central-1",
    awsCredentials: { accessKeyId: "AKIDEXAMPLE", secretAccessKey: "not-a-secret" },
    maxOutputTokens: 4_000,
  };

  test("work signs its requests, names the model in the path and puts the mark on the last block", async () => {
    const server = await raw(twoTurns);
    const directory = await treeOf({});
    const result = await createAnthropicModel({ ...config, baseUrl: server.url }).work(workRequest(directory));
    expect(result).toMatchObject({ kind: "done" });
    expect(readFileSync(join(directory, "b.txt"), "utf8")).toBe("b");
    const [first, second] = server.requests;
    expect(decodeURIComponent(first!.path)).toBe("/model/anthropic.claude-opus-4-6-v1:0/invoke");
    expect(first!.headers.authorization).toMatch(
      /^AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE\/\d{8}\/eu-central-1\/bedrock\/aws4_request/,
    );
    expect(first!.body).toMatchObject({ anthropic_version: expect.any(String), max_tokens: 4_000, temperature: 0 });
    expect(first!.body.model).toBeUndefined();
    expect(first!.body.cache_control).toBeUndefined();
    expect(second!.body.messages.at(-1).content.at(-1)).toMatchObject({
      type: "tool_result",
      cache_control: { type: "ephemeral" },
    });
    expect(second!.body.messages.at(0)).toEqual({ role: "user", content: prompt.task });
  });

  test("work reads Bedrock's binary stream", async () => {
    const paths: string[] = [];
    const server = createServer((request, response) => {
      paths.push(decodeURIComponent(request.url ?? ""));
      request
        .resume()
        .on("end", () =>
          response
            .writeHead(200, { "content-type": "application/vnd.amazon.eventstream" })
            .end(awsEventStream(paths.length === 1 ? { content: [write] } : { content: "Done." })),
        );
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    closers.push(() => new Promise((resolve) => server.close(() => resolve())));
    const baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const directory = await treeOf({});
    expect(
      await createAnthropicModel({ ...config, baseUrl, maxOutputTokens: 16_000 }).work(workRequest(directory)),
    ).toMatchObject({ kind: "done", text: "Done." });
    expect(readFileSync(join(directory, "b.txt"), "utf8")).toBe("b");
    expect(paths[0]).toBe("/model/anthropic.claude-opus-4-6-v1:0/invoke-with-response-stream");
  });
});

describe("Vertex", () => {
  test("work sends the access token and names project, region and model in the path", async () => {
    const server = await raw(twoTurns);
    const model = createAnthropicModel({
      provider: "vertex",
      model: "claude-opus-5-5",
      region: "europe-west1",
      projectId: "demo-project",
      apiKey: "access-token",
      baseUrl: server.url,
      maxOutputTokens: 4_000,
    });
    expect(await model.work(workRequest(await treeOf({})))).toMatchObject({ kind: "done" });
    expect(server.requests[0]!.path).toBe(
      "/projects/demo-project/locations/europe-west1/publishers/anthropic/models/claude-opus-5-5:rawPredict",
    );
    expect(server.requests[0]!.headers.authorization).toBe("Bearer access-token");
    expect(server.requests[0]!.body).toMatchObject({ anthropic_version: expect.any(String) });
  });

  test("createAnthropicModel names the setting that is missing", () => {
    expect(() =>
      createAnthropicModel({ provider: "vertex", model: "claude-opus-5-5", maxOutputTokens: 4_000 }),
    ).toThrow("no region is configured (CLOUD_ML_REGION)");
    expect(() =>
      createAnthropicModel({ provider: "anthropic", model: "claude-opus-5-5", maxOutputTokens: 4_000 }),
    ).toThrow("no key is configured (ANTHROPIC_API_KEY");
    expect(() =>
      createAnthropicModel({ provider: "anthropic", model: "claude-opus-5-5", apiKey: "k", maxOutputTokens: 0 }),
    ).toThrow("must be positive, not 0");
  });
});

describe("cost", () => {
  const usage = {
    input_tokens: 1_000,
    output_tokens: 2_000,
    cache_read_input_tokens: 50_000,
    cache_creation_input_tokens: 7_000,
    cache_creation: { ephemeral_5m_input_tokens: 4_000, ephemeral_1h_input_tokens: 3_000 },
  };

  test("every call is recorded with its tokens and dollars, streamed or not", async () => {
    const server = await raw(({ index }) => ({ message: { content: index === 0 ? [write] : "Done.", usage } }));
    // Opus 5.5: $4 in, $20 out, $0.20 read, $5 and $8 written.
    const each = (1_000 * 4 + 2_000 * 20 + 50_000 * 0.2 + 4_000 * 5 + 3_000 * 8) / 1_000_000;
    const request = workRequest(await treeOf({}));
    const result = await modelAt(server.url).work(request);
    expect(request.calls).toHaveLength(2);
    for (const call of request.calls) {
      expect(call).toMatchObject({
        inputTokens: 1_000,
        outputTokens: 2_000,
        cacheReadTokens: 50_000,
        cacheWriteTokens: 7_000,
      });
      expect(call.costUsd).toBeCloseTo(each, 10);
    }
    expect(result.usage.calls).toBe(2);
    expect(result.usage.costUsd).toBeCloseTo(2 * each, 10);
    expect(request.turns.at(-1)!.usage).toEqual(result.usage);
  });

  test("a model without a price is charged the dearest one, and says so", async () => {
    const server = await raw(() => ({
      message: { content: "Done.", usage: { input_tokens: 1_000_000, output_tokens: 0 } },
    }));
    const unknown = modelAt(server.url, { model: "my-local-model" });
    expect(unknown.priceIsKnown).toBe(false);
    expect((await unknown.work(workRequest(await treeOf({})))).usage.costUsd).toBe(15);
    const priced = modelAt(server.url, {
      model: "my-local-model",
      prices: { "my-local-model": { input: 0, output: 0 } },
    });
    expect(priced.priceIsKnown).toBe(true);
    expect((await priced.work(workRequest(await treeOf({}), { budget: budget({ costUsd: 0 }) }))).usage.costUsd).toBe(
      0,
    );
  });
});

describe("budget", () => {
  const edits = ({ index }: RawRequest): RawReply => ({
    message: {
      content: [toolUse("write", { file_path: "b.txt", content: String(index) })],
      usage: { input_tokens: 10_000, output_tokens: 5_000 },
    },
  });

  test.each([
    ["turns", { turns: 3 }, "out-of-turns", 3],
    ["input tokens", { inputTokens: 26_000 }, "out-of-budget", 2],
    ["output tokens", { outputTokens: 11_000 }, "out-of-budget", 2],
    // A call costs $0.14; the second may cost as much as its budget allows, and after it less than one call is left.
    ["dollars", { costUsd: 0.36 }, "out-of-budget", 2],
  ])("work stops before the request that could exceed the limit of %s", async (_name, part, kind, requests) => {
    const server = await raw(edits);
    const limits = budget(part);
    const result = await modelAt(server.url).work(workRequest(await treeOf({}), { budget: limits }));
    expect(result.kind).toBe(kind);
    expect(server.requests).toHaveLength(requests);
    expect(result.usage.costUsd).toBeLessThanOrEqual(limits.costUsd);
    expect(result.usage.inputTokens).toBeLessThanOrEqual(limits.inputTokens);
    expect(result.usage.outputTokens).toBeLessThanOrEqual(limits.outputTokens);
  });

  test("work shortens the answer to what can still be paid for, and says so when that was too short", async () => {
    const server = await raw(() => ({ message: { content: "half of", stop_reason: "max_tokens" } }));
    const result = await modelAt(server.url).work(workRequest(await treeOf({}), { budget: budget({ costUsd: 0.1 }) }));
    expect(result).toMatchObject({
      kind: "out-of-budget",
      message: "What was left of the budget did not suffice for a whole answer",
    });
    const [request] = server.requests;
    expect(request!.body.max_tokens).toBeGreaterThanOrEqual(2_048);
    expect(request!.body.max_tokens).toBeLessThan(5_000);
  });
});

describe("context", () => {
  const long = "x = 1234;\n".repeat(2_000);
  const handler = ({ index, path }: RawRequest): RawReply => {
    if (path.includes("count_tokens"))
      return { status: 404, body: { type: "error", error: { type: "not_found_error", message: "no" } } };
    return {
      message: {
        content: index < 12 ? [toolUse("read", { file_path: `f${index}.txt` }, `toolu_${index}`)] : "Done.",
        usage: { input_tokens: 1_000 + index * 8_000 },
      },
    };
  };
  const files = Object.fromEntries(Array.from({ length: 30 }, (_, index) => [`f${index}.txt`, long]));

  test("work prunes old results before the window is full, and keeps the first prompt and the last turns", async () => {
    const server = await raw(handler);
    const request = workRequest(await treeOf(files));
    const model = modelAt(server.url, { contextWindowTokens: 60_000, maxOutputTokens: 8_000 });
    expect(await model.work(request)).toMatchObject({ kind: "done" });
    const asked = server.requests.filter(({ path }) => !path.includes("count_tokens"));
    const last = asked.at(-1)!.body.messages;
    expect(last[0]).toEqual({ role: "user", content: prompt.task });
    const texts = last
      .flatMap((message: { content: unknown }) => (Array.isArray(message.content) ? message.content : []))
      .filter((block: { type: string }) => block.type === "tool_result");
    expect(texts[0].content).toMatch(/^\[Result of read f0\.txt removed to save room: 20000 characters/);
    expect(texts.at(-1).content).toBe(long);
    // Each stub is at the same place for the rest of the work, so what was cached stays cached.
    for (const { body } of asked) expect(JSON.stringify(body.messages).length / 2.5).toBeLessThan(60_000);
  });

  test("work asks the provider to count before it prunes", async () => {
    const server = await raw((request) =>
      request.path.includes("count_tokens") ? { status: 200, body: { input_tokens: 3_000 } } : handler(request),
    );
    const request = workRequest(await treeOf(files), { transcript: [{ role: "user", content: long.repeat(8) }] });
    await modelAt(server.url, { contextWindowTokens: 60_000, maxOutputTokens: 8_000 }).work({
      ...request,
      budget: budget({ turns: 1 }),
    });
    expect(server.requests.map(({ path }) => path.includes("count_tokens"))).toEqual([true, false]);
    expect(server.requests[1]!.body.messages[0].content).toHaveLength(160_000);
  });

  test("work halves the conversation when the provider says that it is too long, and ends when it cannot", async () => {
    const overflow: RawReply = {
      status: 400,
      body: {
        type: "error",
        error: { type: "invalid_request_error", message: "prompt is too long: 300000 tokens > 200000 maximum" },
      },
    };
    const transcript = [
      { role: "user", content: "Fix." },
      ...Array.from({ length: 8 }, (_, index) => [
        { role: "assistant", content: [toolUse("read", { file_path: `f${index}.txt` }, `t${index}`)] },
        { role: "user", content: [{ type: "tool_result", tool_use_id: `t${index}`, content: long }] },
      ]).flat(),
    ];
    const once = await raw(({ index }) => (index === 0 ? overflow : { message: { content: "Done." } }));
    expect(await modelAt(once.url).work(workRequest(await treeOf({}), { transcript }))).toMatchObject({ kind: "done" });
    const sizes = once.requests.map(({ body }) => JSON.stringify(body.messages).length);
    expect(sizes[1]).toBeLessThan(sizes[0]! * 0.6);

    const always = await raw(() => overflow);
    expect(await modelAt(always.url).work(workRequest(await treeOf({}), { transcript }))).toMatchObject({
      kind: "context-overflow",
    });
    const asked = always.requests.map(({ body }) => JSON.stringify(body.messages).length);
    expect(asked).toHaveLength(4);
    expect(asked).toEqual([...new Set(asked)].sort((a, b) => b - a));
    const stop = await raw(() => ({ message: { content: [], stop_reason: "model_context_window_exceeded" } }));
    expect(await modelAt(stop.url).work(workRequest(await treeOf({}), { transcript }))).toMatchObject({
      kind: "context-overflow",
    });
  });
});

/** AWS's framing: lengths and checksums around headers and a payload with the event in base64. */
function awsEventStream(message: RawMessage): Buffer {
  const events = Array.from(messageEvents(message).matchAll(/^data: (.*)$/gm), (match) => match[1]!);
  return Buffer.concat(
    events.map((event) => frame(Buffer.from(JSON.stringify({ bytes: Buffer.from(event).toString("base64") })))),
  );
}

function frame(payload: Buffer): Buffer {
  const headers = Buffer.concat(
    Object.entries({ ":event-type": "chunk", ":content-type": "application/json", ":message-type": "event" }).map(
      ([name, value]) =>
        Buffer.concat([
          Buffer.from([name.length]),
          Buffer.from(name),
          Buffer.from([7, 0, value.length]),
          Buffer.from(value),
        ]),
    ),
  );
  const prelude = Buffer.alloc(8);
  prelude.writeUInt32BE(16 + headers.length + payload.length, 0);
  prelude.writeUInt32BE(headers.length, 4);
  const body = Buffer.concat([prelude, checksum(prelude), headers, payload]);
  return Buffer.concat([body, checksum(body)]);
}

function checksum(bytes: Buffer): Buffer {
  const sum = Buffer.alloc(4);
  sum.writeUInt32BE(crc32(bytes));
  return sum;
}
