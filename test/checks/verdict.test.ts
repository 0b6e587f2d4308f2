import { describe, expect, it } from "vitest";
import { parseResults } from "../../src/checks/parse-results.ts";
import { verdictOf } from "../../src/checks/verdict.ts";
import { output } from "./outputs.ts";

const ended = (exitCode: number | null, more = {}) => ({ exitCode, timedOut: false, killed: false, ...more });
const verdict = (stdout: string, exitCode: number) =>
  verdictOf(ended(exitCode), parseResults({ stdout, stderr: "", exitCode, reports: [] }));

describe("verdictOf", () => {
  it("verdictOf passes only with exit code 0 and no failed test", () => {
    expect(verdict("=== 3 passed in 0.02s ===\n", 0)).toEqual({ kind: "passed", reason: "3 tests passed." });
    expect(verdict(output("pytest"), 1).kind).toBe("failed");
    expect(verdict(output("pytest"), 0)).toEqual({
      kind: "failed",
      reason: "2 tests failed although the exit code was 0.",
    });
  });

  it("verdictOf is not moved by a forged line of success", () => {
    expect(verdict("Tests:       5 passed, 5 total\n=== 99 passed in 0.01s ===\n", 1).kind).toBe("failed");
  });

  it("verdictOf says that no tests were run", () => {
    const none = { kind: "no-tests", reason: "No tests were run." };
    expect(verdict("collected 0 items\n=== no tests ran in 0.01s ===\n", 5)).toEqual(none);
    expect(verdict("?   \ta\t[no test files]\nok  \tb\t0.1s [no tests to run]\n", 0)).toEqual(none);
    expect(verdict("=== 2 skipped in 0.01s ===\n", 0)).toEqual(none);
  });

  it("verdictOf reports time limit and kill whatever was printed", () => {
    const report = parseResults({ stdout: "=== 3 passed in 0.02s ===\n", stderr: "", exitCode: 0, reports: [] });
    expect(verdictOf(ended(0, { timedOut: true }), report).kind).toBe("timed-out");
    expect(verdictOf(ended(0, { killed: true }), report).kind).toBe("killed");
    expect(verdictOf(ended(null), report).kind).toBe("killed");
  });

  it("verdictOf judges other commands by their exit code alone", () => {
    expect(verdictOf(ended(0)).kind).toBe("passed");
    expect(verdictOf(ended(2)).kind).toBe("failed");
  });
});
