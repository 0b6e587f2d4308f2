import { setImmediate as immediate } from "node:timers/promises";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { distilLog } from "../../../src/checks/distil/distil-log.ts";
import { estimateTokens } from "../../../src/policy/tokens.ts";
import { processorMs } from "../../support/processor-time.ts";
import { expected } from "./expected.ts";
import { logOutput } from "./outputs.ts";

const outputs = Object.keys(expected).map((name) => logOutput(name));
const mebibyte = 1_048_576;

describe("distilLog", () => {
  it("distilLog keeps within its tokens and never throws, whatever the bytes", async () => {
    const piece = fc.oneof(
      fc.uint8Array({ maxLength: 300 }),
      fc.constantFrom(...outputs, ...marks).map((text) => Buffer.from(text)),
      fc.tuple(fc.constantFrom(...outputs), fc.nat(), fc.nat()).map(([text, a, b]) => {
        const bytes = Buffer.from(text);
        return bytes.subarray(
          Math.min(a % bytes.length, b % bytes.length),
          Math.max(a % bytes.length, b % bytes.length),
        );
      }),
    );
    await fc.assert(
      fc.asyncProperty(
        fc.array(piece, { maxLength: 12 }),
        fc.integer({ min: 100, max: 4_000 }),
        async (pieces, maxTokens) => {
          const { excerpt, errors, failedTests, hash } = await distilLog(streamOf(pieces), { maxTokens });
          expect(estimateTokens(excerpt)).toBeLessThanOrEqual(maxTokens);
          expect(errors.length).toBeLessThanOrEqual(500);
          expect(failedTests.length).toBeLessThanOrEqual(500);
          expect(hash).toMatch(/^[\da-f]{64}$/);
        },
      ),
      { numRuns: 200 },
    );
  });

  it("distilLog says the same however the bytes are cut, and of the text as of its bytes", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.constantFrom(...outputs, ...marks, noise(300), "\u{1f680}é\r", "\r\n"), {
          minLength: 1,
          maxLength: 30,
        }),
        fc.array(fc.integer({ min: 1, max: 2_000 }), { minLength: 1, maxLength: 50 }),
        async (pieces, cuts) => {
          const text = pieces.join("\n");
          const whole = distilLog(text, { maxTokens: 2_000 });
          expect(await distilLog(streamOf(cutInto(Buffer.from(text), cuts)), { maxTokens: 2_000 })).toEqual(whole);
        },
      ),
      { numRuns: 60 },
    );
  });

  it("distilLog says the same of megabytes, whose blocks end within lines, in chunks of any size", async () => {
    // Steps would be kept apart: of a job's log only those that failed are told of.
    const names = Object.keys(expected).filter((name) => !name.startsWith("actions-"));
    const parts = names
      .map((name) => logOutput(name))
      .flatMap((output, at) => [noise(600 + 37 * at), output, "x".repeat(at * 1_000)]);
    const bytes = Buffer.from([...parts, ...parts.toReversed()].join("\n"));
    expect(bytes.length).toBeGreaterThan(4 * mebibyte);
    const whole = await distilLog(streamOf([bytes]), { maxTokens: 4_000 });
    const messages = whole.errors.map(({ message }) => message);
    const all = names.flatMap((name) => expected[name]!.errors.map((error) => error.split(" | ")[2]));
    expect(all.filter((message) => !messages.includes(message!))).toEqual([]);
    for (const sizes of [[65_536], [1_000, 77, 300_001], [262_144], [262_143, 1, 2]])
      expect(await distilLog(streamOf(cutInto(bytes, sizes)), { maxTokens: 4_000 })).toEqual(whole);
  });

  it("distilLog finds what it finds with escape sequences anywhere in the lines", () => {
    const names = [
      "tsc",
      "eslint-stylish",
      "mypy",
      "go-build",
      "gcc-make",
      "cargo-build",
      "pytest",
      "actions-matcher.documented",
    ];
    const sequence = fc.constantFrom(
      "\u001b[31m",
      "\u001b[0m",
      "\u001b[1;38;5;196m",
      "\u001b]8;;https://a.example\u0007",
      "\u001b(B",
      "\u009b32m",
    );
    fc.assert(
      fc.property(
        fc.constantFrom(...names),
        fc.array(fc.tuple(sequence, fc.nat()), { minLength: 1, maxLength: 40 }),
        (name, insertions) => {
          let text = logOutput(name);
          for (const [inserted, position] of insertions) {
            let at = position % text.length;
            // Not within an escape sequence that is there, and not in a pair of code units.
            while (at > 0 && (isInSequence(text, at) || text.charCodeAt(at) >= 0xdc00)) at--;
            text = text.slice(0, at) + inserted + text.slice(at);
          }
          const plain = distilLog(logOutput(name), { maxTokens: 2_000 });
          expect(distilLog(text, { maxTokens: 2_000 })).toEqual(plain);
        },
      ),
      { numRuns: 300 },
    );
  });

  it("distilLog reads one line of 100 MB, and finds the error after it", async () => {
    async function* line() {
      const chunk = Buffer.alloc(mebibyte, "error: src/a.ts:1:2 (");
      for (let n = 0; n < 100; n++) {
        yield chunk;
        if (n % 10 === 0) await immediate();
      }
      yield Buffer.from("\nsrc/a.ts(1,2): error TS1005: ';' expected.\n");
    }
    const started = processorMs();
    const { errors, excerpt } = await distilLog(line(), { maxTokens: 2_000 });
    expect(processorMs() - started).toBeLessThan(5_000);
    expect(errors.at(-1)).toMatchObject({ tool: "tsc", file: "src/a.ts", line: 1, column: 2 });
    expect(estimateTokens(excerpt)).toBeLessThanOrEqual(2_000);
  });

  it("distilLog reads a million empty lines", () => {
    for (const empty of ["\n", "\r\n", "\u001b[0m\n", " \n"]) {
      const started = processorMs();
      const { excerpt, errors } = distilLog(`first\n${empty.repeat(1_000_000)}last: error`, { maxTokens: 1_000 });
      expect(processorMs() - started).toBeLessThan(2_000);
      expect(excerpt).toMatch(/^\nOutput:\n[\s\S]*last: error$/);
      expect(errors).toEqual([]);
    }
  });

  // 2 MB take about a tenth of a second at most; a search to the end of each block for every line takes five.
  it.each([
    ...[
      "a",
      "\n",
      "\u001b]",
      "\u001b[",
      "\u001b",
      "\r",
      "a\r",
      "\t",
      "a.ts:1",
      "(1,1",
      "a.ts:1:1 error ",
      "error\n",
      "error ",
      "E   a\n",
    ],
    ...[
      "./",
      "a.b.c.",
      "/a/b/c/d",
      "((((",
      " at ",
      " FAIL  a\n",
      "  ● a\n",
      "  1) a\n",
      "not ok 1 - a\n",
      "npm error a\n",
      "Traceback (most recent call last):\n",
    ],
    ...[
      "##[error]a\n",
      "##[group]Run a\n",
      "##[error]Process completed with exit code 1.\n",
      "::error file=a,line=1::a\n",
      "panic: a\n",
      "[ERROR] a\n",
      "Error Message:\n",
    ],
    ...[
      "2026-01-31T10:00:00.1234567Z error\n",
      "a\tb\tc error\n",
      "error[E0001]: a\n",
      "    1:1  error  a   b\n",
      "│ Error: a\n",
      "\u00c2\u009b",
      "💥",
    ],
    ...[
      "* What went wrong:\n",
      "Failure/Error: x\n",
      "━━━ lint/a \n",
      "a > b FAILED\n",
      "x <<< FAILURE!\n",
      "retrying, a failed\n",
    ],
  ])("distilLog reads 2 MB of %j in time, with and without numbers", (unit) => {
    let number = 0;
    const numbered = () => unit.replace(/(?=\n|$)/, String(number++));
    for (const text of [
      unit.repeat(2_000_000 / unit.length),
      Array.from({ length: 2_000_000 / (unit.length + 6) }, numbered).join(""),
    ]) {
      const started = processorMs();
      distilLog(text, { maxTokens: 500 });
      expect(processorMs() - started).toBeLessThan(1_500);
    }
  });
});

