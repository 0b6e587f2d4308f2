import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { z } from "zod";
import { ModelRefusedError, TransientModelError } from "../../../src/agent/model.ts";
import {
  messageEvents,
  type RawMessage,
  type RawModel,
  type RawReply,
  type RawRequest,
  startRawModel,
} from "../../support/scripted-model.ts";
import { budget, modelAt, prompt, toolUse, treeOf, workRequest } from "../support.ts";

const closers: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0)) await close();
});

async function raw(handler: (request: RawRequest) => RawReply | Promise<RawReply>): Promise<RawModel> {
  const server = await startRawModel(handler);
  closers.push(() => server.close());
  return server;
}

const done: RawReply = { message: { content: "Done." } };
const write = (content = "two", id?: string) => toolUse("write", { file_path: "a.txt", content }, id);
/** The events of a message after `change`, as a stream whose framing is whole. */
const events = (message: RawMessage, change: (text: string) => string): RawReply => ({
  status: 200,
  headers: { "content-type": "text/event-stream" },
  body: change(messageEvents(message)),
});
const inOrder =
  (...replies: RawReply[]) =>
  ({ index }: RawRequest) =>
    replies[Math.min(index, replies.length - 1)]!;
/** Streamed and in one piece. */
const sizes = [16_000, 4_000];

describe("arguments of a tool call that are not whole", () => {
  const json = JSON.stringify({ file_path: "a.txt", content: "two and more" });

  test("work never runs a call whose JSON ends too early, wherever that is, and asks for it anew", async () => {
    const directory = await treeOf({ "a.txt": "one" });
    for (let length = 1; length < json.length; length += 1) {
      const whole = JSON.stringify(json);
      const part = JSON.stringify(json.slice(0, length));
      const cut = events({ content: [toolUse("write", JSON.parse(json))] }, (text) => text.replace(whole, part));
      const server = await raw(inOrder(cut, done));
      const request = workRequest(directory);
      expect(await modelAt(server.url).work(request)).toMatchObject({ kind: "done" });
      expect(readFileSync(join(directory, "a.txt"), "utf8"), `cut after ${length}`).toBe("one");
      expect(JSON.stringify(server.requests[1]?.body.messages)).toContain("No tool of it was run");
      expect(request.calls[0]).toMatchObject({ ending: "broken-call", inputTokens: 100, outputTokens: 20 });
    }
  });

  test("work gives up when a call stays no JSON, and what it cost is recorded", async () => {
    const server = await raw(() =>
      events({ content: [write()] }, (text) => text.replace('"{\\"file_path', '"}{nonsense\\"file_path')),
    );
    const request = workRequest(await treeOf({ "a.txt": "one" }));
    expect(await modelAt(server.url).work(request)).toMatchObject({
      kind: "gave-up",
      message: "The model's answer was not usable 3 times in a row",
    });
    expect(request.calls.map(({ ending, outputTokens }) => [ending, outputTokens > 1])).toEqual(
      Array(3).fill(["broken-call", true]),
    );
  });

  test("object takes a call whose JSON ends too early for an empty answer", async () => {
    const broken = events({ content: [write()] }, (text) => text.replace('two\\"}', "tw"));
    const server = await raw(inOrder(broken, { message: { content: '{"a":1}' } }));
    expect(await ask(server.url)).toMatchObject({ kind: "answer", value: { a: 1 } });
  });

  test.each([
    ["a string", "two"],
    ["a list", ["a.txt", "two"]],
    ["nothing", null],
    ["a number", 7],
  ])(
    "work answers arguments that are %s with an error, and sends back a conversation that is valid",
    async (_, input) => {
      for (const maxOutputTokens of sizes) {
        const server = await raw(inOrder({ message: { content: [toolUse("write", input)] } }, done));
        const directory = await treeOf({ "a.txt": "one" });
        expect(await modelAt(server.url, { maxOutputTokens }).work(workRequest(directory))).toMatchObject({
          kind: "done",
        });
        const blocks = server.requests[1]!.body.messages.flatMap(({ content }: RawMessage) =>
          typeof content === "string" ? [{ type: "text", text: content }] : content,
        );
        const calls = blocks.filter(({ type }: { type: string }) => type === "tool_use");
        for (const call of calls) expect(call.input).toEqual({});
        for (const result of blocks.filter(({ type }: { type: string }) => type === "tool_result"))
          expect(result.is_error).toBe(true);
        // A stream whose arguments are not even the beginning of an object is asked for anew.
        expect(calls.length === 1 || JSON.stringify(blocks).includes("No tool of it was run")).toBe(true);
        expect(readFileSync(join(directory, "a.txt"), "utf8")).toBe("one");
      }
    },
  );

  test.each([
    ["an unknown tool", toolUse("teleport", { to: "production" })],
    ["a toolset that is none of ours", { ...write(), toolset_name: "computer" }],
    ["a file without content", toolUse("write", { file_path: "a.txt" })],
    ["an edit without its new text", toolUse("edit", { file_path: "a.txt", old_string: "one" })],
    ["an edit of no text", toolUse("edit", { file_path: "a.txt", old_string: ["one"], new_string: "two" })],
    ["wrong types", toolUse("write", { file_path: ["a.txt"], content: { a: 1 } })],
    ["a text for many files", toolUse("write", { file_path: "a.txt", content: "x".repeat(10_000_000) })],
  ])("work answers %s with an error and goes on", async (_, call) => {
    const server = await raw(inOrder({ message: { content: [call] } }, done));
    const directory = await treeOf({ "a.txt": "one" });
    expect(await modelAt(server.url).work(workRequest(directory))).toMatchObject({ kind: "done" });
    expect(server.requests.at(-1)!.body.messages[2].content[0]).toMatchObject({ is_error: true });
    expect(readFileSync(join(directory, "a.txt"), "utf8")).toBe("one");
    expect(JSON.stringify(server.requests.at(-1)!.body).length).toBeLessThan(1_000_000);
  });

  test("work gives calls of the same id different ones, within a turn and across turns", async () => {
    const again: RawReply = { message: { content: [write("three", "same")] } };
    const server = await raw(
      inOrder({ message: { content: [write("one", "same"), write("two", "same"), write("2", "")] } }, again, done),
    );
    const directory = await treeOf({ "a.txt": "zero" });
    expect(await modelAt(server.url).work(workRequest(directory))).toMatchObject({ kind: "done" });
    const blocks = server.requests[2]!.body.messages.slice(1).flatMap((message: RawMessage) => message.content);
    expect(blocks.map((block: { id?: string; tool_use_id?: string }) => block.id ?? block.tool_use_id)).toEqual([
      "same",
      "same_2",
      "call",
      "same",
      "same_2",
      "call",
      "same_3",
      "same_3",
    ]);
    expect(readFileSync(join(directory, "a.txt"), "utf8")).toBe("three");
  });
});

