import type { ParsedTests, TestResult } from "../check-report.ts";
import { linesOf, secondsOf } from "./lines.ts";
import { addCounts, appendMessage, countsOf, TestCollector } from "./test-collector.ts";

const maxRemembered = 5000;

/** Reads RSpec's progress and documentation formatters. Errors outside of examples count as failed. */
export function parseRspec(text: string): ParsedTests | undefined {
  const collector = new TestCollector();
  collector.listsEveryTest = false;
  for (const line of linesOf(text)) {
    const end = /^(\d{1,9}) examples?, (\d{1,9}) failures?(.*)$/.exec(line);
    const failure = /^rspec (\.\/\S+?|'\.\/[^']+')(?: # (.*))?$/.exec(line);
    if (end !== null) {
      const pending = numberBefore(end[3]!, "pending");
      const outside = numberBefore(end[3]!, "errors? occurred outside of examples");
      const [total, failed] = [Number(end[1]), Number(end[2])];
      collector.summary = countsOf(Math.max(0, total - failed - pending), failed + outside, pending);
    } else if (failure !== null) {
      const place = failure[1]!.replaceAll("'", "");
      collector.add({ name: failure[2] ?? place, file: place.replace(/[:[].*$/, ""), status: "failed" });
    }
  }
  return collector.summary === undefined ? undefined : collector.done("rspec");
}

/** Reads minitest (Rails included) and test-unit. */
export function parseMinitest(text: string): ParsedTests | undefined {
  const collector = new TestCollector();
  collector.listsEveryTest = false;
  let current: TestResult | undefined;
  for (const line of linesOf(text)) {
    const end =
      /^(\d{1,9}) (?:runs|tests), (\d{1,9}) assertions, (\d{1,9}) failures, (\d{1,9}) errors, (\d{1,9}) (?:skips|pendings)(?:, (\d{1,9}) omissions)?/.exec(
        line,
      );
    const failure = /^(?:Failure|Error): ?(\S*)$|^ {1,5}\d{1,6}\) (?:Failure|Error):$/.exec(line);
    const verbose = /^(\S+#\S+) = (\d{1,9}\.\d{1,9}) s = ([.S])$/.exec(line);
    if (end !== null) {
      const [total, failures, errors, skips, omissions] = [1, 3, 4, 5, 6].map((index) => Number(end[index] ?? 0));
      const failed = failures! + errors!;
      const skipped = skips! + omissions!;
      collector.summary = addCounts(
        collector.summary,
        countsOf(Math.max(0, total! - failed - skipped), failed, skipped),
      );
      current = undefined;
    } else if (verbose !== null) {
      const [suite, name] = verbose[1]!.split("#");
      const status = verbose[3] === "." ? "passed" : "skipped";
      collector.add({ name: name!, suite, status, durationSeconds: Number(verbose[2]) });
    } else if (failure !== null) {
      current = { name: "", status: "failed" };
    } else if (current !== undefined && current.name === "") {
      const place = /^(\S+?)#(\S+?)(?: \[(.*?)(?::\d{1,9})?\])?:?$/.exec(line);
      current =
        place === null
          ? undefined
          : collector.add({ name: place[2]!, suite: place[1], file: place[3], status: "failed" });
    } else if (line.trim() === "") current = undefined;
    else if (current !== undefined) appendMessage(current, line);
  }
  return collector.summary === undefined ? undefined : collector.done("minitest");
}

/** Reads PHPUnit's text, and Pest's summary. */
export function parsePhpunit(text: string): ParsedTests | undefined {
  const collector = new TestCollector();
  collector.listsEveryTest = false;
  let current: TestResult | undefined;
  for (const line of linesOf(text)) {
    const ok = /^OK \((\d{1,9}) tests?, \d{1,9} assertions?\)$/.exec(line);
    const end = /^Tests: (\d{1,9}), Assertions: \d{1,9}(.*?)\.?$/.exec(line);
    const pest = /^ {2}Tests: {1,8}(\d.*)\(\d{1,9} assertions?\)$/.exec(line);
    const failure = /^\d{1,6}\) (\S+?)::(\S.*)$/.exec(line);
    if (ok !== null) collector.summary = countsOf(Number(ok[1]), 0, 0);
    else if (end !== null) {
      const number = (word: string) => Number(new RegExp(`, ${word}: (\\d{1,9})`).exec(end[2]!)?.[1] ?? 0);
      const failed = number("Failures") + number("Errors");
      const skipped = number("Skipped") + number("Incomplete");
      collector.summary = countsOf(Math.max(0, Number(end[1]) - failed - skipped), failed, skipped);
    } else if (pest !== null) {
      const skipped = numberBefore(pest[1]!, "skipped") + numberBefore(pest[1]!, "todos?");
      collector.summary = countsOf(numberBefore(pest[1]!, "passed"), numberBefore(pest[1]!, "failed"), skipped);
    } else if (/^No tests executed!$/.test(line)) collector.summary = countsOf(0, 0, 0);
    else if (failure !== null) current = collector.add({ name: failure[2]!, suite: failure[1], status: "failed" });
    else if (current !== undefined && line.trim() !== "") appendMessage(current, line);
    if (ok !== null || end !== null || line === "--") current = undefined;
  }
  return collector.summary === undefined ? undefined : collector.done("phpunit");
}

