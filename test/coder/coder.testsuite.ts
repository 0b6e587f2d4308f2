import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { ModelRefusedError, TransientModelError } from "../../src/agent/model.ts";
import type { Coder } from "../../src/coder/coder.ts";
import type { Sandbox } from "../../src/sandbox/sandbox.ts";
import { budget } from "../agent/support.ts";
import { processesWith } from "../sandbox/sandbox.testsuite.ts";
import { finish } from "../support/model-replies.ts";
import { type RawModel, type RawReply, type RawRequest, startRawModel } from "../support/scripted-model.ts";
import { codeRequest, openWorkshop, type Workshop } from "./support.ts";

export interface Contender {
  name: string;
  /** Why it cannot be tested here; undefined when it can. */
  missing: string | undefined;
  /** A coder that asks the model at this address; `saveEverySeconds` is how often it could be continued. */
  create(sandbox: Sandbox, modelUrl: string, saveEverySeconds?: number): Coder;
  /** A turn of the model that writes a file of the tree. */
  write(path: string, content: string): RawReply;
  /** A turn that takes so many seconds in a process that can be found by `mark`; undefined where the caller brings that tool. */
  wait: ((mark: string) => RawReply) | undefined;
}

/** What every coder does alike. */
export function coderSuite({ name, missing, create, write, wait }: Contender): void {
  describe.skipIf(missing !== undefined && process.env.CI !== "true")(
    `Coder ${name}${missing ? ` (${missing})` : ""}`,
    () => {
      let workshop: Workshop;
      let model: RawModel | undefined;

      beforeAll(async () => {
        workshop = await openWorkshop();
      });
      afterAll(() => workshop?.close());
      afterEach(() => model?.close());

      /** A coder whose model answers turn by turn; the last answer is repeated. */
      const coderWith = async (
        replies: readonly (RawReply | ((request: RawRequest) => RawReply | Promise<RawReply>))[],
        saveEverySeconds?: number,
      ) => {
        model = await startRawModel((request) => {
          const reply = replies[Math.min(request.index, replies.length - 1)] ?? finish();
          return typeof reply === "function" ? reply(request) : reply;
        });
        return create(workshop.sandbox, model.url, saveEverySeconds);
      };

      test("code changes the tree, tells its calls and hands out a conversation", async () => {
        const at = await workshop.job({ "a.txt": "old\n" });
        const request = codeRequest(at);
        const coder = await coderWith([write("made/b.txt", "new\n"), finish("It is made.")]);
        const result = await coder.code(request);
        expect(result).toMatchObject({ kind: "done", text: "It is made.", usage: { calls: 2 } });
        expect(await readFile(join(at.directory, "made/b.txt"), "utf8")).toBe("new\n");
        expect(request.told).toEqual(["write made/b.txt"]);
        expect(request.turns.reduce((sum, turn) => sum + turn.toolCalls, 0)).toBe(1);
        expect(JSON.parse(JSON.stringify(request.turns.at(-1)!.transcript))).toEqual(request.turns.at(-1)!.transcript);
        expect(request.calls).toHaveLength(2);
        expect(request.calls[0]).toMatchObject({
          ...{ provider: "anthropic", model: "claude-opus-5-5", prompt: "write-change", promptVersion: "1" },
          ...{ inputTokens: 100, outputTokens: 20, ending: "tool_use" },
        });
        expect(result.usage.costUsd).toBeCloseTo(request.calls.reduce((sum, call) => sum + call.costUsd, 0));
        // Our own text, the repository's part and the task reach the model.
        const sent = JSON.stringify(model!.requests[0]!.body);
        for (const part of ["You write code.", "Fix a.txt."]) expect(sent).toContain(part);
      });

      test("code ends unfinished at the deadline, and goes on from what it handed out", async () => {
        const at = await workshop.job();
        // The time is over in the middle of the second turn, however long a start takes.
        const deadline = new Date(Date.now() + 60_000);
        const first = codeRequest(at, { budget: budget({ deadline }) });
        let turns = 0;
        const many = () => {
          turns += 1;
          if (turns === 2) deadline.setTime(Date.now());
          return write(`file-${turns}.txt`, "x\n");
        };
        const coder = await coderWith([many]);
        expect(await coder.code(first)).toMatchObject({ kind: "unfinished", usage: { calls: 2 } });
        const { transcript } = first.turns.at(-1)!;
        expect(turns).toBe(2);
        await model!.close();

        const second = codeRequest(at, { transcript });
        const next = await coderWith([write("last.txt", "y\n"), finish("All of it.")]);
        expect(await next.code(second)).toMatchObject({ kind: "done", text: "All of it." });
        // What was said before is known, and the task is not told a second time.
        const sent = JSON.stringify(model!.requests[0]!.body);
        expect(sent).toContain("file-1.txt");
        expect(sent.split("Fix a.txt.").length - 1).toBe(1);
        expect(await readFile(join(at.directory, "last.txt"), "utf8")).toBe("y\n");
      });

      test("code stops when it is aborted, and leaves nothing running", async () => {
        const at = await workshop.job();
        const controller = new AbortController();
        const mark = `${4_000_000 + Math.floor(Math.random() * 1_000_000)}`;
        const reached = Promise.withResolvers<void>();
        const coder = await coderWith(
          wait === undefined
            ? [
                () => {
                  reached.resolve();
                  return "silence";
                },
              ]
            : [wait(mark)],
        );
        const request = codeRequest(at, { signal: controller.signal, onTool: () => reached.resolve() });
        const working = coder.code(request);
        const failed = expect(working).rejects.toThrow("stop, please");
        await reached.promise;
        controller.abort(new Error("stop, please"));
        await failed;
        expect(await processesWith(mark)).toEqual([]);
      });

      test("code asks for nothing that its budget does not allow", async () => {
        const at = await workshop.job();
        const endless = () => write("again.txt", `${Math.random()}\n`);
        const coder = await coderWith([endless]);
        const dear = codeRequest(at, { budget: budget({ costUsd: 0.001 }) });
        const result = await coder.code(dear);
        expect(result).toMatchObject({ kind: "out-of-budget" });
        expect(model!.requests.filter(({ path }) => !path.includes("count"))).toEqual([]);
        const turns = codeRequest(at, { budget: budget({ turns: 2 }) });
        expect(await coder.code(turns)).toMatchObject({ kind: "out-of-turns", usage: { calls: 2 } });
      });

      test("code says that the model refused", async () => {
        const coder = await coderWith([{ message: { content: "", stop_reason: "refusal" } }]);
        const result = await coder.code(codeRequest(await workshop.job()));
        expect(result).toMatchObject({ kind: "refused" });
      });

      test("code says that the conversation outgrew the window", async () => {
        const body = {
          type: "error",
          error: { type: "invalid_request_error", message: "prompt is too long: 2 tokens" },
        };
        const coder = await coderWith([{ status: 400, body }]);
        expect(await coder.code(codeRequest(await workshop.job()))).toMatchObject({ kind: "context-overflow" });
      });

      test("code throws what an operator has to mend, with the setting's name", async () => {
        const body = { type: "error", error: { type: "authentication_error", message: "invalid x-api-key" } };
        const coder = await coderWith([{ status: 401, body }]);
        const failure = await coder.code(codeRequest(await workshop.job())).catch((thrown: unknown) => thrown);
        expect(failure).toBeInstanceOf(ModelRefusedError);
        expect((failure as ModelRefusedError).forPeople.reason).toContain("ANTHROPIC_API_KEY");
        expect(model!.requests.filter(({ path }) => !path.includes("count"))).toHaveLength(1);
      });

      test("code throws what may pass, when it has not passed", async () => {
        const overloaded = { type: "error", error: { type: "overloaded_error", message: "Overloaded" } };
        const coder = await coderWith([{ status: 529, body: overloaded, headers: { "retry-after": "0" } }]);
        const failure = coder.code(codeRequest(await workshop.job()));
        await expect(failure).rejects.toBeInstanceOf(TransientModelError);
      });
    },
  );
}