describe("endings that do not fit", () => {
  test("work runs calls also when the ending does not speak of them", async () => {
    for (const stop_reason of ["end_turn", "stop_sequence", "banana"]) {
      const server = await raw(inOrder({ message: { content: [write()], stop_reason } }, done));
      const directory = await treeOf({ "a.txt": "one" });
      expect(await modelAt(server.url).work(workRequest(directory))).toMatchObject({ kind: "done" });
      expect(readFileSync(join(directory, "a.txt"), "utf8")).toBe("two");
    }
  });

  test("work asks for the call that an answer announces and does not make", async () => {
    const server = await raw(inOrder({ message: { content: "I write.", stop_reason: "tool_use" } }, done));
    expect(await modelAt(server.url).work(workRequest(await treeOf({})))).toMatchObject({ kind: "done" });
    expect(server.requests[1]!.body.messages.at(-1).content).toContain("no call was in it");
    const always = await raw(() => ({ message: { content: "I write.", stop_reason: "tool_use" } }));
    expect(await modelAt(always.url).work(workRequest(await treeOf({})))).toMatchObject({ kind: "gave-up" });
  });

  test("work goes on after a pause, and does not send back a message without content", async () => {
    const server = await raw(
      inOrder(
        { message: { content: "Thinking.", stop_reason: "pause_turn" } },
        { message: { content: [], stop_reason: "pause_turn" } },
        done,
      ),
    );
    expect(await modelAt(server.url).work(workRequest(await treeOf({})))).toMatchObject({ kind: "done" });
    for (const { body } of server.requests)
      for (const { content } of body.messages) expect(content.length).toBeGreaterThan(0);
  });

  test("work ignores threads, containers and blocks that it does not know, and keeps sending the whole conversation", async () => {
    const odd = [{ type: "hologram", data: "x" }, { type: "text", text: "I write." }, write()];
    const message = { content: odd, usage: { thread: "t" }, stop_details: null };
    const server = await raw(inOrder({ message: { ...message, thread: { id: "thread_1" } } as RawMessage }, done));
    const directory = await treeOf({ "a.txt": "one" });
    expect(await modelAt(server.url).work(workRequest(directory))).toMatchObject({ kind: "done" });
    expect(server.requests[1]!.body).not.toHaveProperty("thread");
    expect(server.requests[1]!.body.messages).toHaveLength(3);
    expect(readFileSync(join(directory, "a.txt"), "utf8")).toBe("two");
  });
});

