import { afterEach, describe, expect, test } from "vitest";
import { z } from "zod";
import type { AnthropicConfig } from "../../../src/agent/anthropic/config.ts";
import type { Budget, CallRecord, Prompt } from "../../../src/agent/model.ts";
import { Analysis } from "../../../src/agent/schemas.ts";
import { type RawReply, type RawRequest, startRawModel, startScriptedModel } from "../../support/scripted-model.ts";
import { budget, modelAt, prompt } from "../support.ts";

const closers: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0)) await close();
});

async function raw(...replies: RawReply[]) {
  const server = await startRawModel(({ index }: RawRequest) => replies[Math.min(index, replies.length - 1)]!);
  closers.push(() => server.close());
  return server;
}

const Schema = z.object({ name: z.string(), count: z.number().int() });
const good: RawReply = { message: { content: '{"name":"a","count":2}' } };

async function ask(url: string, part: { prompt?: Prompt; budget?: Budget; config?: Partial<AnthropicConfig> } = {}) {
  const calls: CallRecord[] = [];
  const answer = await modelAt(url, part.config).object({
    prompt: part.prompt ?? prompt,
    schema: Schema,
    budget: part.budget ?? budget(),
    signal: new AbortController().signal,
    record: async (call) => void calls.push(call),
  });
  return { answer, calls };
}

