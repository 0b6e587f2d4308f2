import { expect, test } from "vitest";
import { shrink, withoutThinking } from "../../../src/agent/loop/shrink.ts";
import type { Turn } from "../../../src/agent/loop/transcript.ts";
import { estimateJsonTokens } from "../../../src/policy/tokens.ts";

const long = "line of code\n".repeat(500);

function conversation(turns: number): Turn[] {
  return [
    { role: "user", content: "Fix it." },
    ...Array.from({ length: turns }, (_, index): Turn[] => [
      {
        role: "assistant",
        content: [
          { type: "thinking", thinking: "hm", signature: "sig" },
          { type: "tool_use", id: `t${index}`, name: "write", input: { file_path: `f${index}.ts`, content: long } },
        ],
      },
      { role: "user", content: [{ type: "tool_result", tool_use_id: `t${index}`, content: long }] },
    ]).flat(),
  ];
}

test("shrink replaces the oldest results first, and no more than needed", () => {
  const messages = conversation(10);
  const all = estimateJsonTokens(messages);
  const shrunk = shrink(messages, all - 3_000)!;
  const stubbed = shrunk.map((message) => JSON.stringify(message).includes("removed to save room"));
  expect(stubbed.slice(0, 6)).toEqual([false, false, true, false, true, false]);
  expect(stubbed.slice(6)).toEqual(stubbed.slice(6).map(() => false));
  expect(estimateJsonTokens(shrunk)).toBeLessThanOrEqual(all - 3_000);
  expect(JSON.stringify(shrunk[2])).toContain(
    "[Result of write f0.ts removed to save room: 6500 characters. Call it again if you need it.]",
  );
});

test("shrink goes on with long arguments, and leaves the first prompt and the last turns", () => {
  const messages = conversation(10);
  const shrunk = shrink(messages, 25_000)!;
  expect(shrunk[0]).toEqual(messages[0]);
  expect(shrunk.slice(-6)).toEqual(withoutThinking(messages).slice(-6));
  expect(JSON.stringify(shrunk[1])).toContain("[6500 characters removed to save room]");
  expect(JSON.stringify(shrunk[1])).toContain("f0.ts");
});

test("shrink gives up when what must stay is too long", () => {
  expect(shrink(conversation(10), 1_000)).toBeUndefined();
  expect(shrink([{ role: "user", content: long }], 100)).toBeUndefined();
});

test("shrink is deterministic, does not touch its input, and finds nothing to do the second time", () => {
  const messages = conversation(10);
  const copy = structuredClone(messages);
  const once = shrink(messages, 30_000);
  expect(messages).toEqual(copy);
  expect(shrink(messages, 30_000)).toEqual(once);
  expect(shrink(once!, 30_000)).toEqual(once);
});

test("shrink keeps every call together with its result", () => {
  const shrunk = shrink(conversation(10), 25_000)!;
  const ids = (type: string, key: string) =>
    shrunk
      .flatMap((message) => (typeof message.content === "string" ? [] : message.content))
      .flatMap((block) => (block.type === type ? [(block as unknown as Record<string, string>)[key]] : []));
  expect(ids("tool_use", "id")).toEqual(ids("tool_result", "tool_use_id"));
});

test("withoutThinking leaves out what would be empty", () => {
  const messages: Turn[] = [
    { role: "user", content: "a" },
    { role: "assistant", content: [{ type: "thinking", thinking: "hm", signature: "s" }] },
    {
      role: "assistant",
      content: [
        { type: "redacted_thinking", data: "x" },
        { type: "text", text: "b" },
      ],
    },
  ];
  expect(withoutThinking(messages)).toEqual([
    { role: "user", content: "a" },
    { role: "assistant", content: [{ type: "text", text: "b" }] },
  ]);
});
