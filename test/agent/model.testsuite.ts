import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { z } from "zod";
import type { CallSettings } from "../../src/agent/loop/create-model-on.ts";
import { type CallRecord, type Model, ModelRefusedError, TransientModelError } from "../../src/agent/model.ts";
import { type RawProtocol, type RawReply, type RawRequest, startRawModel } from "../support/scripted-model.ts";
import { budget, prompt, toolUse, treeOf, workRequest } from "./support.ts";

/** One provider, as the suite knows it. */
export interface Provider {
  name: string;
  /** The model at this address. */
  create(url: string, part: Partial<CallSettings>): Model;
  protocol?: RawProtocol;
  /** False where answers come in one piece. */
  streams?: boolean;
  /** The body of an error. */
  error(type: string, message: string): unknown;
  /** What the provider says when a prompt is too long, and when there is no credit left. */
  overflow: RawReply;
  noCredit: RawReply;
  /** Names of the settings that its messages name. */
  settings: { key: string; model: string; baseUrl: string };
  /** The texts that a request carries: all of them, in order. */
  texts(body: RawRequest["body"]): string;
}

/** What every provider has to do, over HTTP by its real SDK. */
export function modelSuite(provider: Provider): void {
  const closers: (() => Promise<void>)[] = [];
  afterEach(async () => {
    for (const close of closers.splice(0)) await close();
  });
  const { create, streams = true } = provider;
  const raw = async (handler: (request: RawRequest) => RawReply) => {
    const server = await startRawModel(
      (request) =>
        request.path.includes("count_tokens") ? { status: 404, body: provider.error("x", "no") } : handler(request),
      provider.protocol,
    );
    closers.push(() => server.close());
    return server;
  };
  const inOrder = (...replies: RawReply[]) => {
    return ({ index }: RawRequest) => replies[Math.min(index, replies.length - 1)]!;
  };
  const Schema = z.object({ name: z.string().max(20), count: z.number().int(), note: z.string().optional() });
  const ask = async (
    url: string,
    part: Partial<CallSettings> & {
      signal?: AbortSignal;
      limits?: Partial<ReturnType<typeof budget>>;
      repository?: string;
    } = {},
  ) => {
    const { signal = new AbortController().signal, limits, repository, ...settings } = part;
    const calls: CallRecord[] = [];
    const answer = await create(url, settings).object({
      prompt: { ...prompt, ...(repository === undefined ? {} : { repository }) },
      schema: Schema,
      budget: budget(limits),
      signal,
      record: async (call) => void calls.push(call),
    });
    return { answer, calls };
  };
  const thrown = (work: Promise<unknown>): Promise<unknown> =>
    work.then(
      () => "nothing was thrown",
      (error: unknown) => error,
    );
  const good: RawReply = { message: { content: '{"name":"a","count":2}' } };
  const done: RawReply = { message: { content: "All done." } };
  const write = (content: string) => toolUse("write", { file_path: "a.txt", content });

  /** A test of streams is none where answers come in one piece: nothing of it is left out. */
  const onStreams = (name: string, body: () => Promise<void>): void => {
    if (streams) test(name, body);
  };

  describe(provider.name, () => {
    test("object returns an answer that fits the schema, and records its call", async () => {
      const server = await raw(() => ({
        message: {
          content: '{"name":"a","count":2,"note":null}',
          usage: { input_tokens: 70, cache_read_input_tokens: 30 },
        },
      }));
      const { answer, calls } = await ask(server.url);
      expect(answer).toMatchObject({ kind: "answer", value: { name: "a", count: 2 } });
      expect(calls).toHaveLength(1);
      expect(calls[0]).toMatchObject({ prompt: prompt.name, promptVersion: prompt.version, ending: "end_turn" });
      expect(calls[0]).toMatchObject({ inputTokens: 70, cacheReadTokens: 30, outputTokens: 20 });
      expect(calls[0]!.costUsd).toBeGreaterThan(0);
      expect(`${calls[0]!.provider}/${calls[0]!.model}`).toBe(create(server.url, {}).id);
      const sent = provider.texts(server.requests[0]!.body);
      expect(sent).toContain(prompt.system);
      expect(sent).toContain(prompt.task);
    });

    test("work calls tools, sees their results, and hands out every turn", async () => {
      const server = await raw(
        inOrder(
          { message: { content: [{ type: "text", text: "I read." }, toolUse("read", { file_path: "a.txt" })] } },
          { message: { content: [write("two\n"), toolUse("read", { file_path: "none.txt" })] } },
          done,
        ),
      );
      const directory = await treeOf({ "a.txt": "one-of-the-tree\n" });
      const request = workRequest(directory);
      expect(await create(server.url, {}).work(request)).toMatchObject({ kind: "done", text: "All done." });
      expect(readFileSync(join(directory, "a.txt"), "utf8")).toBe("two\n");
      expect(provider.texts(server.requests[1]!.body)).toContain("one-of-the-tree");
      expect(provider.texts(server.requests[2]!.body)).toMatch(/none\.txt/);
      expect(request.turns.map((turn) => turn.toolCalls.map((call) => call.detail))).toEqual([
        ["read a.txt"],
        ["write a.txt", "read none.txt"],
        [],
      ]);
      expect(request.turns[0]!.text).toBe("I read.");
      expect(request.calls).toHaveLength(3);
    });

    test("work goes on with the conversation that another provider began", async () => {
      const server = await raw(inOrder(done));
      const transcript = [
        { role: "user", content: prompt.task },
        {
          role: "assistant",
          content: [{ type: "text", text: "I look." }, toolUse("read", { file_path: "a.txt" }, "call_another")],
        },
      ];
      const request = workRequest(await treeOf({ "a.txt": "what was read\n" }), { transcript });
      expect(await create(server.url, {}).work(request)).toMatchObject({ kind: "done" });
      const sent = provider.texts(server.requests[0]!.body);
      for (const text of [prompt.task, "I look.", "what was read"]) expect(sent).toContain(text);
    });

    onStreams("a stream that falls silent or breaks off is transient, and its tokens are recorded", async () => {
      const text = (words: number) => ({ type: "text", text: "word ".repeat(words) });
      for (const how of ["stallAfterBytes", "cutAfterBytes", "endAfterBytes"] as const) {
        const server = await raw(() => ({
          message: { content: [text(500), text(1_000), write("two")] },
          [how]: 5_500,
        }));
        const directory = await treeOf({ "a.txt": "one" });
        const request = workRequest(directory);
        const error = await thrown(create(server.url, { idleTimeoutSeconds: 0.3 }).work(request));
        expect(error).toBeInstanceOf(TransientModelError);
        expect(server.requests[0]!.body.stream).toBe(true);
        expect(request.calls).toMatchObject([{ ending: "transient" }]);
        expect(request.calls[0]!.outputTokens).toBeGreaterThan(500);
        expect(readFileSync(join(directory, "a.txt"), "utf8")).toBe("one");
      }
    });

    test("an answer without an ending is transient, and none of its tools runs", async () => {
      const server = await raw(() => ({ message: { content: [write("two")], stop_reason: null } }));
      const directory = await treeOf({ "a.txt": "one" });
      expect(await thrown(create(server.url, {}).work(workRequest(directory)))).toBeInstanceOf(TransientModelError);
      expect(readFileSync(join(directory, "a.txt"), "utf8")).toBe("one");
    });

    test("a cancelled call ends with the reason, during the request and during the stream", async () => {
      const replies: RawReply[] = ["silence", { message: { content: "words ".repeat(100) }, stallAfterBytes: 300 }];
      for (const reply of replies) {
        const controller = new AbortController();
        const server = await raw(() => {
          setTimeout(() => controller.abort(new Error("cancelled by a test")), 20);
          return reply;
        });
        await expect(ask(server.url, { signal: controller.signal })).rejects.toThrow("cancelled by a test");
        expect(server.requests).toHaveLength(1);
      }
    });

    test("a budget ends the work before the request that could exceed it", async () => {
      const server = await raw(() => ({
        message: {
          content: [toolUse("read", { file_path: `${Math.random()}` })],
          usage: { input_tokens: 40_000, output_tokens: 9_000 },
        },
      }));
      for (const [limits, kind] of [
        [{ turns: 2 }, "out-of-turns"],
        [{ inputTokens: 100_000 }, "out-of-budget"],
        [{ outputTokens: 20_000 }, "out-of-budget"],
        [{ costUsd: 0.000_001 }, "out-of-budget"],
      ] as const) {
        const before = server.requests.length;
        const all = budget(limits);
        const result = await create(server.url, {}).work(workRequest(await treeOf({}), { budget: all }));
        expect(result.kind).toBe(kind);
        expect(server.requests.length - before).toBe("costUsd" in limits ? 0 : 2);
        expect(result.usage.inputTokens).toBeLessThanOrEqual(all.inputTokens);
        expect(result.usage.outputTokens).toBeLessThanOrEqual(all.outputTokens);
      }
    });

    test.each([
      [429, { "retry-after": "7" }, 7],
      [529, { "retry-after": "3" }, 3],
      [503, { "retry-after-ms": "1500" }, 1.5],
      [429, { "retry-after": "9999999" }, 900],
      [500, {}, 10],
    ])("a %i is transient, with the pause that the provider asks for: %o", async (status, headers, seconds) => {
      const server = await raw(() => ({
        status,
        headers: headers as Record<string, string>,
        body: provider.error("any", "no"),
      }));
      const error = (await thrown(ask(server.url))) as TransientModelError;
      expect(error).toBeInstanceOf(TransientModelError);
      expect(error.retryAfterSeconds).toBe(seconds);
      expect(server.requests).toHaveLength(1);
    });

    test("a refused prompt is tried once more without the repository's part, then it is refused", async () => {
      const refusal: RawReply = { message: { content: [], stop_reason: "refusal" } };
      const once = await raw(inOrder(refusal, good));
      expect((await ask(once.url, { repository: "Use tabs." })).answer.kind).toBe("answer");
      expect(once.requests.map(({ body }) => provider.texts(body).includes("Use tabs."))).toEqual([true, false]);
      const always = await raw(() => refusal);
      expect((await ask(always.url)).answer.kind).toBe("refused");
      expect(always.requests).toHaveLength(2);
      const request = workRequest(await treeOf({}));
      expect(await create(always.url, {}).work(request)).toMatchObject({ kind: "refused" });
      expect(request.calls.map((call) => call.ending)).toEqual(["refusal", "refusal"]);
    });

    test("tools of an answer that was cut off are never run, and the model is asked for smaller steps", async () => {
      const server = await raw(
        inOrder(
          { message: { content: [write("half")], stop_reason: "max_tokens" } },
          { message: { content: [write("whole")] } },
          done,
        ),
      );
      const directory = await treeOf({ "a.txt": "one" });
      expect(await create(server.url, {}).work(workRequest(directory))).toMatchObject({ kind: "done" });
      expect(readFileSync(join(directory, "a.txt"), "utf8").trim()).toBe("whole");
      expect(provider.texts(server.requests[1]!.body)).toContain("was cut off after");
      const cut = await raw(inOrder({ message: { content: '{"name":"aaaa', stop_reason: "max_tokens" } }, good));
      expect((await ask(cut.url)).answer.kind).toBe("answer");
    });

    test("an answer that does not fit is repaired at most twice", async () => {
      const server = await raw(
        inOrder({ message: { content: '{"name":"a","count":"two"}' } }, { message: { content: "{not json" } }, good),
      );
      const { answer, calls } = await ask(server.url);
      expect(answer).toMatchObject({ kind: "answer", usage: { calls: 3 } });
      expect(calls).toHaveLength(3);
      expect(provider.texts(server.requests[1]!.body)).toContain("expected number, received string");
      const never = await raw(() => ({
        message: { content: '{"name":"much longer than twenty characters","count":1}' },
      }));
      expect((await ask(never.url)).answer).toMatchObject({ kind: "invalid-answer", usage: { calls: 3 } });
      expect(never.requests).toHaveLength(3);
    });

    onStreams("a call whose arguments are not JSON is not run, and written anew", async () => {
      const broken: RawReply = {
        message: { content: [{ type: "tool_use", id: "call_b", name: "read", input: {}, json: '{"file_path":"a.t' }] },
      };
      const server = await raw(inOrder(broken, { message: { content: [write("two")] } }, done));
      const directory = await treeOf({ "a.txt": "one" });
      const request = workRequest(directory);
      expect(await create(server.url, {}).work(request)).toMatchObject({ kind: "done" });
      expect(provider.texts(server.requests[1]!.body)).toContain("could not be used");
      expect(request.calls[0]!.ending).toBe("broken-call");
      const always = await raw(() => broken);
      expect(await create(always.url, {}).work(workRequest(directory))).toMatchObject({ kind: "gave-up" });
      expect(always.requests).toHaveLength(3);
    });

    test("a prompt that is too long is made shorter, and the work ends when it cannot be", async () => {
      const once = await raw(inOrder(provider.overflow, good));
      expect((await ask(once.url, { repository: "Use tabs." })).answer.kind).toBe("answer");
      expect(provider.texts(once.requests[1]!.body)).not.toContain("Use tabs.");
      const always = await raw(() => provider.overflow);
      expect((await ask(always.url)).answer.kind).toBe("context-overflow");
      const work = await create(always.url, {}).work(workRequest(await treeOf({})));
      expect(work.kind).toBe("context-overflow");
    });

    test("faults that stay end at once with a sentence that names the setting", async () => {
      const { key, model, baseUrl } = provider.settings;
      const at = async (reply: RawReply) => {
        const server = await raw(() => reply);
        const error = (await thrown(ask(server.url))) as ModelRefusedError;
        expect(server.requests).toHaveLength(1);
        expect(error).toBeInstanceOf(ModelRefusedError);
        return error.forPeople.reason;
      };
      const body = (type: string, message: string) => provider.error(type, message);
      expect(await at({ status: 401, body: body("authentication_error", "bad key") })).toContain(
        `credentials (${key})`,
      );
      expect(await at({ status: 404, body: body("not_found_error", "no such model") })).toContain(`model (${model})`);
      expect(await at(provider.noCredit)).toContain(`credit at the model's provider is used up (${key})`);
      expect(await at({ status: 308, headers: { location: "http://127.0.0.1:9/" }, body: "" })).toContain(
        `(${baseUrl})`,
      );
    });

    test("an address where web pages answer is named, and not asked for ever", async () => {
      const server = await raw(() => ({
        status: 200,
        headers: { "content-type": "text/html" },
        body: "<html>Login</html>",
      }));
      const asked = create(server.url, {});
      const request = {
        prompt,
        schema: Schema,
        budget: budget(),
        signal: new AbortController().signal,
        record: async () => undefined,
      };
      const errors = [];
      for (let times = 0; times < 3; times += 1) errors.push(await thrown(asked.object(request)));
      expect(errors.map((error) => error instanceof ModelRefusedError)).toEqual([false, false, true]);
      for (const error of errors as TransientModelError[])
        expect(error.forPeople.reason).toBe(
          `At the model's address a web page answers and no model (${provider.settings.baseUrl}).`,
        );
    });
  });
}
