import type { ParsedTests, TestResult } from "../check-report.ts";
import { indentOf, linesOf } from "./lines.ts";
import { appendMessage, TestCollector } from "./test-collector.ts";

const maxBraceDepth = 50;
const point = /^(not )?ok\b(?: (\d{1,9}))?(?: -)?(?: (.*))?$/;

/**
 * Reads TAP 13/14 (https://testanything.org), with subtests before their parent (node:test, tap) or in braces after it
 * (vitest). A parent point only sums up its subtests and is not counted, except where it failed on its own.
 */
export function parseTap(text: string): ParsedTests | undefined {
  const collector = new TestCollector();
  const seen: { indent: number; result: TestResult; suite: boolean; failedInside: boolean }[] = [];
  const braces: string[] = [];
  let current: TestResult | undefined;
  let isTap = false;
  let inYaml = false;
  for (const line of linesOf(text)) {
    const indent = indentOf(line);
    const body = line.slice(indent);
    if (/^TAP version 1[34]$/.test(body) || /^1\.\.\d{1,9}\b/.test(body)) isTap = true;
    if (inYaml) {
      if (body === "...") inYaml = false;
      else if (current?.status === "failed") appendMessage(current, body);
      continue;
    }
    if (body === "---") inYaml = current !== undefined;
    else if (body === "}") {
      // In this form the subtests follow their parent, so none of them belongs to a later point.
      braces.pop();
      while (seen.length > 0 && seen.at(-1)!.indent > indent) seen.pop();
    }
    const match = point.exec(body);
    if (match === null) continue;
    const { name, skipped, durationSeconds, opens } = describe(match[3] ?? "");
    if (opens) {
      if (braces.length < maxBraceDepth) braces.push(name);
      current = undefined;
      continue;
    }
    // What was seen deeper since the last point of this depth are the subtests of this one.
    let failedInside = false;
    let suite = false;
    while (seen.length > 0 && seen.at(-1)!.indent > indent) {
      const inner = seen.pop()!;
      suite = true;
      failedInside ||= inner.failedInside || inner.result.status === "failed";
      if (!inner.suite)
        inner.result.suite = inner.result.suite === undefined ? name : `${name} > ${inner.result.suite}`;
      else inner.result.suite = name;
    }
    const failed = match[1] !== undefined && !skipped;
    const result: TestResult = {
      name,
      status: skipped ? "skipped" : failed ? "failed" : "passed",
      durationSeconds,
      suite: braces.length > 0 ? braces.join(" > ") : undefined,
    };
    const counts = !suite || (failed && !failedInside);
    current = counts ? collector.add(result) : undefined;
    if (seen.length < 10_000)
      seen.push({ indent, result: current ?? result, suite, failedInside: failedInside || failed });
  }
  return isTap && !collector.empty ? collector.done("tap") : undefined;
}

function describe(text: string): { name: string; skipped: boolean; durationSeconds?: number; opens: boolean } {
  const opens = text.endsWith("{");
  const hash = text.lastIndexOf(" # ");
  const start = hash >= 0 ? hash : text.startsWith("# ") ? 0 : -1;
  const directive = start >= 0 ? text.slice(start).replace(/^ ?# /, "") : "";
  const isDirective = /^(?:skip|todo|time=)/i.test(directive);
  const time = /^time=(\d{1,9}(?:\.\d{1,9})?)ms/.exec(directive);
  const name = isDirective ? text.slice(0, start) : opens ? text.slice(0, -1) : text;
  return {
    name: name.trim() || "?",
    skipped: /^(?:skip|todo)/i.test(directive),
    durationSeconds: time === null ? undefined : Number(time[1]) / 1000,
    opens,
  };
}
