import { mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { z } from "zod";
import { budget, modelAt, prompt } from "../agent/support.ts";
import { startRawModel, startScriptedModel } from "./scripted-model.ts";

const closers: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0)) await close();
});

const ask = (url: string, stage = "write-change") =>
  modelAt(url).object({
    prompt: { ...prompt, name: stage, system: `stage: ${stage}` },
    schema: z.object({ a: z.number() }),
    budget: budget(),
    signal: new AbortController().signal,
    record: async () => undefined,
  });

test("startScriptedModel answers by the prompt's name, from files and from objects", async () => {
  const directory = await mkdtemp(join(tmpdir(), "millwright-fixtures-"));
  await writeFile(
    join(directory, "one.json"),
    JSON.stringify({
      fixtures: [{ match: { systemMessage: "stage: analyse-issue" }, response: { content: '{"a":1}' } }],
    }),
  );
  const server = await startScriptedModel({
    fixtures: [directory, [{ match: { systemMessage: "stage: revise-plan" }, response: { content: '{"a":2}' } }]],
  });
  closers.push(() => server.close());
  expect(await ask(server.url, "analyse-issue")).toMatchObject({ value: { a: 1 } });
  expect(await ask(server.url, "revise-plan")).toMatchObject({ value: { a: 2 } });
  expect(server.journal()).toHaveLength(2);
});

test("startScriptedModel fails a request that the script does not know, and takes a turn's number exactly", async () => {
  const server = await startScriptedModel();
  closers.push(() => server.close());
  server.on({ systemMessage: "stage: write-change", turnIndex: 1 }, { content: '{"a":1}' });
  await expect(ask(server.url)).rejects.toThrow("503");
});

test("startScriptedModel fails the next request once", async () => {
  const server = await startScriptedModel();
  closers.push(() => server.close());
  server.on({}, { content: '{"a":1}' });
  server.nextError(529, { message: "busy", type: "overloaded_error" });
  await expect(ask(server.url)).rejects.toThrow("overloaded");
  expect((await ask(server.url)).kind).toBe("answer");
});

test("startRawModel shows the request as it was sent", async () => {
  const server = await startRawModel(() => ({ message: { content: '{"a":1}' } }));
  closers.push(() => server.close());
  await ask(server.url);
  expect(server.requests[0]).toMatchObject({
    method: "POST",
    path: "/v1/messages",
    index: 0,
    body: { model: "claude-opus-5-5" },
  });
});
