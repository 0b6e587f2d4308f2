import { XMLParser } from "fast-xml-parser";
import type { ParsedTests, TestResult } from "../check-report.ts";
import { countsOf, TestCollector } from "./test-collector.ts";

type Xml = { [key: string]: unknown };

const parser = new XMLParser({
  ignoreAttributes: false,
  attributeNamePrefix: "@",
  parseTagValue: false,
  parseAttributeValue: false,
  trimValues: false,
});
// Runners nest <testsuite> in <testsuite> a few levels deep; a hostile report is not followed further.
const maxDepth = 40;

/** Reads JUnit XML as pytest, surefire, Gradle, vitest, node:test, PHPUnit and others write it. */
export function parseJunit(text: string): ParsedTests | undefined {
  const root = readXml(text);
  if (root === undefined || (root.testsuites === undefined && root.testsuite === undefined)) return undefined;
  const collector = new TestCollector();
  visit(root, undefined, collector, 0);
  collector.summary = summaryOf(root);
  return collector.done("junit");
}

/** Reads the XML report of `dotnet test --logger trx`. */
export function parseTrx(text: string): ParsedTests | undefined {
  const run = asXml(readXml(text)?.TestRun);
  if (run === undefined) return undefined;
  const collector = new TestCollector();
  for (const result of list(asXml(run.Results)?.UnitTestResult)) {
    const outcome = String(result["@outcome"] ?? "");
    const status = outcome === "Passed" ? "passed" : outcome === "NotExecuted" ? "skipped" : "failed";
    const error = asXml(asXml(result.Output)?.ErrorInfo);
    collector.add({
      name: String(result["@testName"] ?? "?"),
      status,
      durationSeconds: clockSeconds(String(result["@duration"] ?? "")),
      message: error === undefined ? undefined : textOf(error.Message),
    });
  }
  const counters = asXml(asXml(run.ResultSummary)?.Counters);
  if (counters !== undefined) {
    const [total, passed, executed] = ["@total", "@passed", "@executed"].map((key) => Number(counters[key] ?? 0) || 0);
    collector.summary = countsOf(passed!, executed! - passed!, total! - executed!);
  }
  return collector.done("trx");
}

function readXml(text: string): Xml | undefined {
  try {
    return asXml(parser.parse(text));
  } catch {
    return undefined;
  }
}

function visit(node: Xml, suite: string | undefined, collector: TestCollector, depth: number): void {
  if (depth > maxDepth) return;
  for (const testcase of list(node.testcase)) collector.add(testOf(testcase, suite));
  for (const child of [...list(node.testsuites), ...list(node.testsuite)]) {
    visit(child, attribute(child, "name") ?? suite, collector, depth + 1);
  }
}

function testOf(testcase: Xml, suite: string | undefined): TestResult {
  const failure = first(testcase.failure) ?? first(testcase.error);
  const skipped = first(testcase.skipped);
  const reason = failure ?? skipped;
  return {
    name: attribute(testcase, "name") ?? "?",
    suite: attribute(testcase, "classname") ?? attribute(testcase, "class") ?? suite,
    file: attribute(testcase, "file"),
    status: failure !== undefined ? "failed" : skipped !== undefined ? "skipped" : "passed",
    durationSeconds: testcase["@time"] === undefined ? undefined : Number(testcase["@time"]),
    message: reason === undefined ? undefined : messageOf(reason),
  };
}

function messageOf(reason: unknown): string | undefined {
  const message = attribute(asXml(reason) ?? {}, "message");
  const body = textOf(reason).trim();
  if (message === undefined || message === "" || message === "true") return body || undefined;
  return body === "" || body.includes(message) ? body || message : `${message}\n${body}`;
}

// Only the outermost suites are added up: an outer one repeats the sum of those inside it.
function summaryOf(root: Xml): ParsedTests["summary"] {
  const suites = list(root.testsuites).flatMap((all) => ("@tests" in all ? [all] : list(all.testsuite)));
  // node:test writes tests outside of suites without counting them anywhere.
  if (list(root.testsuites).some((all) => !("@tests" in all) && list(all.testcase).length > 0)) return undefined;
  const counted = suites.length > 0 ? suites : list(root.testsuite);
  let [total, failed, skipped] = [0, 0, 0];
  for (const suite of counted) {
    // A suite without its number of tests, or a root that leaves out the skipped ones, is no summary to compare with.
    if (suite["@tests"] === undefined || (suite["@skipped"] ?? suite["@disabled"]) === undefined) return undefined;
    total += Number(suite["@tests"]) || 0;
    failed += (Number(suite["@failures"]) || 0) + (Number(suite["@errors"]) || 0);
    skipped += Number(suite["@skipped"] ?? 0) || 0;
  }
  return counted.length === 0 ? undefined : countsOf(Math.max(0, total - failed - skipped), failed, skipped);
}

function list(value: unknown): Xml[] {
  const items: unknown[] = Array.isArray(value) ? value : [value];
  return items.map(asXml).filter((item) => item !== undefined);
}

function first(value: unknown): unknown {
  return Array.isArray(value) ? value[0] : value;
}

function asXml(value: unknown): Xml | undefined {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Xml) : undefined;
}

function attribute(node: Xml, name: string): string | undefined {
  const value = node[`@${name}`];
  return typeof value === "string" && value !== "" ? value : undefined;
}

function textOf(value: unknown): string {
  if (typeof value === "string") return value;
  const text = asXml(value)?.["#text"];
  return typeof text === "string" ? text : "";
}

function clockSeconds(clock: string): number | undefined {
  const match = /^(\d{1,4}):(\d{2}):(\d{2}(?:\.\d{1,9})?)$/.exec(clock);
  return match === null ? undefined : Number(match[1]) * 3600 + Number(match[2]) * 60 + Number(match[3]);
}
