import type { CheckReport } from "./check-report.ts";

export interface CommandEnd {
  /** Null when the command was killed by a signal. */
  exitCode: number | null;
  timedOut: boolean;
  /** True when it was ended from outside: cancelled, out of memory, over its output limit. */
  killed: boolean;
}

/** `passed` is the only good ending; `no-tests` is a test command that ended well without running a test. */
export type Verdict =
  | { kind: "passed"; reason: string }
  | { kind: "failed"; reason: string }
  | { kind: "timed-out"; reason: string }
  | { kind: "killed"; reason: string }
  | { kind: "no-tests"; reason: string };

/**
 * Decides how a command ended. Only exit code 0 can pass, whatever the output says: a printed "passed" is the word of
 * the code under test (security.md, "forges a passed line"). Reported failures count even with exit code 0.
 *
 * @param end how the process ended
 * @param report the parsed output of a test command; leave it out for setup, format, lint and build commands
 */
export function verdictOf(end: CommandEnd, report?: CheckReport): Verdict {
  if (end.timedOut) return { kind: "timed-out", reason: "The command did not end within its time limit." };
  if (end.killed || end.exitCode === null) return { kind: "killed", reason: "The command was killed." };
  const failed = Math.max(
    report?.counts.failed ?? 0,
    report?.tests.filter((test) => test.status === "failed").length ?? 0,
  );
  // pytest ends with 5 when it collected no test (https://docs.pytest.org/en/stable/reference/exit-codes.html).
  if (end.exitCode === 5 && report?.source === "pytest" && report.counts.total === 0) return noTests;
  if (end.exitCode !== 0) {
    const which = failed > 0 ? ` and ${failed} failed tests` : "";
    return { kind: "failed", reason: `The command ended with exit code ${end.exitCode}${which}.` };
  }
  if (report === undefined) return { kind: "passed", reason: "The command ended with exit code 0." };
  if (failed > 0) return { kind: "failed", reason: `${failed} tests failed although the exit code was 0.` };
  const ran = report.counts.passed;
  if (ran === 0 && report.source !== "none") return noTests;
  if (report.source === "none")
    return { kind: "passed", reason: "The command ended with exit code 0; tests could not be counted." };
  return { kind: "passed", reason: `${ran} tests passed.` };
}

const noTests: Verdict = { kind: "no-tests", reason: "No tests were run." };
