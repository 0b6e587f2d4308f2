import fc from "fast-check";
import { expect, test } from "vitest";
import { packContext } from "../../../src/agent/context/pack-context.ts";
import type { Ranked } from "../../../src/agent/context/rank-files.ts";
import { estimateTokens } from "../../../src/policy/tokens.ts";

interface File {
  path: string;
  content: string | Buffer;
  words?: string[];
  kind?: Ranked["kind"];
}

function rankedOf(files: readonly File[]): Ranked[] {
  return files.map(({ path, content, words = [], kind = "source" }, index) => ({
    path,
    kind,
    words,
    score: 1 - index / 100,
    blobSha: String(index),
    sizeBytes: Buffer.byteLength(content),
    tests: [],
    reasons: ["named in the issue"],
  }));
}

function pack(files: readonly File[], budgetTokens: number): Promise<string> {
  const tree = {
    async *readBlobs(blobShas: Iterable<string> | AsyncIterable<string>) {
      for await (const blobSha of blobShas) yield { blobSha, content: Buffer.from(files[Number(blobSha)]!.content) };
    },
  };
  return packContext(rankedOf(files), tree, budgetTokens);
}

const long = (needle: string) =>
  Array.from({ length: 800 }, (_, line) => (line === 500 ? `const ${needle} = 1;` : `call${line}(value);`)).join("\n");

test("packContext shows the map, and small files whole in their order", async () => {
  const text = await pack(
    [
      { path: "src/a.ts", content: "const a = 1;\n" },
      { path: "src/b.ts", content: "const b = 2;\n" },
    ],
    1000,
  );
  expect(text).toBe(`# Files most likely to matter, best first
1. src/a.ts (source): named in the issue
2. src/b.ts (source): named in the issue

# Contents

## src/a.ts (whole file)
const a = 1;

## src/b.ts (whole file)
const b = 2;
`);
});

test("packContext shows the lines around what the issue names of a large file", async () => {
  const text = await pack([{ path: "src/a.ts", content: long("maxBodySize"), words: ["max_body_size"] }], 1500);
  expect(text).toContain("const maxBodySize = 1;");
  expect(text).toMatch(/## src\/a\.ts \(lines [\d, -]+ of 800\)/);
  expect(text).toContain("[…]");
  expect(text).not.toContain("call300(");
});

test("packContext leaves room for the second file", async () => {
  const files = [
    { path: "a.ts", content: long("alpha"), words: ["alpha"] },
    { path: "b.ts", content: long("beta"), words: ["beta"] },
  ];
  const text = await pack(files, 2500);
  expect(text).toContain("const alpha = 1;");
  expect(text).toContain("const beta = 1;");
});

test.each([
  ["binary", { content: Buffer.from("text\0text") }],
  ["minified", { content: `a();${"b();".repeat(2000)}` }],
  ["huge", { content: "call();\n".repeat(60_000) }],
  ["generated", { content: "const a = 1;", kind: "generated" as const }],
  ["empty", { content: "" }],
])("packContext lists a %s file without its content", async (_, file) => {
  const text = await pack([{ path: "odd.ts", ...file }], 100_000);
  expect(text).toContain("1. odd.ts");
  expect(text).not.toContain("## odd.ts");
});

test("packContext never exceeds its budget, and gives the same text again", async () => {
  const file = fc.record({
    path: fc.string({ minLength: 1, maxLength: 30 }),
    content: fc
      .array(fc.string({ maxLength: 60, unit: "grapheme" }), { maxLength: 200 })
      .map((lines) => lines.join("\n")),
    words: fc.array(fc.constantFrom("a1", "body", "x_y"), { maxLength: 3 }),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(file, { maxLength: 8 }), fc.integer({ min: 0, max: 3000 }), async (files, budget) => {
      const text = await pack(files, budget);
      expect(estimateTokens(text)).toBeLessThanOrEqual(budget);
      expect(await pack(files, budget)).toBe(text);
    }),
    { numRuns: 60 },
  );
});

test("packContext names the rule when the budget is no number of tokens", async () => {
  await expect(pack([], -1)).rejects.toThrow("the budget must be a number of tokens from 0, but is -1");
});
