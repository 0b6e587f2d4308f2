import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { afterEach, describe, expect, test } from "vitest";
import { z } from "zod";
import type { Tool } from "../../../src/agent/model.ts";
import { createRedactor } from "../../../src/policy/redact.ts";
import {
  type RawReply,
  type RawRequest,
  type ScriptedModel,
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

async function scripted(): Promise<ScriptedModel> {
  const server = await startScriptedModel();
  closers.push(() => server.close());
  return server;
}

/** Answers with these messages in order. */
function inOrder(...replies: RawReply[]) {
  return ({ index }: RawRequest) =>
    replies[index] ?? {
      status: 400,
      body: { error: { type: "invalid_request_error", message: "the script is at its end" } },
    };
}

const edit = (from: string, to: string) => toolUse("edit", { file_path: "a.txt", old_string: from, new_string: to });
const done: RawReply = { message: { content: "Done." } };

describe("work", () => {
  test("work edits files until the model is done, and hands out every turn", async () => {
    const server = await scripted();
    const calls = [
      {
        id: "toolu_1",
        name: "edit",
        arguments: JSON.stringify({ file_path: "a.txt", old_string: "one", new_string: "two" }),
      },
    ];
    server.on({ systemMessage: "stage: write-change", turnIndex: 0 }, { content: "Editing.", toolCalls: calls });
    server.on(
      { systemMessage: "stage: write-change", turnIndex: 1, toolCallId: "toolu_1", toolResultContains: "edited" },
      { content: "Changed one to two." },
    );
    const directory = await treeOf({ "a.txt": "one\n" });
    const request = workRequest(directory);

    const result = await modelAt(server.url).work(request);

    expect(result).toMatchObject({ kind: "done", text: "Changed one to two." });
    expect(readFileSync(join(directory, "a.txt"), "utf8")).toBe("two\n");
    expect(request.turns.map((turn) => [turn.text, turn.toolCalls])).toEqual([
      ["Editing.", [{ name: "edit", detail: "edit a.txt" }]],
      ["Changed one to two.", []],
    ]);
    expect(request.turns.map((turn) => turn.transcript.length)).toEqual([3, 4]);
    expect(request.calls.map((call) => call.ending)).toEqual(["tool_use", "end_turn"]);
    expect(server.journal()).toHaveLength(2);
  });

  test("work waits for onTurn before it asks again", async () => {
    const server = await raw(inOrder({ message: { content: [edit("one", "two")] } }, done));
    const seen: number[] = [];
    const request = workRequest(await treeOf({ "a.txt": "one" }), {
      onTurn: async () => {
        await sleep(80);
        seen.push(server.requests.length);
      },
    });
    await modelAt(server.url).work(request);
    expect(seen).toEqual([1, 2]);
  });

  test("work continues from a transcript and asks for nothing that was answered", async () => {
    const server = await raw(inOrder({ message: { content: [edit("one", "two")] } }, done));
    const directory = await treeOf({ "a.txt": "one" });
    const first = workRequest(directory, { budget: budget({ turns: 1 }) });
    expect(await modelAt(server.url).work(first)).toMatchObject({ kind: "out-of-turns" });

    const second = workRequest(directory, { transcript: first.turns[0]!.transcript });
    expect(await modelAt(server.url).work(second)).toMatchObject({ kind: "done" });
    expect(server.requests).toHaveLength(2);
    expect(server.requests[1]!.body.messages).toHaveLength(3);
    expect(server.requests[1]!.body.messages[2].content[0]).toMatchObject({ type: "tool_result" });
  });

  test("work repeats one call of the model after its process was killed during a tool", async () => {
    const first: RawReply = { message: { content: [edit("one", "two")] } };
    const hang: RawReply = { message: { content: [toolUse("hang", {})] } };
    const server = await raw(inOrder(first, hang, { message: { content: [edit("two", "three")] } }, done));
    const directory = await treeOf({ "a.txt": "one" });
    const saved = join(await treeOf({}), "transcript.json");
    const child = spawn(
      process.execPath,
      [fileURLToPath(new URL("./work-in-child.ts", import.meta.url)), server.url, directory, saved],
      { stdio: ["ignore", "pipe", "inherit"] },
    );
    await once(child.stdout, "data");
    child.kill("SIGKILL");
    await once(child, "exit");

    const transcript = JSON.parse(readFileSync(saved, "utf8"));
    expect(await modelAt(server.url).work(workRequest(directory, { transcript }))).toMatchObject({ kind: "done" });
    expect(readFileSync(join(directory, "a.txt"), "utf8")).toBe("three");
    expect(server.requests).toHaveLength(4);
    expect(server.requests[2]!.body.messages).toEqual(server.requests[1]!.body.messages);
  });

  test("work runs the unanswered tool calls of a transcript before it asks", async () => {
    const server = await raw(inOrder(done));
    const directory = await treeOf({ "a.txt": "one" });
    const transcript = [
      { role: "user", content: prompt.task },
      {
        role: "assistant",
        content: [edit("one", "two"), toolUse("edit", { file_path: "none.txt", old_string: "a", new_string: "b" })],
      },
    ];
    const request = workRequest(directory, { transcript });
    expect(await modelAt(server.url).work(request)).toMatchObject({ kind: "done" });
    expect(readFileSync(join(directory, "a.txt"), "utf8")).toBe("two");
    const results = server.requests[0]!.body.messages[2].content;
    expect(results[0]).toMatchObject({ type: "tool_result", content: "edited a.txt (1 replacement(s))" });
    expect(results[1]).toMatchObject({ type: "tool_result", is_error: true });
    expect(request.turns).toHaveLength(2);
  });

  test("work is done at once when the transcript ends in the model's last words", async () => {
    const server = await raw(inOrder());
    const transcript = [
      { role: "user", content: "x" },
      { role: "assistant", content: [{ type: "text", text: "All done." }] },
    ];
    expect(await modelAt(server.url).work(workRequest(await treeOf({}), { transcript }))).toMatchObject({
      kind: "done",
      text: "All done.",
    });
    expect(server.requests).toHaveLength(0);
  });

  test("work refuses a transcript that is none", async () => {
    const server = await raw(inOrder());
    await expect(
      modelAt(server.url).work(
        workRequest(await treeOf({}), { transcript: [{ role: "user", content: "x" }, { nonsense: 1 }] }),
      ),
    ).rejects.toThrow("Cannot continue from the transcript: message 1 has no role and content");
  });

  test("work ends within a second when it is aborted during a tool", async () => {
    const server = await raw(inOrder({ message: { content: [toolUse("wait", {})] } }, done));
    const controller = new AbortController();
    let toolSignal: AbortSignal | undefined;
    const wait: Tool = {
      name: "wait",
      description: "waits",
      input: z.object({}),
      run: async (_input, signal) => {
        toolSignal = signal;
        setTimeout(() => controller.abort(new Error("cancelled")), 50);
        await new Promise(() => undefined);
        return "";
      },
    };
    const startedAt = Date.now();
    const request = workRequest(await treeOf({}), { tools: [wait], signal: controller.signal });
    await expect(modelAt(server.url).work(request)).rejects.toThrow("cancelled");
    expect(Date.now() - startedAt).toBeLessThan(1_300);
    expect(toolSignal?.aborted).toBe(true);
    expect(server.requests).toHaveLength(1);
    expect(request.turns).toHaveLength(0);
  });

  test("work ends within a second when it is aborted during a request", async () => {
    const server = await raw(() => "silence");
    const controller = new AbortController();
    setTimeout(() => controller.abort(new Error("cancelled")), 100);
    const startedAt = Date.now();
    await expect(
      modelAt(server.url).work(workRequest(await treeOf({}), { signal: controller.signal })),
    ).rejects.toThrow("cancelled");
    expect(Date.now() - startedAt).toBeLessThan(1_100);
  });

  test("work ends unfinished at the deadline, between two turns", async () => {
    const server = await raw(({ index }) => ({
      message: { content: [edit(index % 2 === 0 ? "one" : "two", index % 2 === 0 ? "two" : "one")] },
    }));
    const request = workRequest(await treeOf({ "a.txt": "one" }), {
      budget: budget({ deadline: new Date(Date.now() + 600), turns: 1_000 }),
      onTurn: async (turn) => {
        request.turns.push(turn);
        await sleep(100);
      },
    });
    const result = await modelAt(server.url).work(request);
    expect(result.kind).toBe("unfinished");
    expect(result.usage.calls).toBe(request.turns.length);
    expect(request.turns.length).toBeGreaterThan(1);
  });

  test("work ends a tool that runs on after the deadline, and keeps its turn", async () => {
    const server = await raw(
      inOrder({ message: { content: [edit("one", "two"), toolUse("wait", {}), toolUse("wait", {})] } }),
    );
    const wait: Tool = {
      name: "wait",
      description: "waits",
      input: z.object({}),
      run: () => new Promise(() => undefined),
    };
    const directory = await treeOf({ "a.txt": "one" });
    const request = workRequest(directory, { tools: [wait], budget: budget({ deadline: new Date(Date.now() + 200) }) });
    expect(await modelAt(server.url, { graceSeconds: 0.2 }).work(request)).toMatchObject({ kind: "unfinished" });
    const [, , results] = request.turns[0]!.transcript as { content: { is_error?: boolean; content: string }[] }[];
    expect(results!.content.map((result) => result.is_error ?? false)).toEqual([false, true, true]);
    expect(results!.content[1]!.content).toContain("the time for this part of the work was over");
  });

  test("work is out of time when not one turn was possible", async () => {
    const server = await raw(() => "silence");
    const past = workRequest(await treeOf({}), { budget: budget({ deadline: new Date(Date.now() - 1) }) });
    expect(await modelAt(server.url).work(past)).toMatchObject({ kind: "out-of-time" });
    expect(server.requests).toHaveLength(0);
    const short = workRequest(await treeOf({}), { budget: budget({ deadline: new Date(Date.now() + 100) }) });
    expect(await modelAt(server.url, { graceSeconds: 0.1 }).work(short)).toMatchObject({ kind: "out-of-time" });
    expect(server.requests).toHaveLength(1);
  });

  test("work never runs the tools of an answer that was cut off, and asks for smaller steps", async () => {
    const server = await raw(
      inOrder(
        { message: { content: [{ type: "text", text: "Editing." }, edit("one", "two")], stop_reason: "max_tokens" } },
        { message: { content: [edit("one", "three")] } },
        done,
      ),
    );
    const directory = await treeOf({ "a.txt": "one" });
    expect(await modelAt(server.url).work(workRequest(directory))).toMatchObject({ kind: "done" });
    expect(readFileSync(join(directory, "a.txt"), "utf8")).toBe("three");
    const [, cut, ask] = server.requests[1]!.body.messages;
    expect(cut).toEqual({ role: "assistant", content: "Editing." });
    expect(ask.content).toContain("cut off after 16000 tokens and no tool of it was run");
  });

  test("work gives up after two repairs in a row", async () => {
    const server = await raw(() => ({ message: { content: [edit("one", "two")], stop_reason: "max_tokens" } }));
    expect(await modelAt(server.url).work(workRequest(await treeOf({ "a.txt": "one" })))).toMatchObject({
      kind: "gave-up",
      message: expect.stringContaining("cut off 3 times"),
    });
    expect(server.requests).toHaveLength(3);
    const empty = await raw(() => ({ message: { content: [] } }));
    expect(await modelAt(empty.url).work(workRequest(await treeOf({})))).toMatchObject({
      kind: "gave-up",
      message: expect.stringContaining("empty"),
    });
  });

  test("work takes silence after the last tool call for done, when it stays silent", async () => {
    const silent: RawReply = { message: { content: [] } };
    const server = await raw(inOrder({ message: { content: [edit("one", "two")] } }, silent, silent));
    expect(await modelAt(server.url).work(workRequest(await treeOf({ "a.txt": "one" })))).toMatchObject({
      kind: "done",
      text: "",
    });
    expect(server.requests[2]!.body.messages.at(-1).content).toContain("Your answer was empty.");
  });

  test("work gives up when the model goes in circles", async () => {
    const server = await raw(() => ({ message: { content: [toolUse("read", { file_path: "missing.txt" })] } }));
    expect(await modelAt(server.url).work(workRequest(await treeOf({})))).toMatchObject({
      kind: "gave-up",
      message: "The model repeated the same calls 5 times",
    });
    expect(server.requests).toHaveLength(5);
  });

  test("work tries a refused request once more without the repository's part", async () => {
    const refusal: RawReply = {
      message: {
        content: [],
        stop_reason: "refusal",
        stop_details: { type: "refusal", category: "cyber", explanation: "no" },
      },
    };
    const server = await raw(inOrder(refusal, done));
    const request = workRequest(await treeOf({}), { prompt: { ...prompt, repository: "Use tabs." } });
    expect(await modelAt(server.url).work(request)).toMatchObject({ kind: "done" });
    expect(server.requests.map(({ body }) => body.system.length)).toEqual([2, 1]);

    const always = await raw(() => refusal);
    const second = workRequest(await treeOf({}));
    expect(await modelAt(always.url).work(second)).toMatchObject({
      kind: "refused",
      message: "The model refused the request (cyber)",
    });
    expect(second.calls.map((call) => call.ending)).toEqual(["refusal", "refusal"]);
  });

  test("work runs the tools of one turn one after the other", async () => {
    const server = await raw(
      inOrder(
        { message: { content: [toolUse("slow", { n: 1 }), toolUse("slow", { n: 2 }), toolUse("slow", { n: 3 })] } },
        done,
      ),
    );
    const events: string[] = [];
    const slow: Tool = {
      name: "slow",
      description: "slow",
      input: z.object({ n: z.number() }),
      run: async (input) => {
        const { n } = input as { n: number };
        events.push(`start ${n}`);
        await sleep(30 / n);
        events.push(`end ${n}`);
        return "ok";
      },
    };
    await modelAt(server.url).work(workRequest(await treeOf({}), { tools: [slow] }));
    expect(events).toEqual(["start 1", "end 1", "start 2", "end 2", "start 3", "end 3"]);
  });

  test("work redacts known secrets in what tools return, and shortens it", async () => {
    const secret = "s3cr3t-token-value-123";
    const server = await raw(
      inOrder(
        {
          message: { content: [toolUse("read", { file_path: "leak.txt" }), toolUse("read", { file_path: "big.txt" })] },
        },
        done,
      ),
    );
    const directory = await treeOf({ "leak.txt": `token ${secret}\n`, "big.txt": "0123456789\n".repeat(20_000) });
    const redactor = createRedactor([{ name: "TOKEN", value: secret }]);
    await modelAt(server.url, { redactor }).work(workRequest(directory));
    const [leak, big] = server.requests[1]!.body.messages[2].content;
    expect(leak.content).toBe("token [redacted:TOKEN]\n");
    expect(big.content.length).toBeLessThan(48_200);
    expect(big.content).toContain("characters left out");
  });

  test("work keeps thinking in the transcript exactly as it came", async () => {
    const thinking = { type: "thinking", thinking: "hm", signature: "c2ln" };
    const server = await raw(inOrder({ message: { content: [thinking, edit("one", "two")] } }, done));
    await modelAt(server.url).work(workRequest(await treeOf({ "a.txt": "one" })));
    expect(server.requests[1]!.body.messages[1].content[0]).toEqual(thinking);
  });

  test("work drops old thinking when the provider no longer takes it", async () => {
    const server = await raw(({ index }) =>
      index === 0
        ? {
            status: 400,
            body: {
              type: "error",
              error: {
                type: "invalid_request_error",
                message:
                  "messages.1.content.0: `thinking` or `redacted_thinking` blocks in the latest assistant message cannot be modified.",
              },
            },
          }
        : done,
    );
    const transcript = [
      { role: "user", content: "x" },
      {
        role: "assistant",
        content: [
          { type: "thinking", thinking: "a", signature: "b" },
          toolUse("read", { file_path: "a.txt" }, "toolu_x"),
        ],
      },
      { role: "user", content: [{ type: "tool_result", tool_use_id: "toolu_x", content: "one" }] },
    ];
    expect(await modelAt(server.url).work(workRequest(await treeOf({}), { transcript }))).toMatchObject({
      kind: "done",
    });
    expect(server.requests[1]!.body.messages[1].content.map((block: { type: string }) => block.type)).toEqual([
      "tool_use",
    ]);
  });

  test("work offers no shell and no network", async () => {
    const server = await raw(inOrder(done));
    await modelAt(server.url).work(workRequest(await treeOf({})));
    expect(server.requests[0]!.body.tools.map((tool: { name: string }) => tool.name)).toEqual([
      "read",
      "write",
      "edit",
      "glob",
      "grep",
      "delete",
      "move",
    ]);
  });

  test("work keeps every tool inside of the directory", async () => {
    const outside = await treeOf({ "secret.txt": "outside" });
    const directory = await treeOf({ "a.txt": "inside" });
    const { symlink } = await import("node:fs/promises");
    await symlink(outside, join(directory, "link"));
    const tries = [
      toolUse("read", { file_path: join(outside, "secret.txt") }),
      toolUse("read", { file_path: "link/secret.txt" }),
      toolUse("write", { file_path: "link/new.txt", content: "x" }),
      toolUse("write", { file_path: "../new.txt", content: "x" }),
      toolUse("write", { file_path: ".git/config", content: "x" }),
      toolUse("grep", { pattern: "outside", path: outside }),
      toolUse("move", { from: "a.txt", to: "link/a.txt" }),
      toolUse("delete", { file_path: "link/secret.txt" }),
    ];
    const server = await raw(inOrder({ message: { content: tries } }, done));
    await modelAt(server.url).work(workRequest(directory));
    const results = server.requests[1]!.body.messages[2].content as { is_error?: boolean; content: string }[];
    expect(results.map((result) => result.is_error)).toEqual(tries.map(() => true));
    expect(JSON.stringify(results)).not.toContain('inside"');
    expect(existsSync(join(outside, "new.txt"))).toBe(false);
    expect(existsSync(join(outside, "secret.txt"))).toBe(true);
    expect(existsSync(join(directory, ".git"))).toBe(false);
  });
});
