import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { distilFailure, type FailedCommand } from "../../src/checks/distil-failure.ts";
import { failureSignature } from "../../src/checks/failure-signature.ts";
import { parseResults } from "../../src/checks/parse-results.ts";
import { plainText } from "../../src/checks/plain-text.ts";
import { estimateTokens } from "../../src/policy/tokens.ts";
import { processorMs } from "../support/processor-time.ts";
import { output } from "./outputs.ts";

const failed = (stdout: string, more: Partial<FailedCommand> = {}): FailedCommand => ({
  name: "npm test",
  exitCode: 1,
  timedOut: false,
  stdout,
  stderr: "",
  report: parseResults({ stdout, stderr: "", exitCode: 1, reports: [] }),
  ...more,
});

describe("failureSignature", () => {
  it("failureSignature stays the same when only times, addresses, paths and order differ", () => {
    const first = output("pytest");
    const second = first.replace("in 0.03s", "in 1.27s").replace("0x7f19cdc32090", "0x7fffffff0000");
    expect(failureSignature([failed(second)])).toBe(failureSignature([failed(first)]));
    const compile = (root: string, line: number) =>
      failed("", { report: undefined, stderr: `${root}/src/a.ts(${line},5): error TS2304: Cannot find name 'x'.\n` });
    expect(failureSignature([compile("/tmp/job-1/tree", 12)])).toBe(
      failureSignature([compile("/tmp/job-29/tree", 14)]),
    );
    const [a, b] = [failed(output("jest")), failed(output("cargo"), { name: "cargo test" })];
    expect(failureSignature([a, b])).toBe(failureSignature([b, a]));
  });

  it("failureSignature differs for another test, message, command or ending", () => {
    const base = failureSignature([failed(output("pytest"))]);
    for (const other of [
      failed(output("pytest").replaceAll("test_bad", "test_worse")),
      failed(
        output("pytest").replace(
          "TestThing::test_raises - ValueError: boom",
          "TestThing::test_raises - KeyError: boom",
        ),
      ),
      failed(output("pytest"), { name: "tox" }),
      failed(output("pytest"), { timedOut: true }),
    ]) {
      expect(failureSignature([other])).not.toBe(base);
    }
  });
});

describe("distilFailure", () => {
  it("distilFailure shows the failed tests with their messages, then the errors, then the ends", () => {
    const text = distilFailure(failed(output("vitest-v")), 3000).excerpt;
    expect(text).toMatch(/^\$ npm test\nexit code 1; 2 passed, 2 failed, 2 skipped\n/);
    expect(text).toContain("- a.test.ts > math > subtracts\n    AssertionError: expected 1 to be 3");
    expect(text).not.toContain("\u001b");
    expect(text.indexOf("Failed tests:")).toBeLessThan(text.indexOf("Output:"));
  });

  it("distilFailure finds the error between thousands of other lines", () => {
    const noise = Array.from({ length: 5000 }, (_, index) => `compiled module ${index}`);
    noise[2500] = "src/cart.ts:17:3 - error TS2322: Type 'string' is not assignable to type 'number'.";
    const text = distilFailure(failed(noise.join("\n"), { report: undefined }), 1000).excerpt;
    expect(text).toContain("src/cart.ts:17:3 - error TS2322");
    expect(text).toContain("compiled module 0");
    expect(text).toContain("compiled module 4999");
    expect(text).toContain("(lines left out)");
  });

  it("distilFailure folds repeated lines", () => {
    const { excerpt } = distilFailure(failed("again\n".repeat(1000)), 1000);
    expect(excerpt).toContain("again\n    (the line above 999 more times)");
  });

  it("distilFailure keeps within its tokens, for any text", () => {
    fc.assert(
      fc.property(
        fc.array(fc.oneof(fc.string({ unit: "grapheme" }), fc.constant("a.ts:1:2 error"))),
        fc.integer({ min: 100, max: 2000 }),
        (lines, maxTokens) => {
          const { excerpt } = distilFailure(failed(lines.join("\n")), maxTokens);
          expect(estimateTokens(excerpt)).toBeLessThanOrEqual(maxTokens);
        },
      ),
    );
    expect(() => distilFailure(failed(""), 10)).toThrow("maxTokens must be at least 100, but is 10");
  });

  it.each([
    "a",
    "\n",
    "a\n",
    "\u001b]",
    "\u001b[",
    "a.ts:1:1 error ",
    "error\n",
    "./",
    "a.b.c.",
    "/a/b/c/d",
    "((((",
    " at ",
  ])("distilFailure and failureSignature read 1 MB of %j in time", (unit) => {
    const command = failed("", { stdout: unit.repeat(1_000_000 / unit.length), report: undefined });
    const started = processorMs();
    distilFailure(command, 8000);
    failureSignature([command]);
    expect(processorMs() - started).toBeLessThan(1000);
  });
});

describe("plainText", () => {
  it("plainText removes colours, links, titles and overwritten parts of lines", () => {
    expect(
      plainText("\u001b[1;31mred\u001b[0m \u001b]8;;http://a\u0007link\u001b]8;;\u0007 \u001b]0;t\u001b\\x\u009b1my"),
    ).toBe("red link xy");
    expect(plainText("10%\r50%\r100%\r\ndone\r\n")).toBe("100%\ndone\n");
    expect(plainText("unended \u001b]title\nnext\u0007")).toBe("unended title\nnext\u0007");
    expect(plainText("\u001b(B\u001b[mplain \u001b\nnext")).toBe("plain \nnext");
    expect(plainText("[1/4] fetch\u001b[2K\u001b[1G[2/4] link\u001b[2K\u001b[1Gdone\r\r\n")).toBe("done\n");
  });
});
