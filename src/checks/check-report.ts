/** How one test ended, as a test runner reported it. */
export interface TestResult {
  name: string;
  /** The group, class or package that the test belongs to. */
  suite?: string;
  file?: string;
  status: "passed" | "failed" | "skipped";
  durationSeconds?: number;
  /** For a failed test, the head of its message; for a skipped one, the reason. */
  message?: string;
}

export interface TestCounts {
  passed: number;
  failed: number;
  skipped: number;
  total: number;
}

/** Which reader understood the output. */
export type ReportSource =
  | "junit"
  | "trx"
  | "tap"
  | "pytest"
  | "unittest"
  | "go-test-json"
  | "go-test"
  | "jest-json"
  | "jest"
  | "vitest"
  | "node-test"
  | "cargo"
  | "mocha"
  | "rspec-json"
  | "rspec"
  | "minitest"
  | "phpunit"
  | "dotnet"
  | "surefire"
  | "gradle"
  | "none";

/** What the output of one command says about its tests; a claim of untrusted code, to be read with the exit code. */
export interface CheckReport {
  /** Failed tests first, capped: `counts` also counts those that are left out. */
  tests: TestResult[];
  counts: TestCounts;
  coverage?: { linesPercent?: number };
  /** False where the report contradicts itself, the printed summary or the exit code. */
  trustworthy: boolean;
  /** One sentence for each contradiction. */
  doubts: string[];
  source: ReportSource;
}

/** The reports that a command can leave for us, by the format of their text. */
export type ReportKind = "junit" | "trx" | "tap" | "jest-json" | "vitest-json" | "go-test-json" | "rspec-json";

/** What a single parser found; undefined fields were not said. */
export interface ParsedTests {
  source: ReportSource;
  tests: TestResult[];
  /** Counted while reading the single tests, those beyond the cap included. */
  listed: TestCounts;
  /** What the runner's own summary says. */
  summary?: TestCounts;
  /** False where a runner lists only some of its tests (pytest without -v lists failures only). */
  listsEveryTest: boolean;
}

/** Returns what it understood, or undefined when the text is not of its kind. Linear time; never throws. */
export type TestParser = (text: string) => ParsedTests | undefined;
