import type { ParsedTests, ReportSource, TestCounts, TestResult } from "../check-report.ts";

const maxFailedTests = 500;
const maxOtherTests = 2000;
const maxNameLength = 300;
const maxMessageLength = 2000;

/**
 * Collects the results of a test run with a cap on what is kept (500 failed, 2000 others, names of 300 and messages of
 * 2000 characters) while everything is counted, so that a hostile test suite cannot fill the memory.
 */
export class TestCollector {
  readonly listed: TestCounts = { passed: 0, failed: 0, skipped: 0, total: 0 };
  summary: TestCounts | undefined;
  listsEveryTest = true;
  #failed: TestResult[] = [];
  #others: TestResult[] = [];

  /** Counts a result and keeps it if there is room; returns the kept one, whose message may still be completed. */
  add(result: TestResult): TestResult {
    this.listed[result.status]++;
    this.listed.total++;
    const kept = shortened(result);
    const list = result.status === "failed" ? this.#failed : this.#others;
    if (list.length < (result.status === "failed" ? maxFailedTests : maxOtherTests)) list.push(kept);
    return kept;
  }

  /** Returns what was collected, failed tests first. */
  done(source: ReportSource): ParsedTests {
    return {
      source,
      tests: [...this.#failed, ...this.#others],
      listed: this.listed,
      summary: this.summary,
      listsEveryTest: this.listsEveryTest,
    };
  }

  /** True when neither a test nor a summary was seen: the text is of another kind. */
  get empty(): boolean {
    return this.listed.total === 0 && this.summary === undefined;
  }
}

/** Adds text to a result's message up to the cap. */
export function appendMessage(result: TestResult, text: string): void {
  const before = result.message ?? "";
  if (before.length < maxMessageLength) {
    result.message = (before === "" ? text : `${before}\n${text}`).slice(0, maxMessageLength);
  }
}

/** Returns counts with their sum as total. */
export function countsOf(passed: number, failed: number, skipped: number): TestCounts {
  return { passed, failed, skipped, total: passed + failed + skipped };
}

/** Returns the sum of two counts, where the first may be missing. */
export function addCounts(a: TestCounts | undefined, b: TestCounts): TestCounts {
  return a === undefined ? b : countsOf(a.passed + b.passed, a.failed + b.failed, a.skipped + b.skipped);
}

function shortened(result: TestResult): TestResult {
  const kept: TestResult = { name: result.name.slice(0, maxNameLength), status: result.status };
  if (result.suite) kept.suite = result.suite.slice(0, maxNameLength);
  if (result.file) kept.file = result.file.slice(0, maxNameLength);
  if (result.durationSeconds !== undefined && Number.isFinite(result.durationSeconds)) {
    kept.durationSeconds = result.durationSeconds;
  }
  if (result.message) kept.message = result.message.slice(0, maxMessageLength);
  return kept;
}
