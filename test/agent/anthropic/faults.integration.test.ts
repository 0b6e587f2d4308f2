import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { z } from "zod";
import { type Model, TransientModelError } from "../../../src/agent/model.ts";
import { createRedactor } from "../../../src/policy/redact.ts";
import {
  messageEvents,
  type RawMessage,
  type RawReply,
  type RawRequest,
  startRawModel,
  startScriptedModel,
} from "../../support/scripted-model.ts";
import { budget, modelAt, prompt, toolUse, treeOf, workRequest } from "../support.ts";

const closers: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0)) await close();
});

async function raw(handler: (request: RawRequest) => RawReply | Promise<RawReply>) {
  const server = await startRawModel(handler);
  closers.push(() => server.close());
  return server;
}

const errorBody = (type: string, message = "no") => ({ type: "error", error: { type, message } });
const ask = (model: Model) =>
  model.object({
    prompt,
    schema: z.object({ a: z.number() }),
    budget: budget(),
    signal: new AbortController().signal,
    record: async () => undefined,
  });

async function transient(run: Promise<unknown>): Promise<TransientModelError> {
  const error = await run.then(
    (value) => expect.unreachable(`nothing was thrown: ${JSON.stringify(value)}`),
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(TransientModelError);
  return error as TransientModelError;
}

describe("transient faults", () => {
  test.each([
    ["429 with seconds", 429, "rate_limit_error", { "retry-after": "7" }, 7],
    ["429 with milliseconds", 429, "rate_limit_error", { "retry-after-ms": "1500" }, 1.5],
    ["429 with three weeks", 429, "rate_limit_error", { "retry-after": "1814400" }, 900],
    ["429 without a pause", 429, "rate_limit_error", {}, 30],
    ["529", 529, "overloaded_error", {}, 20],
    ["529 with seconds", 529, "overloaded_error", { "retry-after": "3" }, 3],
    ["500", 500, "api_error", {}, 10],
    ["502 of a proxy", 502, "bad_gateway", {}, 10],
    ["503", 503, "api_error", {}, 10],
  ])("object and work throw TransientModelError at once for %s", async (_name, status, type, headers, seconds) => {
    const server = await raw(() => ({ status, headers, body: errorBody(type) }));
    expect((await transient(ask(modelAt(server.url)))).retryAfterSeconds).toBe(seconds);
    expect((await transient(modelAt(server.url).work(workRequest(await treeOf({}))))).retryAfterSeconds).toBe(seconds);
    expect(server.requests).toHaveLength(2);
  });

  test("a retry-after that is a date counts from now", async () => {
    const server = await raw(() => ({
      status: 429,
      headers: { "retry-after": new Date(Date.now() + 60_000).toUTCString() },
      body: errorBody("rate_limit_error"),
    }));
    const { retryAfterSeconds } = await transient(ask(modelAt(server.url)));
    expect(retryAfterSeconds).toBeGreaterThan(50);
    expect(retryAfterSeconds).toBeLessThanOrEqual(60);
  });

  test("a lost connection, a refused connection, and garbage instead of JSON are transient", async () => {
    const lost = await raw(() => "hang-up");
    await transient(ask(modelAt(lost.url)));
    await transient(ask(modelAt("http://127.0.0.1:9")));
    const garbage = await raw(() => ({ status: 200, body: "<html>gateway</html>" }));
    await transient(ask(modelAt(garbage.url, { maxOutputTokens: 4_000 })));
    await transient(ask(modelAt(garbage.url)));
  });

  test("an error event in the middle of a stream is transient", async () => {
    const started = messageEvents({ content: "Hello" }).split("event: content_block_stop")[0]!;
    const body = `${started}event: error\ndata: ${JSON.stringify(errorBody("overloaded_error", "Overloaded"))}\n\n`;
    const server = await raw(() => ({ status: 200, headers: { "content-type": "text/event-stream" }, body }));
    expect((await transient(ask(modelAt(server.url)))).message).toContain("overloaded");
  });

  const edits: RawMessage = {
    content: [{ type: "text", text: "I edit." }, toolUse("write", { file_path: "a.txt", content: "two" }, "toolu_cut")],
  };
  const size = Buffer.byteLength(messageEvents(edits));
  const positions = [0, 1, 60, ...[0.2, 0.4, 0.6, 0.7, 0.8, 0.9].map((share) => Math.floor(size * share)), size - 60];

  test.each(positions)("a stream cut at byte %i is transient and never half an edit", async (at) => {
    const directory = await treeOf({ "a.txt": "one" });
    for (const how of ["cutAfterBytes", "endAfterBytes"] as const) {
      const server = await raw(() => ({ message: edits, [how]: at }));
      const request = workRequest(directory);
      await transient(modelAt(server.url).work(request));
      expect(readFileSync(join(directory, "a.txt"), "utf8")).toBe("one");
      expect(request.turns).toHaveLength(0);
    }
  });

  test("a stream that breaks off is recorded with the tokens that its beginning said", async () => {
    const server = await raw(() => ({
      message: { ...edits, usage: { input_tokens: 5_000 } },
      cutAfterBytes: Math.floor(size / 2),
    }));
    const request = workRequest(await treeOf({}));
    await transient(modelAt(server.url).work(request));
    expect(request.calls).toMatchObject([{ ending: "transient", inputTokens: 5_000 }]);
    expect(request.calls[0]!.costUsd).toBeGreaterThan(0);
  });

  test("an answer without an ending is transient, streamed or not, and none of its tools runs", async () => {
    const directory = await treeOf({ "a.txt": "one" });
    const server = await raw(() => ({ message: { ...edits, stop_reason: null } }));
    for (const maxOutputTokens of [4_000, 16_000]) {
      const error = await transient(modelAt(server.url, { maxOutputTokens }).work(workRequest(directory)));
      expect(error.message).toContain("the answer ended before it was complete");
    }
    expect(readFileSync(join(directory, "a.txt"), "utf8")).toBe("one");
  });

  test("a failure to record a call is no fault of the model", async () => {
    const server = await raw(() => ({ message: edits }));
    const record = async () => {
      throw Object.assign(new Error("the database is away"), { code: "ECONNREFUSED" });
    };
    const error = await modelAt(server.url)
      .work(workRequest(await treeOf({}), { record }))
      .catch((thrown: unknown) => thrown);
    expect(error).not.toBeInstanceOf(TransientModelError);
    expect((error as Error).message).toBe("the database is away");
  });

  test("a stream that stalls is transient after the idle time", async () => {
    const server = await raw(() => ({ message: edits, stallAfterBytes: Math.floor(size / 2) }));
    const startedAt = Date.now();
    const error = await transient(modelAt(server.url, { idleTimeoutSeconds: 0.3 }).work(workRequest(await treeOf({}))));
    expect(error.message).toContain("sent nothing for 0.3 s");
    expect(Date.now() - startedAt).toBeLessThan(2_000);
    const silent = await raw(() => "silence");
    await transient(modelAt(silent.url, { idleTimeoutSeconds: 0.3 }).work(workRequest(await treeOf({}))));
  });

  test("the turns before a fault were handed out", async () => {
    const server = await startScriptedModel();
    closers.push(() => server.close());
    const call = { id: "toolu_1", name: "write", arguments: JSON.stringify({ file_path: "b.txt", content: "b" }) };
    server.on({ turnIndex: 0 }, { content: "One.", toolCalls: [call] });
    server.on(
      { turnIndex: 1 },
      { error: { message: "Too many", type: "rate_limit_error" }, status: 429, retryAfter: 4 },
    );
    const directory = await treeOf({});
    const request = workRequest(directory);
    expect((await transient(modelAt(server.url).work(request))).retryAfterSeconds).toBe(4);
    expect(request.turns).toHaveLength(1);
    expect(readFileSync(join(directory, "b.txt"), "utf8")).toBe("b");
  });

  test("aimock's malformed answers are transient", async () => {
    const server = await startScriptedModel();
    closers.push(() => server.close());
    server.on({}, { content: "Hello." });
    server.mock.setChaos({ malformedRate: 1 });
    await transient(ask(modelAt(server.url, { maxOutputTokens: 4_000 })));
  });
});

describe("faults that stay", () => {
  test.each([
    [401, "authentication_error", "Look at the credentials (ANTHROPIC_API_KEY)."],
    [403, "permission_error", "Look at the credentials (ANTHROPIC_API_KEY)."],
    [404, "not_found_error", "Look at the model's name and the base address (MILLWRIGHT_MODEL, ANTHROPIC_BASE_URL)."],
    [400, "invalid_request_error", "no"],
  ])("a %i is thrown with what to look at, and is not transient", async (status, type, hint) => {
    const server = await raw(() => ({ status, body: errorBody(type) }));
    const error = await ask(modelAt(server.url)).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(Error);
    expect(error).not.toBeInstanceOf(TransientModelError);
    expect((error as Error).message).toContain("The model's provider refused the request");
    expect((error as Error).message).toContain(hint);
    expect(server.requests).toHaveLength(1);
  });

  test("secrets in a provider's message are redacted", async () => {
    const server = await raw(() => ({
      status: 400,
      body: errorBody("invalid_request_error", "bad value hunter2-hunter2"),
    }));
    const redactor = createRedactor([{ name: "KEY", value: "hunter2-hunter2" }]);
    await expect(ask(modelAt(server.url, { redactor }))).rejects.toThrow("bad value [redacted:KEY]");
  });
});