/** Reads `dotnet test` of VSTest and of the Microsoft testing platform; assemblies are added up. */
export function parseDotnet(text: string): ParsedTests | undefined {
  const collector = new TestCollector();
  collector.listsEveryTest = false;
  let current: TestResult | undefined;
  for (const line of linesOf(text)) {
    const end =
      /^(?:Passed|Failed|Skipped)! {1,4}- Failed: {1,9}(\d{1,9}), Passed: {1,9}(\d{1,9}), Skipped: {1,9}(\d{1,9}), Total:/.exec(
        line,
      );
    const platform = /^Test summary: total: \d{1,9}, failed: (\d{1,9}), succeeded: (\d{1,9}), skipped: (\d{1,9})/.exec(
      line,
    );
    const counts = end ?? platform;
    if (/^No test is available in /.test(line)) collector.summary ??= countsOf(0, 0, 0);
    const test = /^ {2}(Passed|Failed|Skipped) (\S.*?) \[(?:< )?(\d{1,9}) ?(ms|s|m)\b.*\]$/.exec(line);
    if (counts !== null) {
      const parts = countsOf(Number(counts[2]), Number(counts[1]), Number(counts[3]));
      // The platform's summary is the sum of all assemblies.
      collector.summary = platform !== null ? parts : addCounts(collector.summary, parts);
      current = undefined;
    } else if (test !== null) {
      const status = test[1] === "Passed" ? "passed" : test[1] === "Failed" ? "failed" : "skipped";
      const kept = collector.add({ name: test[2]!, status, durationSeconds: secondsOf(test[3]!, test[4]!) });
      current = status === "failed" ? kept : undefined;
    } else if (current !== undefined && line.trim() !== "") appendMessage(current, line.trim());
  }
  return collector.summary === undefined ? undefined : collector.done("dotnet");
}

/** Reads the text of Maven's surefire and failsafe; the sums of modules are added up. */
export function parseSurefire(text: string): ParsedTests | undefined {
  const collector = new TestCollector();
  collector.listsEveryTest = false;
  let current: TestResult | undefined;
  for (const raw of linesOf(text)) {
    const line = raw.replace(/^\[(?:INFO|ERROR|WARNING)\] ?/, "");
    if (line === "No tests to run.") collector.summary ??= countsOf(0, 0, 0);
    const end =
      /^Tests run: (\d{1,9}), Failures: (\d{1,9}), Errors: (\d{1,9}), Skipped: (\d{1,9})(, Time elapsed.*)?$/.exec(
        line,
      );
    const failure =
      /^(\S+) -- Time elapsed: (\d{1,9}(?:\.\d{1,9})?) s <<< (?:FAILURE|ERROR)!|^(\w+)\((\S+)\) {1,2}Time elapsed: (\d{1,9}(?:\.\d{1,9})?) s {1,2}<<< (?:FAILURE|ERROR)!/.exec(
        line,
      );
    if (end !== null) {
      const [total, failures, errors, skipped] = [1, 2, 3, 4].map((index) => Number(end[index]));
      const failed = failures! + errors!;
      const counts = countsOf(Math.max(0, total! - failed - skipped!), failed, skipped!);
      // Lines with a time are of one class; the line without one is their sum.
      if (end[5] === undefined) collector.summary = addCounts(collector.summary, counts);
      current = undefined;
    } else if (failure !== null) {
      const dot = failure[1]?.lastIndexOf(".") ?? -1;
      current = collector.add({
        name: failure[3] ?? failure[1]!.slice(dot + 1),
        suite: failure[4] ?? failure[1]!.slice(0, Math.max(0, dot)),
        status: "failed",
        durationSeconds: Number(failure[2] ?? failure[5]),
      });
    } else if (line.trim() === "") current = undefined;
    else if (current !== undefined) appendMessage(current, line.trim());
  }
  return collector.summary === undefined ? undefined : collector.done("surefire");
}

/** Reads Gradle's text, which lists failures only; without a failure there is no count. */
export function parseGradle(text: string): ParsedTests | undefined {
  const collector = new TestCollector();
  collector.listsEveryTest = false;
  const seen = new Set<string>();
  let current: TestResult | undefined;
  for (const line of linesOf(text)) {
    const end = /^(\d{1,9}) tests? completed(.*)$/.exec(line);
    const test = /^(\S.*?) > (\S.*) (FAILED|PASSED|SKIPPED)$/.exec(line);
    if (/^> Task :(?:\S+:)?test NO-SOURCE$/.test(line)) collector.summary ??= countsOf(0, 0, 0);
    if (end !== null) {
      const [failed, skipped] = [numberBefore(end[2]!, "failed"), numberBefore(end[2]!, "skipped")];
      const counts = countsOf(Math.max(0, Number(end[1]) - failed - skipped), failed, skipped);
      collector.summary = addCounts(collector.summary, counts);
      current = undefined;
    } else if (test !== null && !seen.has(line)) {
      if (seen.size < maxRemembered) seen.add(line);
      const status = test[3] === "PASSED" ? "passed" : test[3] === "FAILED" ? "failed" : "skipped";
      const kept = collector.add({ name: test[2]!, suite: test[1], status });
      current = status === "failed" ? kept : undefined;
    } else if (/^\S/.test(line)) current = undefined;
    else if (current !== undefined && line.trim() !== "") appendMessage(current, line.trim());
  }
  return collector.summary === undefined ? undefined : collector.done("gradle");
}

function numberBefore(text: string, word: string): number {
  return Number(new RegExp(`(\\d{1,9}) ${word}`).exec(text)?.[1] ?? 0);
}
