import type { ParsedTests, TestResult } from "../check-report.ts";
import { linesOf } from "./lines.ts";
import { appendMessage, countsOf, TestCollector } from "./test-collector.ts";

const maxRememberedTests = 20_000;
const verboseLine = /^(\S.*?::.*?) (PASSED|FAILED|ERROR|SKIPPED|XFAIL|XPASS)(?: \(.*\))?(?:\s+\[ *\d{1,3}%\])?$/;
const workerLine = /^\[gw\d{1,4}\] (?:\[ *\d{1,3}%\] )?(PASSED|FAILED|ERROR|SKIPPED|XFAIL|XPASS) (\S.*)$/;
const reasonLine = /^(PASSED|FAILED|ERROR|XFAIL|XPASS) (\S.*?)(?: - (.*))?$/;
const summaryLine = /^(?:=+ )?((?:\d{1,9} [a-z]+(?:, )?)+|no tests ran) in \d{1,9}(?:\.\d{1,9})?s\b/;

/** Reads pytest's text, with -v, -rA and xdist's lines where there are any. Errors of collection count as failed. */
export function parsePytest(text: string): ParsedTests | undefined {
  const collector = new TestCollector();
  collector.listsEveryTest = false;
  const seen = new Map<string, TestResult>();
  const note = (id: string, word: string, message: string | undefined) => {
    const known = seen.get(id);
    const result = testOf(id, word, message);
    if (known === undefined) {
      if (seen.size < maxRememberedTests) seen.set(id, result);
      else collector.add(result);
      return;
    }
    if (message !== undefined && known.message === undefined) known.message = message;
    // A test that passed and whose teardown failed is reported twice.
    if (result.status === "failed") known.status = "failed";
  };
  for (const line of linesOf(text)) {
    const summary = summaryLine.exec(line);
    if (summary !== null) {
      collector.summary = summaryOf(summary[1]!);
      continue;
    }
    const worker = workerLine.exec(line);
    if (worker !== null) {
      note(worker[2]!.trimEnd(), worker[1]!, undefined);
      continue;
    }
    const verbose = line.includes("::") ? verboseLine.exec(line) : null;
    if (verbose !== null && !/^(?:PASSED|FAILED|ERROR|XFAIL|XPASS) /.test(line)) {
      note(verbose[1]!, verbose[2]!, undefined);
      continue;
    }
    const reason = reasonLine.exec(line);
    if (reason !== null && (reason[2]!.includes("::") || reason[1] === "ERROR")) {
      note(reason[2]!, reason[1]!, reason[3]);
    }
  }
  if (collector.summary === undefined) return undefined;
  for (const result of seen.values()) collector.add(result);
  return collector.done("pytest");
}

/** Reads the text of Python's unittest (and of Django's runner), with or without -v. */
export function parseUnittest(text: string): ParsedTests | undefined {
  const collector = new TestCollector();
  collector.listsEveryTest = false;
  let current: TestResult | undefined;
  let ran: number | undefined;
  for (const line of linesOf(text)) {
    const verbose = /^(\S+) \((\S+)\)(?: \.\.\. | .*? \.\.\. )(ok|skipped.*|expected failure)$/.exec(line);
    const failure = /^(?:FAIL|ERROR): (\S+) \((\S+)\)/.exec(line);
    const count = /^Ran (\d{1,9}) tests? in /.exec(line);
    const end = /^(?:OK|FAILED|NO TESTS RAN)(?: \((.*)\))?$/.exec(line);
    if (verbose !== null) {
      const status = verbose[3] === "ok" ? "passed" : "skipped";
      collector.add({ name: verbose[1]!, suite: verbose[2], status });
    } else if (failure !== null) {
      current = collector.add({ name: failure[1]!, suite: failure[2], status: "failed" });
    } else if (count !== null) {
      ran = Number(count[1]);
      current = undefined;
    } else if (end !== null && ran !== undefined) {
      collector.summary = unittestSummary(ran, end[1] ?? "");
    } else if (current !== undefined && line !== "" && !/^[-=]{20,}$/.test(line)) {
      appendMessage(current, line);
    }
  }
  return ran === undefined || collector.summary === undefined ? undefined : collector.done("unittest");
}

function testOf(id: string, word: string, message: string | undefined): TestResult {
  const separator = id.indexOf("::");
  const status =
    word === "PASSED" || word === "XPASS" ? "passed" : word === "FAILED" || word === "ERROR" ? "failed" : "skipped";
  return {
    name: separator === -1 ? id : id.slice(separator + 2),
    file: separator === -1 ? id : id.slice(0, separator),
    status,
    message,
  };
}

function summaryOf(text: string): ParsedTests["summary"] {
  const count = (...words: string[]) => {
    let sum = 0;
    for (const [, number, word] of text.matchAll(/(\d{1,9}) ([a-z]+)/g))
      if (words.includes(word!)) sum += Number(number);
    return sum;
  };
  return countsOf(count("passed", "xpassed"), count("failed", "error", "errors"), count("skipped", "xfailed"));
}

function unittestSummary(ran: number, details: string): ParsedTests["summary"] {
  const count = (word: string) => Number(new RegExp(`(?:^|, )${word}=(\\d{1,9})`).exec(details)?.[1] ?? 0);
  const failed = count("failures") + count("errors") + count("unexpected successes");
  const skipped = count("skipped") + count("expected failures");
  return countsOf(Math.max(0, ran - failed - skipped), failed, skipped);
}
