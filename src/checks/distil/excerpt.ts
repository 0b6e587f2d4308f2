import { estimateTokens } from "../../policy/tokens.ts";
import type { CheckReport, TestResult } from "../check-report.ts";
import { plainText } from "../plain-text.ts";
import type { LogError } from "./log-error.ts";
import type { SiftedLine } from "./sift.ts";

export interface Told {
  command?: string;
  /** How it ended, in one line. */
  ending?: string;
  report?: Pick<CheckReport, "counts" | "doubts">;
  failedTests: readonly TestResult[];
  errors: readonly LogError[];
  lines: readonly SiftedLine[];
}

const maxShownTests = 40;
const maxShownErrors = 80;
const maxLineLength = 400;
const leftOut = "    (lines left out)";

/**
 * Returns what a reader should see, in at most `maxTokens`: the command and how it ended, the failed tests with their
 * messages, the errors with their places, then of the output its end, the surroundings of errors and its beginning, in
 * their order. Earlier parts have first call on the room.
 */
export function composeExcerpt(told: Told, maxTokens: number): string {
  const budget = new Budget(maxTokens);
  for (const line of headingOf(told)) budget.add(line);
  // A part of what is there is always left for the output.
  budget.addUpTo(0.45, testsOf(told.failedTests));
  budget.addUpTo(0.35, errorsOf(told.errors));
  addOutput(budget, folded(told.lines));
  return budget.text();
}

function headingOf({ command, ending, report }: Told): string[] {
  const counts = report?.counts;
  const tests =
    counts === undefined || counts.total === 0
      ? undefined
      : `${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`;
  const end = [ending, tests].filter((part) => part !== undefined).join("; ");
  const lines = command === undefined ? [] : [`$ ${command.slice(0, 2_000)}`];
  if (end !== "") lines.push(end);
  if (tests !== undefined) lines.push(...(report?.doubts.slice(0, 4) ?? []));
  return lines;
}

function testsOf(failed: readonly TestResult[]): string[] {
  if (failed.length === 0) return [];
  const lines = ["", "Failed tests:"];
  for (const test of failed.slice(0, maxShownTests)) {
    lines.push(`- ${[test.file, test.suite, test.name].filter(Boolean).join(" > ")}`);
    const message = plainText(test.message ?? "")
      .split("\n")
      .filter((line) => !/^\s*at |node_modules\//.test(line) && line.trim() !== "");
    lines.push(...message.slice(0, 12).map((line) => `    ${line}`));
  }
  if (failed.length > maxShownTests) lines.push(`- and ${failed.length - maxShownTests} more`);
  return lines;
}

function errorsOf(errors: readonly LogError[]): string[] {
  if (errors.length === 0) return [];
  const lines = errors.slice(0, maxShownErrors).map(({ tool, message, file, line, column }) => {
    const place = [file, line, column].filter((part) => part !== undefined).join(":");
    return place === "" ? `${tool}: ${message}` : `${place}: ${message} (${tool})`;
  });
  if (errors.length > maxShownErrors) lines.push(`and ${errors.length - maxShownErrors} more`);
  return ["", "Errors:", ...lines];
}

const progress = /\d{1,3}(?:\.\d{1,3})?\s?%|\d\s?[kKMG]i?B\b|^\s*(?:[.#=\-*]{8,}|[⠀-⣿|/\\-])/;

/** Cuts lines, and folds repeats, runs of blank lines, and runs of lines that tell of progress. */
function folded(lines: readonly SiftedLine[]): SiftedLine[] {
  const kept: SiftedLine[] = [];
  let repeated = 0;
  const flush = () => {
    const last = kept.at(-1);
    if (repeated > 0 && last !== undefined)
      kept.push({ ...last, text: `    (the line above ${repeated} more times)`, gap: false });
    repeated = 0;
  };
  let previous: string | undefined;
  for (const line of lines) {
    const text = line.text.length > maxLineLength ? `${line.text.slice(0, maxLineLength)} …` : line.text;
    if (text === previous && !line.gap) {
      if (text !== "") repeated++;
      continue;
    }
    flush();
    const last = kept.at(-1);
    const isProgress =
      last !== undefined && !line.gap && !line.strong && progress.test(text) && isAlike(last.text, text);
    if (isProgress) kept[kept.length - 1] = { ...line, text, gap: last.gap };
    else kept.push({ ...line, text });
    previous = text;
  }
  flush();
  return kept;
}

/** Whether two lines of progress differ in numbers and bars alone. */
function isAlike(a: string, b: string): boolean {
  const bare = (text: string) => text.replace(/[\d.,:#=>\s⠀-⣿█▉-▏░▒▓/\\|-]+/g, "");
  return progress.test(a) && bare(a) === bare(b);
}

/** Adds the end (half of the room), what stands near errors, and the beginning, each up to its share, in their order. */
function addOutput(budget: Budget, lines: readonly SiftedLine[]): void {
  let from = 0;
  let to = lines.length;
  while (from < to && lines[from]!.text === "") from++;
  while (to > from && lines[to - 1]!.text === "") to--;
  if (from === to || !budget.add("\nOutput:")) return;
  const room = budget.left;
  const cost = (at: number) => estimateTokens(lines[at]!.text) + 1;
  const gapCost = estimateTokens(leftOut) + 1;
  const chosen = new Uint8Array(lines.length);
  let used = gapCost;
  // A chosen line may begin a new run, which costs a mark.
  const choose = (at: number, limit: number): boolean => {
    if (chosen[at] === 1) return true;
    const price = cost(at) + (chosen[at - 1] === 1 && !lines[at]!.gap ? 0 : gapCost);
    if (used + price > limit) return false;
    used += price;
    chosen[at] = 1;
    return true;
  };
  // Backwards each line is paid for with a mark of its own; what is not needed is given back.
  for (let at = to - 1; at >= from; at--) {
    const price = cost(at) + (lines[at]!.gap ? gapCost : 0);
    if (used + price > room * 0.5) break;
    used += price;
    chosen[at] = 1;
  }
  used += gapCost;
  let headUsed = 0;
  for (let at = from; at < to && headUsed + cost(at) < room * 0.1; at++) {
    headUsed += cost(at);
    if (!choose(at, room)) break;
  }
  for (let at = from; at < to; at++) if (lines[at]!.strong && !choose(at, room)) break;
  for (let at = to - 1; at >= from; at--) if (chosen[at] === 0 && !choose(at, room)) break;
  let isGap = false;
  for (let at = from; at < to; at++) {
    if (chosen[at] === 0) {
      isGap = true;
      continue;
    }
    if ((isGap || lines[at]!.gap) && at > from) budget.add(leftOut);
    isGap = false;
    budget.add(lines[at]!.text);
  }
}

/** Text lines within a number of tokens, their line ends included. */
class Budget {
  #left: number;
  readonly #lines: string[] = [];

  constructor(maxTokens: number) {
    this.#left = maxTokens;
  }

  get left(): number {
    return this.#left;
  }

  add(text: string): boolean {
    const tokens = estimateTokens(text) + 1;
    if (tokens > this.#left) return false;
    this.#left -= tokens;
    this.#lines.push(text);
    return true;
  }

  /** Adds lines until they used this share of what is left. */
  addUpTo(share: number, lines: readonly string[]): void {
    const keep = this.#left * (1 - share);
    for (const line of lines) {
      const cut = line.slice(0, maxLineLength);
      if (this.#left - estimateTokens(cut) - 1 < keep || !this.add(cut)) return;
    }
  }

  text(): string {
    return this.#lines.join("\n");
  }
}
