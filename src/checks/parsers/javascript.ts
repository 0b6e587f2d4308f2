import type { ParsedTests, TestResult } from "../check-report.ts";
import { indentOf, linesOf, secondsOf } from "./lines.ts";
import { appendMessage, countsOf, TestCollector } from "./test-collector.ts";

const maxRemembered = 5000;
const duration = / \((\d{1,9}(?:\.\d{1,9})?) ?(ms|s|m)\)$/;

/** Reads vitest's text. A test file that could not be run counts as one failed test. */
export function parseVitest(text: string): ParsedTests | undefined {
  const collector = new TestCollector();
  collector.listsEveryTest = false;
  const failures = new Set<string>();
  let current: TestResult | undefined;
  let failedFiles = 0;
  for (const line of linesOf(text)) {
    const tests = /^\s{2,}Tests {2}(?=\d|no tests)(.*)$/.exec(line);
    if (tests !== null) {
      collector.summary = countsIn(tests[1]!, " | ");
      continue;
    }
    if (/^No test files found\b/.test(line)) collector.summary ??= countsOf(0, 0, 0);
    const fail = /^ FAIL {2}(\S.*)$/.exec(line);
    if (fail !== null) {
      const [file, ...titles] = fail[1]!.split(" > ");
      const isNew = !failures.has(fail[1]!);
      current = undefined;
      if (isNew && failures.size < maxRemembered) {
        failures.add(fail[1]!);
        const whole = titles.length === 0;
        if (whole) failedFiles++;
        current = collector.add({
          name: whole ? "(test file)" : titles.at(-1)!,
          suite: titles.slice(0, -1).join(" > "),
          file: file!.replace(/ \[ .* \]$/, "").replace(/^\|.*?\| /, ""),
          status: "failed",
        });
      }
      continue;
    }
    if (/^⎯/.test(line.trim())) current = undefined;
    if (current !== undefined && line.trim() !== "") appendMessage(current, line.trim());
    const other = /^\s{1,20}([✓✔↓□]) (\S.*? > .*?)(?: {1,2}(\d{1,9})ms)?$/.exec(line);
    if (other !== null) {
      const titles = other[2]!.split(" > ");
      collector.add({
        name: titles.at(-1)!.trim(),
        suite: titles.slice(1, -1).join(" > "),
        file: titles[0],
        status: other[1] === "✓" || other[1] === "✔" ? "passed" : "skipped",
        durationSeconds: other[3] === undefined ? undefined : Number(other[3]) / 1000,
      });
    }
  }
  if (collector.summary === undefined) return undefined;
  const { passed, failed, skipped } = collector.summary;
  collector.summary = countsOf(passed, failed + failedFiles, skipped);
  return collector.done("vitest");
}

/** Reads jest's text, with or without --verbose. A test file that could not be run counts as one failed test. */
export function parseJest(text: string): ParsedTests | undefined {
  const collector = new TestCollector();
  collector.listsEveryTest = false;
  const failures = new Set<string>();
  let file = "";
  let failedFiles = 0;
  let current: TestResult | undefined;
  for (const line of linesOf(text)) {
    const tests = /^Tests: {1,12}(\d.*)$/.exec(line);
    if (tests !== null) {
      collector.summary = countsIn(tests[1]!.replace(/, \d{1,9} total.*$/, ""), ", ");
      current = undefined;
      continue;
    }
    if (/^No tests found\b/.test(line)) collector.summary ??= countsOf(0, 0, 0);
    const header = /^(?:FAIL|PASS) (\S.*?)(?: \(.*\))?$/.exec(line);
    if (header !== null) file = header[1]!;
    const failure = /^ {2}● (.*)$/.exec(line);
    if (failure !== null && !failure[1]!.startsWith("Console")) {
      const key = `${file}\n${failure[1]}`;
      current = undefined;
      if (failures.has(key) || failures.size >= maxRemembered) continue;
      failures.add(key);
      const titles = failure[1]!.split(" › ");
      const whole = failure[1] === "Test suite failed to run";
      if (whole) failedFiles++;
      current = collector.add({
        name: whole ? "(test file)" : titles.at(-1)!,
        suite: whole ? "" : titles.slice(0, -1).join(" > "),
        file,
        status: "failed",
      });
      continue;
    }
    const other = /^\s{2,40}([✓○✎]) (?:skipped |todo )?(.*)$/.exec(line);
    if (other !== null) {
      const time = duration.exec(other[2]!);
      collector.add({
        name: other[2]!.replace(duration, ""),
        file,
        status: other[1] === "✓" ? "passed" : "skipped",
        durationSeconds: time === null ? undefined : secondsOf(time[1]!, time[2]!),
      });
      continue;
    }
    if (header !== null || /^\S/.test(line)) current = undefined;
    if (current !== undefined && line.trim() !== "") appendMessage(current, line.trim());
  }
  if (collector.summary === undefined) return undefined;
  const { passed, failed, skipped } = collector.summary;
  collector.summary = countsOf(passed, failed + failedFiles, skipped);
  return collector.done("jest");
}