describe("figures that cannot be true", () => {
  test.each([
    ["missing", undefined],
    ["negative", -1_000_000],
    ["a text", "12"],
    ["no number", Number.NaN],
  ])("work counts our own estimate where a figure is %s", async (_, figure) => {
    const usage = { input_tokens: figure, output_tokens: figure, cache_read_input_tokens: figure };
    for (const maxOutputTokens of sizes) {
      const server = await raw(inOrder({ message: { content: [write()], usage } }, done));
      const request = workRequest(await treeOf({ "a.txt": "one" }));
      expect(await modelAt(server.url, { maxOutputTokens }).work(request)).toMatchObject({ kind: "done" });
      const [call] = request.calls;
      expect(call!.inputTokens).toBeGreaterThan(1_000);
      expect(call!.outputTokens).toBeGreaterThan(0);
      expect(call!.cacheReadTokens).toBe(0);
      expect(call!.costUsd).toBeGreaterThan(0);
    }
  });

  test("work takes an answer without any usage, streamed or not", async () => {
    const message = { content: [write()] };
    const whole = JSON.parse(JSON.stringify({ ...message, stop_reason: "tool_use", type: "message" }));
    const streamed = events(message, (text) => text.replaceAll(/,?"usage":\{[^}]*\}/g, ""));
    for (const reply of [streamed, { status: 200, body: whole }] satisfies RawReply[]) {
      const maxOutputTokens = reply === streamed ? 16_000 : 4_000;
      const server = await raw(inOrder(reply, done));
      const request = workRequest(await treeOf({ "a.txt": "one" }));
      const ending = await modelAt(server.url, { maxOutputTokens })
        .work(request)
        .catch((error: unknown) => error);
      // The SDK cannot read a stream without usage.
      if (ending instanceof Error) expect(ending).toBeInstanceOf(TransientModelError);
      else expect(request.calls[0]!.inputTokens).toBeGreaterThan(1_000);
    }
  });

  test("work ends out of budget after a figure beyond every bound", async () => {
    const usage = { input_tokens: 1e300, output_tokens: Number.MAX_SAFE_INTEGER };
    const server = await raw(() => ({ message: { content: [write()], usage } }));
    const request = workRequest(await treeOf({ "a.txt": "one" }));
    expect(await modelAt(server.url).work(request)).toMatchObject({ kind: "out-of-budget" });
    expect(request.calls).toMatchObject([{ inputTokens: 1_000_000_000, outputTokens: 1_000_000_000 }]);
  });

  test("work shrinks a conversation also where the server counts too little", async () => {
    const usage = { input_tokens: 0, output_tokens: 0 };
    const files = { "long.txt": "line of code\n".repeat(1_500) };
    const server = await raw(({ index, path }) => {
      if (path.includes("count_tokens")) return { status: 200, body: { input_tokens: -5 } };
      return index > 20
        ? done
        : { message: { content: [toolUse("read", { file_path: "long.txt", offset: index })], usage } };
    });
    const model = modelAt(server.url, { contextWindowTokens: 60_000, maxOutputTokens: 8_000 });
    await model.work(workRequest(await treeOf(files), { budget: budget({ turns: 16 }) }));
    const asked = server.requests.filter(({ path }) => !path.includes("count_tokens"));
    expect(asked.length).toBeGreaterThan(10);
    for (const { body } of asked) expect(JSON.stringify(body.messages).length / 2.5).toBeLessThan(60_000);
  });

  test("work goes on without a count that does not come", async () => {
    const server = await raw(({ path }) =>
      path.includes("count_tokens") ? { status: 200, body: { input_tokens: "many" } } : done,
    );
    const transcript = [{ role: "user", content: "x".repeat(200_000) }];
    const model = modelAt(server.url, { contextWindowTokens: 60_000, maxOutputTokens: 8_000 });
    expect(await model.work(workRequest(await treeOf({}), { transcript }))).toMatchObject({ kind: "context-overflow" });
    expect(server.requests).toHaveLength(1);
  });

  test("a stream that breaks off is recorded with an estimate of what came of it", async () => {
    const message = { content: "word ".repeat(2_000) };
    const size = Buffer.byteLength(messageEvents(message));
    const server = await raw(() => ({ message, cutAfterBytes: size - 150 }));
    const request = workRequest(await treeOf({}));
    await expect(modelAt(server.url).work(request)).rejects.toThrow(TransientModelError);
    expect(request.calls[0]!.outputTokens).toBeGreaterThan(2_000);
  });
});

const ask = (url: string, maxOutputTokens = 16_000) =>
  modelAt(url, { maxOutputTokens }).object({
    prompt,
    schema: z.object({ a: z.number() }),
    budget: budget(),
    signal: new AbortController().signal,
    record: async () => undefined,
  });

