import { readdirSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { distilLog } from "../../../src/checks/distil/distil-log.ts";
import type { LogError } from "../../../src/checks/distil/log-error.ts";
import { estimateTokens } from "../../../src/policy/tokens.ts";
import { output } from "../outputs.ts";
import { expected } from "./expected.ts";
import { logOutput } from "./outputs.ts";

const maxTokens = 3000;

describe("distilLog", () => {
  it.each(Object.entries(expected))("distilLog reads the output of %s", (name, { command, errors, failedTests }) => {
    const distilled = distilLog(logOutput(name), { maxTokens });
    expect(distilled.errors.map(inOneLine)).toEqual(errors);
    const tests = distilled.failedTests.map((test) => [test.file, test.suite, test.name].filter(Boolean).join(" > "));
    expect(tests).toEqual(failedTests ?? []);
    expect(distilled.failingCommand).toBe(command);
    expect(estimateTokens(distilled.excerpt)).toBeLessThanOrEqual(maxTokens);
  });

  it("distilLog has an expectation for each output", () => {
    const outputs = readdirSync(new URL("./outputs", import.meta.url)).map((name) => name.replace(/\.txt$/, ""));
    expect(Object.keys(expected).sort()).toEqual(outputs.sort());
  });

  it.each([
    ["cargo", ["cargo | src/lib.rs:7:22 | assertion `left == right` failed: sum; left: 2; right: 3"]],
    [
      "dotnet",
      ["dotnet | /repo/Shop.Tests/CartTests.cs:12 | Assert.Equal() Failure: Values differ; Expected: 2; Actual: 1"],
    ],
    ["gradle", ["gradle | CartTest.java:9 | org.opentest4j.AssertionFailedError"]],
    [
      "minitest",
      [
        "minitest | test/cart_test.rb:8 | Expected: 2; Actual: 1",
        "minitest | test/cart_test.rb:12 | RuntimeError: boom",
      ],
    ],
    ["node-spec", ["node:test | /repo/node/a.test.js:2:94 | AssertionError [ERR_ASSERTION]: 1 == 3"]],
    [
      "surefire",
      [
        "maven | AddTest.java:2 | org.opentest4j.AssertionFailedError: expected: <3> but was: <2>",
        "maven | AddTest.java:2 | java.lang.IllegalStateException: boom",
      ],
    ],
    [
      "unittest",
      [
        "python | /repo/py/ut_sample.py:7 | ValueError: boom",
        "python | /repo/py/ut_sample.py:4 | AssertionError: 1 != 2",
      ],
    ],
  ])("distilLog finds the places of the failed tests of %s", (name, errors) => {
    expect(distilLog(output(name), { maxTokens }).errors.map(inOneLine)).toEqual(errors);
  });

  it("distilLog takes the failed tests of report files where there are any", () => {
    const reports = [{ kind: "junit" as const, text: output("pytest-junit") }];
    const { failedTests, excerpt } = distilLog("make: *** [Makefile:3: test] Error 1\n", { maxTokens, reports });
    expect(failedTests.map(({ name }) => name)).toEqual(["test_bad", "test_raises"]);
    expect(excerpt).toContain("- test_sample > test_bad\n");
  });

  it("distilLog tells of the failed step and not of those that passed, or came after it", () => {
    const { excerpt } = distilLog(logOutput("actions-test.documented"), { maxTokens });
    expect(excerpt).toMatch(/^\$ npm run build\nnpm test -- --run\nexit code 1; 1 passed, 3 failed, 0 skipped\n/);
    expect(excerpt).toContain("##[error]Process completed with exit code 1.");
    expect(excerpt).not.toMatch(/eslint|Post job|upload-artifact|2026-01-31T/);
    expect(excerpt).not.toContain("\u001b");
  });

  it("distilLog names the step that ended the job, and keeps the errors of one that was allowed to fail", () => {
    const step = (command: string, lines: string[], code: number) => [
      `##[group]Run ${command}`,
      command,
      "shell: /usr/bin/bash -e {0}",
      "##[endgroup]",
      ...lines,
      `##[error]Process completed with exit code ${code}.`,
    ];
    const log = [
      ...step("npm run lint", ["src/a.ts(1,2): error TS2304: Cannot find name 'x'."], 2),
      ...step("go vet ./...", ["./b.go:3:4: undefined: y"], 1),
      "Post job cleanup.",
    ];
    const distilled = distilLog(log.join("\r\n"), { maxTokens });
    expect(distilled.failingCommand).toBe("go vet ./...");
    expect(distilled.errors.map(inOneLine)).toEqual([
      "go | b.go:3:4 | undefined: y",
      "tsc | src/a.ts:1:2 | TS2304: Cannot find name 'x'.",
    ]);
  });

  it("distilLog reads a log with the columns of `gh run view --log`", () => {
    const log = logOutput("actions-matcher.documented").replace(/^\ufeff?(?=2026)/gm, "check\tUNKNOWN STEP\t");
    const distilled = distilLog(log, { maxTokens });
    expect(distilled.failingCommand).toBe("npx tsc --noEmit");
    expect(distilled.errors.map(inOneLine)).toEqual(expected["actions-matcher.documented"]!.errors);
    expect(distilled.excerpt).not.toContain("UNKNOWN STEP");
  });

  it("distilLog finds an error among 200,000 other lines, and says where lines were left out", () => {
    const noise = Array.from({ length: 100_000 }, (_, at) => `transformed module ${at}`).join("\n");
    const { errors, excerpt } = distilLog(`first\n${noise}\nsrc/a.c:3:4: error: expected ‘;’\n${noise}\nlast`, {
      maxTokens,
    });
    expect(errors.map(inOneLine)).toEqual(["gcc | src/a.c:3:4 | expected ‘;’"]);
    for (const part of ["first\n", "src/a.c:3:4: error: expected ‘;’\n", "    (lines left out)\n", "\nlast"])
      expect(excerpt).toContain(part);
  });

  it.each([
    ["repeats of another", () => "ERROR: connection lost, trying again"],
    ["lines that only sound like one", (at: number) => `request ${inLetters(at)} failed, trying again`],
  ])("distilLog does not lose an error among 200,000 %s", (_, line) => {
    const noise = Array.from({ length: 100_000 }, (_, at) => line(at)).join("\n");
    const { errors } = distilLog(`${noise}\nsrc/a.ts(1,2): error TS1005: ';' expected.\n${noise}`, { maxTokens });
    expect(errors.map(inOneLine)).toEqual(["tsc | src/a.ts:1:2 | TS1005: ';' expected."]);
  });

  it("distilLog folds repeats and progress", () => {
    const bars = Array.from({ length: 100 }, (_, at) => `Downloading model ${at}% of 12.${at} MB`);
    const { excerpt } = distilLog(["start", ...bars, "same", "same", "same", "end"].join("\n"), { maxTokens });
    expect(excerpt).toBe(
      "\nOutput:\nstart\nDownloading model 99% of 12.99 MB\nsame\n    (the line above 2 more times)\nend",
    );
  });

  it("distilLog names no more than 500 errors", () => {
    const lines = Array.from(
      { length: 2_000 },
      (_, at) => `src/file${at}.ts(${at + 1},1): error TS1005: ';' expected.`,
    );
    expect(distilLog(lines.join("\n"), { maxTokens }).errors).toHaveLength(500);
  });

  it("distilLog gives one hash to failures that differ in numbers, times, addresses and order", () => {
    const log = logOutput("actions-test.documented");
    const again = log
      .replaceAll("2026-01-31T10", "2027-03-01T23")
      .replace("Duration  1.16s", "Duration  9.99s")
      .replaceAll("/home/runner/work/app/app/", "/tmp/job-12/app/");
    expect(again).not.toBe(log);
    const hash = (text: string) => distilLog(text, { maxTokens }).hash;
    expect(hash(again)).toBe(hash(log));
    const [a, b] = ["a.c:1:2: error: no x at 0x7fff1234", "b.c:3:4: error: no y"];
    expect(hash(`${b}\n${a!.replace("1:2", "9:9").replace("7fff1234", "7eee4321")}`)).toBe(hash(`${a}\n${b}`));
  });

  it("distilLog gives another hash to another command, error or failed test", () => {
    const log = logOutput("actions-test.documented");
    const hash = (text: string) => distilLog(text, { maxTokens }).hash;
    for (const [from, to] of [
      ["npm test -- --run", "npm test"],
      ["expected 3 to be 4", "expected x to be y"],
      ["throws for null", "throws for nothing"],
    ] as const)
      expect(hash(log.replaceAll(from, to)), from).not.toBe(hash(log));
    expect(hash("all is lost: error")).not.toBe(hash("all is well"));
  });

  it("distilLog refuses a budget in which nothing can be said", () => {
    expect(() => distilLog("", { maxTokens: 10 })).toThrow("maxTokens must be at least 100, but is 10");
  });
});

function inOneLine({ tool, file, line, column, message }: LogError): string {
  return `${tool} | ${[file, line, column].filter((part) => part !== undefined).join(":")} | ${message}`;
}

/** Lines that differ in more than their numbers. */
function inLetters(number: number): string {
  return String(number).replace(/\d/g, (digit) => "ghijklmnop"[Number(digit)]!);
}
