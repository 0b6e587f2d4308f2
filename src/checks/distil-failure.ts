import { errorLines } from "./error-lines.ts";
import type { FailedCommand } from "./failure-signature.ts";
import { linesOf } from "./parsers/lines.ts";
import { plainText } from "./plain-text.ts";

const maxReadLength = 4_000_000;
const maxShownTests = 40;
const maxLineLength = 400;

/**
 * Returns what is worth reading of a failed command, in at most `maxBytes` of UTF-8: how it ended, the failed tests with
 * their messages, the lines that name errors and places, then the beginning and the end of the output, with repeated
 * lines folded and escape sequences removed. Earlier parts have first call on the room. Linear in the output's size.
 *
 * @param maxBytes at least 200; about four bytes make a token of English or code
 * @throws RangeError when maxBytes is below 200
 */
export function distilFailure(command: FailedCommand, maxBytes: number): string {
  if (!(maxBytes >= 200))
    throw new RangeError(`Cannot distil a failure: maxBytes must be at least 200, but is ${maxBytes}`);
  const budget = new Budget(maxBytes);
  budget.add(`$ ${command.name.slice(0, 100)}\n${endingOf(command)}`);
  const output = folded(joined(command));
  // Tests and errors may use a half each of what is there, so that the end of the output is always shown.
  budget.addUpTo(0.5, testsOf(command));
  const errors = errorLines(output);
  if (errors.length > 0) budget.addUpTo(0.5, ["", "Errors:", ...errors.slice(0, 60)]);
  budget.addEnds(output.split("\n"));
  return budget.text();
}

function endingOf({ exitCode, timedOut, report }: FailedCommand): string {
  const ending = timedOut
    ? "did not end within its time limit"
    : exitCode === null
      ? "was killed"
      : `exit code ${exitCode}`;
  if (report === undefined || report.counts.total === 0) return ending;
  const { passed, failed, skipped } = report.counts;
  return [`${ending}; ${passed} passed, ${failed} failed, ${skipped} skipped`, ...report.doubts.slice(0, 4)].join("\n");
}

function testsOf({ report }: FailedCommand): string[] {
  const failed = report?.tests.filter((test) => test.status === "failed") ?? [];
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

function joined({ stdout, stderr }: FailedCommand): string {
  const ends = (text: string) =>
    text.length <= maxReadLength
      ? text
      : `${text.slice(0, maxReadLength / 4)}\n${text.slice(-(maxReadLength * 3) / 4)}`;
  const both = [ends(stdout), ends(stderr)].filter((text) => text.trim() !== "");
  return both.map(plainText).join("\n");
}

function folded(text: string): string {
  const lines: string[] = [];
  let previous: string | undefined;
  let repeated = 0;
  const flush = () => {
    if (repeated > 0) lines.push(`    (the line above ${repeated} more times)`);
    repeated = 0;
  };
  for (const line of linesOf(text)) {
    const cut = line.length > maxLineLength ? `${line.slice(0, maxLineLength)} …` : line.trimEnd();
    if (cut === previous) {
      if (cut !== "") repeated++;
      continue;
    }
    flush();
    lines.push(cut);
    previous = cut;
  }
  flush();
  return lines.join("\n");
}

/** Text lines within a number of UTF-8 bytes, their line ends included. */
class Budget {
  #left: number;
  readonly #lines: string[] = [];

  constructor(maxBytes: number) {
    this.#left = maxBytes;
  }

  add(text: string): boolean {
    const bytes = Buffer.byteLength(text) + 1;
    if (bytes > this.#left) return false;
    this.#left -= bytes;
    this.#lines.push(text);
    return true;
  }

  /** Adds lines until they used this share of what is left. */
  addUpTo(share: number, lines: readonly string[]): void {
    const keep = this.#left * (1 - share);
    for (const line of lines) {
      const cut = line.slice(0, maxLineLength);
      if (this.#left - Buffer.byteLength(cut) - 1 < keep || !this.add(cut)) return;
    }
  }

  /** Adds all lines, or as much of their beginning (a quarter) and their end as there is room for. */
  addEnds(lines: readonly string[]): void {
    if (!this.add("\nOutput:")) return;
    const gap = "    (lines left out)";
    const room = this.#left - Buffer.byteLength(gap) - 1;
    const head: string[] = [];
    const tail: string[] = [];
    let used = 0;
    let first = 0;
    for (; first < lines.length; first++) {
      const bytes = Buffer.byteLength(lines[first]!) + 1;
      if (used + bytes > room / 4) break;
      used += bytes;
      head.push(lines[first]!);
    }
    let last = lines.length - 1;
    for (; last >= first; last--) {
      const bytes = Buffer.byteLength(lines[last]!) + 1;
      if (used + bytes > room) break;
      used += bytes;
      tail.push(lines[last]!);
    }
    for (const line of [...head, ...(last >= first ? [gap] : []), ...tail.toReversed()]) this.add(line);
  }

  text(): string {
    return this.#lines.join("\n");
  }
}
