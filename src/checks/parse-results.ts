import type { CheckReport, ParsedTests, ReportKind, TestCounts, TestParser } from "./check-report.ts";
import { parseCargo } from "./parsers/cargo.ts";
import { coverageIn } from "./parsers/coverage.ts";
import { parseGoTest, parseGoTestJson } from "./parsers/go-test.ts";
import { parseJest, parseMocha, parseNodeTest, parseVitest } from "./parsers/javascript.ts";
import { parseJestJson, parseRspecJson } from "./parsers/jest-json.ts";
import { parseJunit } from "./parsers/junit.ts";
import {
  parseDotnet,
  parseGradle,
  parseMinitest,
  parsePhpunit,
  parseRspec,
  parseSurefire,
} from "./parsers/other-languages.ts";
import { parsePytest, parseUnittest } from "./parsers/python.ts";
import { parseTap } from "./parsers/tap.ts";
import { addCounts, countsOf } from "./parsers/test-collector.ts";
import { parseTrx } from "./parsers/trx.ts";
import { plainText } from "./plain-text.ts";

export interface CommandOutput {
  stdout: string;
  stderr: string;
  /** Null when the command was killed by a signal. */
  exitCode: number | null;
  /** Texts of the report files that the command left. */
  reports: { kind: ReportKind; text: string }[];
}

// Output beyond this is not read: the summary is at the end, so the end is kept.
const maxOutputLength = 8_000_000;
const maxLines = 100_000;
const maxTests = 2500;

const reportParsers: Record<ReportKind, TestParser> = {
  junit: parseJunit,
  trx: parseTrx,
  tap: parseTap,
  "jest-json": parseJestJson,
  "vitest-json": parseJestJson,
  "go-test-json": parseGoTestJson,
  "rspec-json": parseRspecJson,
};

// A parser runs only where one of the words is printed without which it finds nothing.
const outputParsers: [TestParser, string[]][] = [
  [parseGoTestJson, ['"Action":']],
  [parsePytest, [" in "]],
  [parseVitest, ["Tests  ", "No test files found"]],
  [parseJest, ["Tests: ", "No tests found"]],
  [parseNodeTest, ["ℹ tests "]],
  [parseTap, ["TAP version 1", "1.."]],
  [parseCargo, ["test result: ", "Summary ["]],
  [parseGoTest, ["ok  ", "FAIL\t", "[no test files]"]],
  [parseSurefire, ["Tests run: ", "No tests to run."]],
  [parseGradle, [" completed", " NO-SOURCE"]],
  [parseDotnet, ["- Failed: ", "Test summary: ", "No test is available in "]],
  [parseRspec, [" example"]],
  [parseMinitest, [" assertions, "]],
  [parsePhpunit, [" assertion", "Assertions: ", "No tests executed!"]],
  [parseMocha, [" passing"]],
  [parseUnittest, ["Ran "]],
  [parseJestJson, ['"testResults"']],
];

/**
 * Returns what a command's output says about its tests: the report files where there are any, else the printed text.
 * Whatever it holds was written by code that nobody trusts, so it is compared with the exit code and with itself, and
 * every contradiction is named in `doubts`. Linear in the size of the output; never throws.
 */
export function parseResults(output: CommandOutput): CheckReport {
  const text = readable(output.stdout, output.stderr);
  const printed = bestOf(text);
  const reported = fromReports(output.reports);
  const chosen = reported ?? printed;
  const coverage = coverageIn(text);
  if (chosen === undefined) {
    return { tests: [], counts: countsOf(0, 0, 0), coverage, trustworthy: true, doubts: [], source: "none" };
  }
  const counts = chosen.summary ?? chosen.listed;
  const doubts = doubtsAbout(chosen, counts, reported === undefined ? undefined : printed, output.exitCode);
  const tests = chosen.tests.slice(0, maxTests);
  return { tests, counts, coverage, trustworthy: doubts.length === 0, doubts, source: chosen.source };
}