const marks = [
  "\u001b[31m",
  "\u001b]8;;x",
  "\u001b",
  "\u009b2K",
  "\r",
  "\n\n\n\n",
  "\ufeff",
  "\u0000",
  "##[group]Run npm test\nnpm test\nshell: bash\n##[endgroup]",
  "##[group]Run ",
  "##[endgroup]",
  "##[error]Process completed with exit code 1.",
  "##[error]x",
  "::error file=a.ts,line=1::x",
  "2026-01-31T10:00:00.1234567Z ",
  "\u{1f4a5}",
];

function noise(lines: number): string {
  return Array.from({ length: lines }, (_, at) => `  ✓ module ${at} (${(at * 37) % 90} ms)`).join("\n");
}

function cutInto(bytes: Buffer, sizes: readonly number[]): Buffer[] {
  const chunks: Buffer[] = [];
  for (let at = 0, n = 0; at < bytes.length; n++) {
    const size = sizes[n % sizes.length]!;
    chunks.push(bytes.subarray(at, at + size));
    at += size;
  }
  return chunks;
}

async function* streamOf(chunks: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* chunks;
}

function isInSequence(text: string, at: number): boolean {
  for (let start = at - 1; start >= 0 && at - start < 40; start--) {
    if (text[start] !== "\u001b" && text[start] !== "\u009b") continue;
    // biome-ignore lint/suspicious/noControlCharactersInRegex: the sequences that are looked for
    const sequence = /^(?:\u001b\[|\u009b)[\d;]*[A-Za-z]|^\u001b\]8;;[^\u0007]*\u0007|^\u001b\(B/.exec(
      text.slice(start, start + 60),
    );
    return sequence !== null && start + sequence[0].length > at;
  }
  return false;
}