describe("object", () => {
  test("object returns an answer that fits the schema", async () => {
    const server = await startScriptedModel();
    closers.push(() => server.close());
    server.on({ systemMessage: "stage: write-change" }, { content: '{"name":"a","count":2}' });
    const { answer, calls } = await ask(server.url);
    expect(answer).toMatchObject({ kind: "answer", value: { name: "a", count: 2 } });
    expect(calls).toMatchObject([
      {
        provider: "anthropic",
        model: "claude-opus-5-5",
        prompt: "write-change",
        promptVersion: "1",
        ending: "end_turn",
      },
    ]);
  });

  test("object sends the schema, streams long answers and not short ones", async () => {
    const server = await raw(good);
    await ask(server.url);
    await ask(server.url, { config: { maxOutputTokens: 4_000 } });
    expect(server.requests.map(({ body }) => [body.max_tokens, body.stream ?? false])).toEqual([
      [16_000, true],
      [4_000, false],
    ]);
    expect(server.requests[0]!.body.output_config.format).toMatchObject({
      type: "json_schema",
      schema: { required: ["name", "count"], additionalProperties: false },
    });
  });

  test("object tells the model what is wrong, at most twice", async () => {
    const server = await raw(
      { message: { content: '{"name":"a","count":"two"}' } },
      { message: { content: "{not json" } },
      good,
    );
    const { answer, calls } = await ask(server.url);
    expect(answer).toMatchObject({ kind: "answer", usage: { calls: 3 } });
    expect(calls).toHaveLength(3);
    expect(server.requests[1]!.body.messages.slice(1)).toEqual([
      { role: "assistant", content: '{"name":"a","count":"two"}' },
      { role: "user", content: expect.stringContaining("count: Invalid input: expected number, received string") },
    ]);
    expect(server.requests[2]!.body.messages[2].content).toContain("it is not JSON");
    expect(server.requests[2]!.body.messages).toHaveLength(3);

    const never = await raw({ message: { content: "sorry" } });
    expect((await ask(never.url)).answer).toMatchObject({ kind: "invalid-answer", usage: { calls: 3 } });
    expect(never.requests).toHaveLength(3);
  });

  test("object asks for a shorter answer when one was cut off", async () => {
    const server = await raw({ message: { content: '{"name":"aaaa', stop_reason: "max_tokens" } }, good);
    expect((await ask(server.url)).answer.kind).toBe("answer");
    expect(server.requests[1]!.body.messages[2].content).toContain("it was cut off after 16000 tokens");
  });

  test("object takes an answer in a code fence, as some compatible servers send it", async () => {
    const server = await raw({ message: { content: '```json\n{"name":"a","count":2}\n```' } });
    expect((await ask(server.url, { config: { model: "qwen3-coder" } })).answer.kind).toBe("answer");
    expect(server.requests[0]!.body.messages[0].content).toContain('"required":["name","count"]');
  });

  test("object tries a refused prompt once more, smaller", async () => {
    const refusal: RawReply = { message: { content: [], stop_reason: "refusal" } };
    const server = await raw(refusal, good);
    const withRepository = { ...prompt, repository: "Use tabs." };
    expect((await ask(server.url, { prompt: withRepository })).answer.kind).toBe("answer");
    expect(server.requests.map(({ body }) => body.system.length)).toEqual([2, 1]);
    const always = await raw(refusal);
    expect((await ask(always.url, { prompt: withRepository })).answer).toMatchObject({
      kind: "refused",
      message: "The model refused the request",
    });
    expect(always.requests).toHaveLength(2);
  });

  test("object never leaves out a part that the answer is about", async () => {
    const refusal: RawReply = { message: { content: [], stop_reason: "refusal" } };
    const overflow: RawReply = { message: { content: "", stop_reason: "model_context_window_exceeded" } };
    const needed = { ...prompt, repository: "The change.", needsRepository: true };
    for (const [reply, kind] of [
      [refusal, "refused"],
      [overflow, "context-overflow"],
    ] as const) {
      const server = await raw(reply, good);
      expect((await ask(server.url, { prompt: needed })).answer.kind).toBe(kind);
      expect(server.requests.map(({ body }) => body.system.length)).toEqual([2]);
    }
  });

  test("object shrinks and retries once when the prompt is too long", async () => {
    const overflow: RawReply = {
      status: 400,
      body: {
        type: "error",
        error: { type: "invalid_request_error", message: "prompt is too long: 1000001 tokens > 1000000 maximum" },
      },
    };
    const server = await raw(overflow, good);
    expect((await ask(server.url, { prompt: { ...prompt, repository: "x" } })).answer.kind).toBe("answer");
    const always = await raw(overflow);
    expect((await ask(always.url)).answer).toMatchObject({ kind: "context-overflow" });
    expect(always.requests).toHaveLength(2);
  });

  test("object counts before it asks, and leaves the repository's part out of a prompt that does not fit", async () => {
    const counting = async (tokens: number[]) => {
      const server = await startRawModel(({ path }) =>
        path.includes("count_tokens") ? { status: 200, body: { input_tokens: tokens.shift() } } : good,
      );
      closers.push(() => server.close());
      return server;
    };
    const config = { contextWindowTokens: 60_000, maxOutputTokens: 8_000 };
    const long = { ...prompt, task: "x".repeat(150_000), repository: "Use tabs." };
    const smaller = await counting([70_000, 50_000]);
    expect((await ask(smaller.url, { prompt: long, config })).answer.kind).toBe("answer");
    expect(smaller.requests.map(({ path, body }) => [path.includes("count_tokens"), body.system.length])).toEqual([
      [true, 2],
      [true, 1],
      [false, 1],
    ]);
    const never = await counting([70_000, 69_000]);
    expect((await ask(never.url, { prompt: long, config })).answer).toMatchObject({
      kind: "context-overflow",
      usage: { calls: 0 },
    });
    expect(never.requests).toHaveLength(2);
  });

  test("object ends at its limits before it asks", async () => {
    const server = await raw(good);
    expect((await ask(server.url, { budget: budget({ turns: 0 }) })).answer.kind).toBe("out-of-turns");
    expect((await ask(server.url, { budget: budget({ costUsd: 0.001 }) })).answer.kind).toBe("out-of-budget");
    expect((await ask(server.url, { budget: budget({ inputTokens: 10 }) })).answer.kind).toBe("out-of-budget");
    expect((await ask(server.url, { budget: budget({ outputTokens: 10 }) })).answer.kind).toBe("out-of-budget");
    expect((await ask(server.url, { budget: budget({ deadline: new Date(0) }) })).answer.kind).toBe("out-of-time");
    expect(server.requests).toHaveLength(0);
  });

  test("object takes a whole Analysis", async () => {
    const value: Analysis = {
      summary: "s",
      acceptanceCriteria: ["c"],
      relevantFiles: [{ path: "a.ts", reason: "r" }],
      plan: ["p"],
      commitType: "fix",
      title: "fix it",
      size: "small",
      risk: "low",
      riskReason: "r",
      openQuestions: [],
      doable: "yes",
    };
    const server = await raw({ message: { content: JSON.stringify(value) } });
    const answer = await modelAt(server.url).object({
      prompt,
      schema: Analysis,
      budget: budget(),
      signal: new AbortController().signal,
      record: async () => undefined,
    });
    expect(answer).toMatchObject({ kind: "answer", value });
  });
});