test("an answer without an ending is paid for, streamed or not", async () => {
  const server = await raw(() => ({ message: { content: [write()], stop_reason: null } }));
  for (const maxOutputTokens of sizes) {
    const request = workRequest(await treeOf({}));
    await expect(modelAt(server.url, { maxOutputTokens }).work(request)).rejects.toThrow(TransientModelError);
    expect(request.calls).toMatchObject([{ ending: "transient", inputTokens: 100 }]);
    expect(request.calls[0]!.outputTokens).toBeGreaterThanOrEqual(20);
  }
});

describe("answers that are no messages", () => {
  const page = "<html><head><title>502 Bad Gateway</title></head></html>";
  const html = { "content-type": "text/html" };
  test.each<[string, RawReply]>([
    ["a page with 502", { status: 502, headers: html, body: page }],
    ["a page with 200", { status: 200, headers: html, body: page }],
    ["a page that says that it is JSON", { status: 200, body: page }],
    ["garbage that says that it is gzip", { status: 200, headers: { "content-encoding": "gzip" }, body: "not gzip" }],
    ["an error with 200", { status: 200, body: { type: "error", error: { type: "odd_error", message: "odd" } } }],
    ["nothing", { status: 200, body: "" }],
    ["204", { status: 204, body: "" }],
    ["null", { status: 200, body: "null" }],
    ["content that is no list", { status: 200, body: { type: "message", content: "Hi", stop_reason: "end_turn" } }],
    ["blocks that are none", { status: 200, body: { type: "message", content: [null], stop_reason: "end_turn" } }],
    ["no ending", { status: 200, body: { type: "message", content: [] } }],
    ["events of no order", events({ content: "Hi" }, (text) => text.slice(text.indexOf("event: content_block_delta")))],
    ["an error event of no kind", events({ content: "" }, () => 'event: error\ndata: "odd"\n\n')],
  ])("%s is transient, streamed or not, for object and work", async (_, reply) => {
    const server = await raw(() => reply);
    for (const maxOutputTokens of sizes) {
      await expect(ask(server.url, maxOutputTokens)).rejects.toThrow(TransientModelError);
      const work = modelAt(server.url, { maxOutputTokens }).work(workRequest(await treeOf({})));
      await expect(work).rejects.toThrow(TransientModelError);
    }
  });

  test.each([301, 302, 303, 307, 308])("a redirection with %i is not followed to where it leads", async (status) => {
    const elsewhere = await raw(() => done);
    const server = await raw(() => ({ status, headers: { location: `${elsewhere.url}/v1/messages` }, body: "" }));
    const error = await modelAt(server.url)
      .work(workRequest(await treeOf({})))
      .catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(ModelRefusedError);
    expect((error as Error).message).toContain("Look at the base address");
    expect(elsewhere.requests).toHaveLength(0);
  });

  test("a trickle of pings ends with the time of the work", async () => {
    const { createServer } = await import("node:http");
    const server = createServer((_request, response) => {
      response.writeHead(200, { "content-type": "text/event-stream" });
      const timer = setInterval(() => response.write("event: ping\ndata: {}\n\n"), 20);
      response.on("close", () => clearInterval(timer));
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    closers.push(async () => {
      server.closeAllConnections();
      server.close();
    });
    const url = `http://127.0.0.1:${(server.address() as { port: number }).port}`;
    const deadline = new Date(Date.now() + 200);
    const model = modelAt(url, { graceSeconds: 0.2, idleTimeoutSeconds: 5 });
    expect(await model.work(workRequest(await treeOf({}), { budget: budget({ deadline }) }))).toMatchObject({
      kind: "out-of-time",
    });
  });

  test("an answer without an end is given up long before it fills the memory", async () => {
    const { createServer } = await import("node:http");
    let sent = 0;
    const server = createServer((_request, response) => {
      response.writeHead(200, { "content-type": "text/event-stream" });
      const ping = `event: ping\ndata: ${"x".repeat(65_536)}\n\n`;
      const send = () => {
        while (!response.destroyed && sent < 200_000_000) {
          sent += ping.length;
          if (!response.write(ping)) return void response.once("drain", send);
        }
        response.end();
      };
      send();
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    closers.push(async () => {
      server.closeAllConnections();
      server.close();
    });
    const url = `http://127.0.0.1:${(server.address() as { port: number }).port}`;
    await expect(modelAt(url).work(workRequest(await treeOf({})))).rejects.toThrow("sent more than 67108864 bytes");
    expect(sent).toBeLessThan(100_000_000);
  });
});
