import type { ParsedTests, TestResult } from "../check-report.ts";
import { countsOf, TestCollector } from "./test-collector.ts";
import { asXml, attribute, first, list, readXml, textOf, type Xml } from "./xml.ts";

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
