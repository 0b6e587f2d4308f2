import type { ParsedTests, TestResult } from "../check-report.ts";
import { linesOf } from "./lines.ts";
import { appendMessage, TestCollector } from "./test-collector.ts";

const maxOpenTests = 5000;
const framing = /^\s*(?:=== (?:RUN|PAUSE|CONT|NAME)|--- (?:PASS|FAIL|SKIP):)/;

/**
 * Reads the events of `go test -json` (`go doc test2json`). A package that failed without a failed test (it did not
 * build, a panic, os.Exit) counts as one failed test of that package; a parent whose subtests are listed is not counted.
 */
export function parseGoTestJson(text: string): ParsedTests | undefined {
  const collector = new TestCollector();
  const open = new Map<string, { message: string; hasChildren: boolean }>();
  const failedPackages = new Set<string>();
  const buildOutput = new Map<string, string>();
  let events = 0;
  for (const line of linesOf(text)) {
    const event = readEvent(line);
    if (event === undefined) continue;
    events++;
    const { action, pkg, test } = event;
    const key = `${pkg} ${test ?? ""}`;
    if (action === "build-output") keepOutput(buildOutput, event.importPath, event.output);
    if (action === "run" && test !== undefined && open.size < maxOpenTests) {
      open.set(key, { message: "", hasChildren: false });
      const parent = open.get(`${pkg} ${test.slice(0, Math.max(0, test.lastIndexOf("/")))}`);
      if (test.includes("/") && parent !== undefined) parent.hasChildren = true;
    }
    if (action === "output" && !framing.test(event.output)) {
      if (test === undefined) keepOutput(buildOutput, pkg, event.output);
      else {
        const running = open.get(key);
        if (running !== undefined && running.message.length < 2000) running.message += event.output;
      }
    }
    if (action !== "pass" && action !== "fail" && action !== "skip") continue;
    if (test === undefined) {
      if (action === "fail" && !failedPackages.has(pkg)) {
        const message = (buildOutput.get(event.failedBuild) ?? buildOutput.get(pkg) ?? "").trim();
        collector.add({ name: "(package)", suite: pkg, status: "failed", message });
      }
      continue;
    }
    const running = open.get(key);
    open.delete(key);
    if (action === "fail") failedPackages.add(pkg);
    if (running?.hasChildren && !(action === "fail" && running.message.trim() !== "")) continue;
    collector.add({
      name: test,
      suite: pkg,
      status: action === "pass" ? "passed" : action === "fail" ? "failed" : "skipped",
      durationSeconds: event.elapsedSeconds,
      message: action === "pass" ? undefined : running?.message.trim(),
    });
  }
  return events === 0 ? undefined : collector.done("go-test-json");
}

/**
 * Reads the text of `go test`, with or without -v. Without it only failures and packages are listed: a package
 * that passed then counts as one test.
 */
export function parseGoTest(text: string): ParsedTests | undefined {
  const collector = new TestCollector();
  const parents = new Set<string>();
  const pending: TestResult[] = [];
  let isGo = false;
  let packageFailed = false;
  let current: TestResult | undefined;
  let buildErrors: string[] = [];
  collector.listsEveryTest = false;
  const flush = (pkg: string | undefined) => {
    for (const result of pending) {
      if (parents.has(result.name)) continue;
      collector.add({ ...result, suite: pkg });
    }
    pending.length = 0;
    parents.clear();
    current = undefined;
    packageFailed = false;
  };
  for (const line of linesOf(text)) {
    const test = /^\s*--- (PASS|FAIL|SKIP): (\S+) \((\d{1,9}(?:\.\d{1,9})?)s\)/.exec(line);
    if (test !== null) {
      const status = test[1] === "PASS" ? "passed" : test[1] === "FAIL" ? "failed" : "skipped";
      if (status === "failed") packageFailed = true;
      current = { name: test[2]!, status, durationSeconds: Number(test[3]) };
      const slash = current.name.lastIndexOf("/");
      if (slash > 0) parents.add(current.name.slice(0, slash));
      if (pending.length < maxOpenTests) pending.push(current);
      else collector.add(current);
      continue;
    }
    const end = /^(ok|FAIL|\?)\s+(\S+)\s+(.*)$/.exec(line);
    if (end !== null && /^(?:\d|\(cached\)|\[|coverage)/.test(end[3]!)) {
      isGo = true;
      const hadFailure = packageFailed;
      const hadTests = pending.length > 0;
      flush(end[2]);
      if (end[1] === "FAIL" && !hadFailure) {
        collector.add({
          name: "(package)",
          suite: end[2],
          status: "failed",
          message: buildErrors.join("\n") || end[3],
        });
      }
      // Without -v a package that passed is one line; it is counted as one test.
      if (end[1] === "ok" && !hadTests && !/\[no tests to run\]/.test(end[3]!)) {
        collector.add({ name: "(package)", suite: end[2], status: "passed" });
      }
      buildErrors = [];
      continue;
    }
    if (/^\S+\.go:\d{1,9}:/.test(line) && buildErrors.length < 20) buildErrors.push(line);
    if (current?.status === "failed" && /^\s+\S/.test(line)) appendMessage(current, line.trim());
  }
  flush(undefined);
  return isGo ? collector.done("go-test") : undefined;
}

interface GoEvent {
  action: string;
  pkg: string;
  test?: string;
  output: string;
  elapsedSeconds?: number;
  importPath: string;
  failedBuild: string;
}

function readEvent(line: string): GoEvent | undefined {
  if (!line.startsWith("{")) return undefined;
  try {
    const event = JSON.parse(line) as Record<string, unknown>;
    if (typeof event.Action !== "string") return undefined;
    if (typeof event.Package !== "string" && typeof event.ImportPath !== "string") return undefined;
    return {
      action: event.Action,
      pkg: text(event.Package),
      test: typeof event.Test === "string" ? event.Test : undefined,
      output: text(event.Output),
      elapsedSeconds: typeof event.Elapsed === "number" ? event.Elapsed : undefined,
      importPath: text(event.ImportPath),
      failedBuild: text(event.FailedBuild),
    };
  } catch {
    return undefined;
  }
}

function text(value: unknown): string {
  return typeof value === "string" ? value : "";
}

function keepOutput(outputs: Map<string, string>, key: string, output: string): void {
  const before = outputs.get(key) ?? "";
  if (before.length < 2000 && (before !== "" || outputs.size < 1000)) outputs.set(key, before + output);
}