/** Reads the spec reporter of node:test. A suite only sums up its tests and is not counted. */
export function parseNodeTest(text: string): ParsedTests | undefined {
  const collector = new TestCollector();
  const suites: { indent: number; name: string }[] = [];
  const failed = new Map<string, TestResult>();
  const numbers = new Map<string, number>();
  let inDetails = false;
  let current: TestResult | undefined;
  for (const line of linesOf(text)) {
    const number = /^ℹ (tests|pass|fail|cancelled|skipped|todo) (\d{1,9})$/.exec(line);
    if (number !== null) numbers.set(number[1]!, Number(number[2]));
    if (line === "✖ failing tests:") inDetails = true;
    const point = /^([▶✔✖﹣⚠]) (.*)$/.exec(line.trimStart());
    if (point === null) {
      if (inDetails && current !== undefined && line.trim() !== "") appendMessage(current, line.trim());
      continue;
    }
    const indent = indentOf(line);
    const { name, skipped, durationSeconds } = describe(point[2]!);
    if (inDetails) {
      current = failed.get(name);
      continue;
    }
    if (point[1] === "▶") {
      if (suites.length < 100) suites.push({ indent, name });
      continue;
    }
    const open = suites.at(-1);
    if (open !== undefined && open.indent === indent && open.name === name) {
      suites.pop();
      continue;
    }
    const status = skipped || point[1] === "﹣" ? "skipped" : point[1] === "✖" ? "failed" : "passed";
    const kept = collector.add({ name, suite: suites.map((suite) => suite.name).join(" > "), status, durationSeconds });
    if (status === "failed" && failed.size < maxRemembered) failed.set(name, kept);
  }
  const get = (key: string) => numbers.get(key) ?? 0;
  if (!numbers.has("tests") || !numbers.has("pass")) return undefined;
  collector.summary = countsOf(get("pass"), get("fail") + get("cancelled"), get("skipped") + get("todo"));
  // A test with subtests is printed like a suite but counted by Node as a test.
  collector.listsEveryTest = false;
  return collector.done("node-test");
}

/** Reads mocha's spec and dot reporters. */
export function parseMocha(text: string): ParsedTests | undefined {
  const collector = new TestCollector();
  collector.listsEveryTest = false;
  const numbers = new Map<string, number>();
  let inDetails = false;
  let titles: string[] | undefined;
  let current: TestResult | undefined;
  for (const line of linesOf(text)) {
    const number = /^ {2}(\d{1,9}) (passing|pending|failing)\b/.exec(line);
    if (number !== null) {
      if (number[2] === "passing") numbers.clear();
      numbers.set(number[2]!, Number(number[1]));
      inDetails = number[2] === "failing";
      continue;
    }
    if (!inDetails) {
      const other = /^\s{2,40}([✔✓√-]) (.*)$/.exec(line);
      if (other === null) continue;
      const time = duration.exec(other[2]!);
      collector.add({
        name: other[2]!.replace(duration, ""),
        status: other[1] === "-" ? "skipped" : "passed",
        durationSeconds: time === null ? undefined : secondsOf(time[1]!, time[2]!),
      });
      continue;
    }
    const entry = /^ {2,6}\d{1,6}\) (.*)$/.exec(line);
    if (entry !== null) {
      titles = [];
      current = undefined;
    }
    const title = entry?.[1] ?? line.trim();
    if (titles !== undefined) {
      if (titles.length < 50) titles.push(title.replace(/:$/, ""));
      if (title.endsWith(":") || title === "") {
        current = collector.add({ name: titles.at(-1)!, suite: titles.slice(0, -1).join(" > "), status: "failed" });
        titles = undefined;
      }
    } else if (current !== undefined && title !== "") appendMessage(current, title);
  }
  if (!numbers.has("passing")) return undefined;
  collector.summary = countsOf(numbers.get("passing") ?? 0, numbers.get("failing") ?? 0, numbers.get("pending") ?? 0);
  return collector.done("mocha");
}

function describe(text: string): { name: string; skipped: boolean; durationSeconds?: number } {
  const directive = / # (?:SKIP|TODO|skip|todo)\b.*$/.exec(text);
  const body = directive === null ? text : text.slice(0, directive.index);
  const time = duration.exec(body);
  return {
    name: body.replace(duration, ""),
    skipped: directive !== null,
    durationSeconds: time === null ? undefined : secondsOf(time[1]!, time[2]!),
  };
}

function countsIn(text: string, separator: string): ParsedTests["summary"] {
  let [passed, failed, skipped] = [0, 0, 0];
  for (const part of text.split(separator).slice(0, 10)) {
    const match = /^\s*(\d{1,9}) (passed|failed|skipped|todo|expected fail)/.exec(part);
    if (match === null) continue;
    if (match[2] === "passed" || match[2] === "expected fail") passed += Number(match[1]);
    else if (match[2] === "failed") failed += Number(match[1]);
    else skipped += Number(match[1]);
  }
  return countsOf(passed, failed, skipped);
}
