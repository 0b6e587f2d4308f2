import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { z } from "zod";
import type { Tool } from "../../../src/agent/model.ts";
import { prepareTools } from "../../../src/agent/tools/prepare-tools.ts";
import { createSerialQueue } from "../../../src/agent/tools/serial-queue.ts";
import { shorten } from "../../../src/agent/tools/tool-limits.ts";
import { treeOf } from "../support.ts";

const tool = (name: string, run: Tool["run"]): Tool => ({ name, description: name, input: z.object({}), run });

test("prepareTools refuses two tools of one name", async () => {
  const root = await treeOf({});
  expect(() => prepareTools(root, [tool("read", async () => "")])).toThrow("Two tools have the name read");
});

test("prepareTools checks the arguments of the caller's tools", async () => {
  const own: Tool = {
    name: "run",
    description: "runs",
    input: z.object({ command: z.string() }),
    run: async (input) => (input as { command: string }).command,
  };
  const prepared = prepareTools(await treeOf({}), [own]).find((candidate) => candidate.name === "run")!;
  expect(() => prepared.parse({ command: 1 })).toThrow("expected string");
  expect(await prepared.run(prepared.parse({ command: "ls" }))).toBe("ls");
});

test("prepareTools gives up a tool that ignores its signal, and lets one that stops in time say so", async () => {
  const controller = new AbortController();
  const tools = prepareTools(await treeOf({}), [
    tool("deaf", () => new Promise(() => undefined)),
    tool(
      "polite",
      (_input, signal) => new Promise((resolve) => signal.addEventListener("abort", () => resolve("stopped"))),
    ),
  ]);
  const run = (name: string) =>
    tools
      .find((candidate) => candidate.name === name)!
      .run({}, { signal: controller.signal } as never) as Promise<string>;
  const polite = run("polite");
  const deaf = run("deaf");
  setTimeout(() => controller.abort(new Error("cancelled")), 20);
  const startedAt = Date.now();
  expect(await polite).toBe("stopped");
  await expect(deaf).rejects.toThrow("cancelled");
  expect(Date.now() - startedAt).toBeLessThan(1_000);
});

test("createSerialQueue keeps the order and goes on after a failure", async () => {
  const queue = createSerialQueue();
  const events: string[] = [];
  const task =
    (name: string, ms: number, fails = false) =>
    async () => {
      events.push(`${name} starts`);
      await sleep(ms);
      events.push(`${name} ends`);
      if (fails) throw new Error(name);
      return name;
    };
  const results = await Promise.allSettled([queue(task("a", 20, true)), queue(task("b", 1)), queue(task("c", 5))]);
  expect(events).toEqual(["a starts", "a ends", "b starts", "b ends", "c starts", "c ends"]);
  expect(results.map((result) => result.status)).toEqual(["rejected", "fulfilled", "fulfilled"]);
});

test("shorten keeps the beginning and the end", () => {
  const text = `${"a".repeat(500)}${"b".repeat(500)}`;
  expect(shorten(text, 1_000)).toBe(text);
  const short = shorten(text, 100);
  expect(short.startsWith("a".repeat(60))).toBe(true);
  expect(short.endsWith("b".repeat(40))).toBe(true);
  expect(short).toContain("900 characters left out");
});