function readable(stdout: string, stderr: string): string {
  return `${readableEnd(stdout)}\n${readableEnd(stderr)}`;
}

function readableEnd(output: string): string {
  const text = plainText(output.slice(-maxOutputLength)).replace(/\n{3,}/g, "\n\n");
  let start = text.length;
  for (let lines = 0; lines < maxLines && start > 0; lines++) start = text.lastIndexOf("\n", start - 1);
  return start <= 0 ? text : text.slice(start);
}

function bestOf(text: string): ParsedTests | undefined {
  let best: ParsedTests | undefined;
  for (const [parser, words] of outputParsers) {
    if (!words.some((word) => text.includes(word))) continue;
    const parsed = attempt(parser, text);
    if (parsed !== undefined && (best === undefined || totalOf(parsed) > totalOf(best))) best = parsed;
  }
  return best;
}

function fromReports(reports: CommandOutput["reports"]): ParsedTests | undefined {
  let all: ParsedTests | undefined;
  for (const { kind, text } of reports) {
    const parsed = attempt(reportParsers[kind], text.slice(0, maxOutputLength));
    if (parsed === undefined) continue;
    all = all === undefined ? parsed : joined(all, parsed);
  }
  if (all === undefined) return undefined;
  const failedFirst = all.tests.filter((test) => test.status === "failed");
  return { ...all, tests: [...failedFirst, ...all.tests.filter((test) => test.status !== "failed")] };
}

function joined(a: ParsedTests, b: ParsedTests): ParsedTests {
  return {
    source: a.source,
    tests: a.tests.length > 20_000 ? a.tests : [...a.tests, ...b.tests],
    listed: addCounts(a.listed, b.listed),
    summary: a.summary === undefined || b.summary === undefined ? undefined : addCounts(a.summary, b.summary),
    listsEveryTest: a.listsEveryTest && b.listsEveryTest,
  };
}

// A parser's defect must not end a run: its text then counts as not understood.
function attempt(parser: TestParser, text: string): ParsedTests | undefined {
  try {
    return parser(text);
  } catch {
    return undefined;
  }
}

function doubtsAbout(
  chosen: ParsedTests,
  counts: TestCounts,
  printed: ParsedTests | undefined,
  exitCode: number | null,
): string[] {
  const doubts: string[] = [];
  const { listed, summary } = chosen;
  if (exitCode === 0 && counts.failed + listed.failed > 0) {
    doubts.push(
      `The command ended with exit code 0, but ${Math.max(counts.failed, listed.failed)} failed tests were reported.`,
    );
  }
  if (exitCode !== 0 && counts.total > 0 && counts.failed === 0 && listed.failed === 0) {
    doubts.push(`All ${counts.total} reported tests passed, but the exit code was ${exitCode ?? "none (killed)"}.`);
  }
  if (summary !== undefined && contradicts(listed, summary, chosen.listsEveryTest)) {
    doubts.push(`The summary says ${inWords(summary)}, but ${inWords(listed)} are listed.`);
  }
  if (printed !== undefined && (totalsOf(printed).failed === 0) !== (counts.failed === 0)) {
    doubts.push(`The report says ${inWords(counts)}, but the printed output says ${inWords(totalsOf(printed))}.`);
  }
  return doubts;
}

function contradicts(listed: TestCounts, summary: TestCounts, listsEveryTest: boolean): boolean {
  if (listsEveryTest) {
    return listed.passed !== summary.passed || listed.failed !== summary.failed || listed.skipped !== summary.skipped;
  }
  return listed.failed > 0 && summary.failed === 0;
}

function totalsOf(parsed: ParsedTests): TestCounts {
  return parsed.summary ?? parsed.listed;
}

function totalOf(parsed: ParsedTests): number {
  return totalsOf(parsed).total;
}

function inWords({ passed, failed, skipped }: TestCounts): string {
  return `${passed} passed, ${failed} failed, ${skipped} skipped`;
}
