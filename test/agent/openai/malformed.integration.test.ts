import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { ModelRefusedError, TransientModelError } from "../../../src/agent/model.ts";
import { createOpenAiModel } from "../../../src/agent/openai/openai-model.ts";
import { chatProtocol, responsesProtocol } from "../../support/openai-protocols.ts";
import { type RawReply, startRawModel } from "../../support/scripted-model.ts";
import { toolUse, treeOf, workRequest } from "../support.ts";

const closers: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0)) await close();
});

const message = {
  content: [{ type: "text", text: "I write." }, toolUse("write", { file_path: "a.txt", content: "two" }, "call_1")],
};
const stream = (body: string): RawReply => ({ status: 200, headers: { "content-type": "text/event-stream" }, body });

describe.each([
  ["chat", chatProtocol],
  ["responses", responsesProtocol],
] as const)("%s", (api, protocol) => {
  const body = protocol.events(message);
  const events = body.split("\n\n").filter((event) => event !== "");

  /** What became of a.txt, and how the work ended, when the server answers so and then says that it is done. */
  async function work(reply: RawReply): Promise<{ file: string; ending: string }> {
    const server = await startRawModel(
      ({ index }) => (index === 0 ? reply : { message: { content: "Done." } }),
      protocol,
    );
    closers.push(() => server.close());
    const directory = await treeOf({ "a.txt": "one" });
    const model = createOpenAiModel({
      ...{ provider: "openai-compatible", model: "m", baseUrl: `${server.url}/v1`, maxOutputTokens: 8_000, api },
      contextWindowTokens: 64_000,
    });
    const ending = await model.work(workRequest(directory)).then(
      (result) => result.kind,
      (error: unknown) =>
        error instanceof TransientModelError || error instanceof ModelRefusedError ? error.name : `crashed: ${error}`,
    );
    return { file: readFileSync(join(directory, "a.txt"), "utf8"), ending };
  }

  test("work makes whole edits or none, wherever a stream ends", async () => {
    for (let share = 0; share < 24; share += 1) {
      const { file, ending } = await work(stream(body.slice(0, Math.floor((body.length * share) / 24))));
      expect(["one", "two"]).toContain(file);
      expect(["done", "TransientModelError"]).toContain(ending);
      if (ending === "TransientModelError") expect(file).toBe("one");
    }
  });

  test("work makes whole edits or none, whichever event is lost, doubled or of another kind", async () => {
    const odd = ["null", "[]", '"text"', "{}", '{"choices":{}}', '{"choices":[null]}', '{"choices":[{"delta":null}]}'];
    const replies = events.flatMap((event, at) => [
      [...events.slice(0, at), ...events.slice(at + 1)],
      [...events.slice(0, at), event, ...events.slice(at)],
      [...events.slice(0, at), `data: ${odd[at % odd.length]}`, ...events.slice(at)],
    ]);
    for (const reply of replies) {
      const { file, ending } = await work(stream(`${reply.join("\n\n")}\n\n`));
      expect(["one", "two"]).toContain(file);
      expect(["done", "gave-up", "TransientModelError"]).toContain(ending);
    }
  });

  test.each<[string, RawReply]>([
    ["a page with 502", { status: 502, headers: { "content-type": "text/html" }, body: "<html></html>" }],
    ["JSON instead of a stream", { status: 200, body: { choices: [{ message: { content: "Hi" } }] } }],
    ["nothing", { status: 200, body: "" }],
    ["204", { status: 204, body: "" }],
    ["an error in the stream", stream('data: {"error":{"message":"upstream failed","code":502}}\n\n')],
    ["a stream of nothing", stream("data: [DONE]\n\n")],
    ["a stream that is no JSON", stream("data: {nonsense\n\n")],
  ])("work is transient for %s", async (_, reply) => {
    expect(await work(reply)).toEqual({ file: "one", ending: "TransientModelError" });
  });
});
