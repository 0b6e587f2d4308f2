import type { ParsedTests, TestResult } from "../check-report.ts";
import { linesOf } from "./lines.ts";
import { addCounts, appendMessage, countsOf, TestCollector } from "./test-collector.ts";

const maxRemembered = 5000;

/** Reads `cargo test` (unit, integration and documentation tests) and `cargo nextest run`. */
export function parseCargo(text: string): ParsedTests | undefined {
  const collector = new TestCollector();
  const failed = new Map<string, TestResult>();
  let current: TestResult | undefined;
  for (const line of linesOf(text)) {
    const test = /^test (\S.*?) \.\.\. (?:.{0,1500})?\b(ok|FAILED|ignored)(?:, (.*)| <.*>)?$/.exec(line);
    const next =
      /^\s{1,12}(PASS|FAIL|SIGABRT|SIGSEGV|TIMEOUT) \[ *(\d{1,9}\.\d{1,9})s\] (?:\([^)]{0,40}\) )?(\S+) (\S+)$/.exec(
        line,
      );
    const end = /^test result: (?:ok|FAILED)\. (\d{1,9}) passed; (\d{1,9}) failed; (\d{1,9}) ignored;/.exec(line);
    const summary = /^\s{1,12}Summary \[.{0,40}\] .{0,40}tests? run: (.*)$/.exec(line);
    const header = /^---- (\S.*?) stdout ----$/.exec(line);
    if (test !== null) {
      const status = test[2] === "ok" ? "passed" : test[2] === "FAILED" ? "failed" : "skipped";
      remember(collector.add({ name: test[1]!.replace(/ - should panic$/, ""), status, message: test[3] }));
    } else if (next !== null) {
      const name = next[4]!;
      if (failed.has(`${next[3]} ${name}`)) continue;
      const status = next[1] === "PASS" ? "passed" : "failed";
      const kept = collector.add({ name, suite: next[3], status, durationSeconds: Number(next[2]) });
      if (status === "failed" && failed.size < maxRemembered) failed.set(`${next[3]} ${name}`, kept);
    } else if (end !== null) {
      const counts = countsOf(Number(end[1]), Number(end[2]), Number(end[3]));
      collector.summary = addCounts(collector.summary, counts);
      current = undefined;
      failed.clear();
    } else if (summary !== null) {
      const number = (word: string) => Number(new RegExp(`(\\d{1,9}) ${word}`).exec(summary[1]!)?.[1] ?? 0);
      collector.summary = countsOf(number("passed"), number("failed") + number("timed out"), number("skipped"));
      collector.listsEveryTest = false;
    } else if (header !== null) current = failed.get(header[1]!);
    else if (line === "failures:" || /^note: |^stack backtrace:/.test(line)) current = undefined;
    else if (current !== undefined && line.trim() !== "") appendMessage(current, line);
  }
  return collector.summary === undefined ? undefined : collector.done("cargo");

  function remember(result: TestResult): void {
    if (result.status === "failed" && failed.size < maxRemembered) failed.set(result.name, result);
  }
}
