import type { ParsedTests, TestResult } from "../check-report.ts";
import { countsOf, TestCollector } from "./test-collector.ts";
import { asXml, attribute, list, readXml, textOf, type Xml } from "./xml.ts";

// An ordered test holds others, a test of many rows one result for each; a hostile report is not followed further.
const maxDepth = 10;
const passing = new Set(["Passed", "PassedButRunAborted", "Warning", "Completed"]);
const notRun = new Set(["NotExecuted", "NotRunnable", "Inconclusive", "Pending"]);

/**
 * Reads the results of Visual Studio's test runner (`dotnet test --logger trx`). A test of many rows counts as its rows. A run
 * that broke off, such as by a crashed test host, counts as one failed test where none of its tests failed.
 */
export function parseTrx(text: string): ParsedTests | undefined {
  const run = asXml(readXml(text)?.TestRun);
  if (run === undefined) return undefined;
  const collector = new TestCollector();
  const classes = classNames(run);
  const hasInner = addResults(asXml(run.Results), classes, collector, 0);
  const summary = asXml(run.ResultSummary);
  const brokenOff = collector.listed.failed === 0 ? errorsOf(summary) : "";
  if (brokenOff !== "") collector.add({ name: "(test run)", status: "failed", message: brokenOff });
  // Whether rows are in its numbers differs between adapters.
  else if (!hasInner) collector.summary = countersOf(asXml(summary?.Counters));
  return collector.done("trx");
}

/** Class name by the id of a test: xUnit and NUnit name it in the test's name too, MSTest does not. */
function classNames(run: Xml): Map<string, string> {
  const classes = new Map<string, string>();
  for (const test of list(asXml(run.TestDefinitions)?.UnitTest)) {
    const id = attribute(test, "id");
    const name = attribute(asXml(test.TestMethod) ?? {}, "className");
    // Older runners write the assembly after the class.
    if (id !== undefined && name !== undefined) classes.set(id, name.split(",")[0] as string);
  }
  return classes;
}

/** Returns whether a result was made of others. */
function addResults(
  results: Xml | undefined,
  classes: ReadonlyMap<string, string>,
  collector: TestCollector,
  depth: number,
): boolean {
  let hasInner = false;
  const all = [results?.UnitTestResult, results?.GenericTestResult, results?.TestResultAggregation].flatMap(list);
  for (const result of all) {
    const inner = asXml(result.InnerResults);
    if (inner === undefined || depth >= maxDepth) collector.add(testOf(result, classes));
    else {
      hasInner = true;
      addResults(inner, classes, collector, depth + 1);
    }
  }
  return hasInner;
}

function testOf(result: Xml, classes: ReadonlyMap<string, string>): TestResult {
  const outcome = attribute(result, "outcome") ?? "";
  const name = attribute(result, "testName") ?? "?";
  const suite = classes.get(attribute(result, "testId") ?? "");
  const error = asXml(asXml(result.Output)?.ErrorInfo);
  const trace = textOf(error?.StackTrace);
  const message = [textOf(error?.Message), trace].filter((part) => part.trim() !== "").join("\n");
  return {
    name,
    suite: suite === undefined || name.startsWith(`${suite}.`) ? undefined : suite,
    file: fileIn(trace),
    status: passing.has(outcome) ? "passed" : notRun.has(outcome) ? "skipped" : "failed",
    durationSeconds: clockSeconds(attribute(result, "duration") ?? ""),
    message: message === "" ? undefined : message,
  };
}

/** The file of the innermost frame whose source is known: `at Shop.Cart.Add() in /src/Cart.cs:line 12`. */
function fileIn(trace: string): string | undefined {
  for (const line of trace.slice(0, 20_000).split("\n")) {
    const end = line.lastIndexOf(":line ");
    const start = line.lastIndexOf(" in ", end);
    if (end > 0 && start > 0) return line.slice(start + 4, end);
  }
  return undefined;
}

/** What the runner itself says went wrong, not a test. */
function errorsOf(summary: Xml | undefined): string {
  return list(asXml(summary?.RunInfos)?.RunInfo)
    .filter((info) => attribute(info, "outcome") === "Error")
    .map((info) => textOf(info.Text).trim())
    .filter((text) => text !== "")
    .join("\n");
}

// `notExecuted` is 0 however many were skipped: https://github.com/nunit/nunit/issues/5045
function countersOf(counters: Xml | undefined): ParsedTests["summary"] {
  if (counters === undefined) return undefined;
  const [total = 0, passed = 0, executed = 0] = ["total", "passed", "executed"].map(
    (key) => Number(attribute(counters, key) ?? 0) || 0,
  );
  return countsOf(passed, Math.max(0, executed - passed), Math.max(0, total - executed));
}

function clockSeconds(clock: string): number | undefined {
  const match = /^(\d{1,4}):(\d{2}):(\d{2}(?:\.\d{1,9})?)$/.exec(clock);
  return match === null ? undefined : Number(match[1]) * 3600 + Number(match[2]) * 60 + Number(match[3]);
}
