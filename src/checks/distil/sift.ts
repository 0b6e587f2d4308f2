import { plainBytes } from "../plain-text.ts";
import { contentStart, copyOf, endOfLines, startOfLines, textLines, utf8, withoutLongLines } from "./bytes.ts";
import { type Kept, KeptText } from "./kept-text.ts";

export interface SiftedLine {
  text: string;
  /** Whether it stands near something that looks like an error. */
  strong: boolean;
  /** Whether lines before it were left out. */
  gap: boolean;
}

/** What is left of one step of a log. A log without steps is one step. */
export interface SiftedStep {
  /** The script of a `run:` step, or the name of an action. */
  command?: string;
  exitCode?: number;
  /** Whether the runner said that it failed. */
  failed: boolean;
  lines: SiftedLine[];
}

// Words that errors have, marks of the tools and of the runner (some as the bytes of UTF-8: ━━ ✖ ●), places in files.
const signal =
  /error|fail|fatal|panic|exception|cannot|could ?n[o']t|undefined|unresolved|not found|no such|denied|traceback|##\[|not ok|npm ERR!|ERR_|non-zero|unable to|would reformat|went wrong|\u00e2\u0094\u0081\u00e2\u0094\u0081|\u00e2\u009c\u0096|\u00e2\u0097\u008f|rspec \.\/|YN00\d\d|\d {1,8}warning {2}|\.[a-z]\w{0,8}(?::\d|\(\d)|(?:^|Z )E {3}/gim;
const strongSignal =
  /error[:[(]|error TS\d|error [A-Z]{1,7}\d{2,5}\b|\berror {2}|Error - |\[Error|Error\b|ERROR|\bFAIL|not ok |Failure|<<< |panicked at|panic:|Traceback|^E {3}|\u00e2\u0094\u0081\u00e2\u0094\u0081|\u00e2\u009c\u0096|\u00e2\u0097\u008f|npm (?:ERR!|error)|ERR_|^error |^E: |undefined reference|annot find|not found|non-zero|failed to|[Ww]ould reformat|went wrong|rspec \.\/|\*\*\* |\.[a-z]\w{0,8}:\d{1,7}:|YN00\d\d|\d {1,8}warning {2}|in \S+ on line \d|--> \S+:\d/;
const noise =
  /^\s*at |node_modules\/|site-packages\/|\b0 (?:errors?|failed|failures|fail)\b|\(0 errors?|\b(?:errors?|fail(?:ed|ures)?)[:=] ?0\b/i;
const runnerEnd =
  /^##\[error\](?:Process completed with exit code (-?\d{1,10})|The operation was cancell?ed|The job .* has exceeded the maximum)/;

const linesBefore = 5;
const linesAfter = 14;
const maxRepeats = { strong: 10, weak: 2 };
const maxDistinct = 50_000;
const maxStrongLength = 250_000;
const maxWeakLength = 40_000;
const maxLineLength = 4_000;
const maxPartLength = 16_000;
const headLength = 4_000;
const tailLength = 24_000;
const maxFailedSteps = 4;
const maxScriptLines = 60;

/**
 * Reads a log block by block (see Blocks) and keeps what may say why it failed: the beginning and the end of each failed
 * step, or of one where none is marked, and the surroundings of lines that look like errors. The expression above runs
 * over whole blocks, so that all other lines cost next to nothing; what is kept has a fixed size.
 */
export class Sieve {
  #step = new OpenStep(0);
  readonly #failed: SiftedStep[] = [];
  #other: SiftedStep | undefined;
  /** Characters of the blocks before this one, and the last of them. */
  #base = 0;
  #before = "";

  push(raw: string): void {
    const plain = withoutLongLines(plainBytes(raw), maxLineLength);
    const block = plain.includes("\n\n\n") ? plain.replace(/\n{3,}/g, "\n\n") : plain;
    signal.lastIndex = this.#step.beginBlock(block, this.#base);
    while (signal.test(block)) {
      // No match is empty, and none goes over a line's end.
      const inside = signal.lastIndex - 1;
      signal.lastIndex = this.#line(block, block.lastIndexOf("\n", inside) + 1, block.indexOf("\n", inside));
    }
    this.#step.endBlock(block, this.#base, block.length);
    const seen = block.length >= tailLength ? block : this.#before + block;
    this.#before = copyOf(seen, Math.max(0, seen.length - tailLength), seen.length);
    this.#base += block.length;
  }

  /** Returns the failed steps in their order; where none is marked, the last one that names an error. */
  end(): SiftedStep[] {
    this.#close("", 0);
    if (this.#failed.length > 0) return this.#failed;
    return this.#other === undefined ? [] : [this.#other];
  }

  /** Looks at a line with a signal and returns where in the block to go on. */
  #line(block: string, start: number, end: number): number {
    const content = contentStart(block, start, end);
    if (block.startsWith("##[", content)) {
      const mark = block.slice(content, Math.min(end, content + 500));
      if (mark.startsWith("##[group]Run ")) {
        this.#close(block, start);
        this.#step = new OpenStep(this.#base + end + 1, utf8(mark.slice("##[group]Run ".length)));
        return this.#step.beginBlock(block, this.#base);
      }
      if (!mark.startsWith("##[error]")) return end;
      const ending = runnerEnd.exec(mark);
      if (ending === null) this.#step.sawRunnerError = true;
      else {
        this.#step.failed = true;
        if (ending[1] !== undefined) this.#step.exitCode = Number(ending[1]);
        this.#close(block, end + 1);
        this.#step = new OpenStep(this.#base + end + 1);
        return end;
      }
    }
    this.#step.see(block, this.#base, start, end, content);
    return end;
  }

  #close(block: string, end: number): void {
    this.#step.endBlock(block, this.#base, end);
    const step = this.#step.close(block, this.#base, end, this.#before);
    if (step.failed) {
      // The first steps that failed, and the last one.
      if (this.#failed.length === maxFailedSteps) this.#failed.pop();
      this.#failed.push(step);
    } else if (
      step.lines.some(({ text }) => text !== "") &&
      (this.#other === undefined || !isStrong(this.#other) || isStrong(step))
    ) {
      this.#other = step;
    }
  }
}

function isStrong(step: SiftedStep): boolean {
  return step.lines.some(({ strong }) => strong);
}

/** A step whose end was not read yet. Positions count from the log's first character, `base` is the block's. */
class OpenStep {
  failed = false;
  sawRunnerError = false;
  exitCode: number | undefined;
  #start: number;
  readonly #strong = new KeptText(maxStrongLength);
  readonly #weak = new KeptText(maxWeakLength);
  readonly #seen = new Map<number, number>();
  #head = "";
  #keptUntil: number;
  /** Lines that will be kept together with what follows the last of them. */
  #window: { from: number; end: number; strong: boolean } | undefined;
  /** Lines after the last window that were not read yet. */
  #wanted: { lines: number; strong: boolean } | undefined;
  readonly #title: string | undefined;
  readonly #script: string[] = [];
  #inScript: boolean;
  #inProperties = false;
  #isAction = false;

  constructor(start: number, title?: string) {
    this.#start = start;
    this.#keptUntil = start;
    this.#title = title;
    this.#inScript = title !== undefined;
  }

  /** Reads what a block begins with: the step's script, the lines after a window. Returns where to go on. */
  beginBlock(block: string, base: number): number {
    if (this.#inScript) return this.#readScript(block, Math.max(0, this.#start - base), base);
    if (this.#wanted !== undefined) {
      const { lines, strong } = this.#wanted;
      const { end, missing } = endOfLines(block, 0, lines);
      this.#keep(block, base, base, base + end, strong);
      this.#wanted = missing > 0 ? { lines: missing, strong } : undefined;
    }
    return 0;
  }

  /** The runner shows a step's script (or an action's inputs) and its environment in a group before its output. */
  #readScript(block: string, from: number, base: number): number {
    let at = from;
    while (this.#inScript && at < block.length) {
      const end = block.indexOf("\n", at);
      const content = contentStart(block, at, end);
      const line = block.slice(content, Math.min(end, content + 1_000));
      at = end + 1;
      if (line.startsWith("##[endgroup]")) this.#inScript = false;
      else if (/^(?:shell: |env:$|with:$)/.test(line)) {
        this.#inProperties = true;
        if (line === "with:") this.#isAction = true;
      } else if (!this.#inProperties && this.#script.length < maxScriptLines) this.#script.push(utf8(line));
    }
    this.#start = base + at;
    this.#keptUntil = this.#start;
    return at;
  }

  /** A line with a signal: it is kept with the lines around it, unless the like of it was seen often enough. */
  see(block: string, base: number, start: number, end: number, content: number): void {
    const head = block.slice(content, Math.min(end, content + 400));
    if (noise.test(head)) return;
    const strong = strongSignal.test(head);
    if (this.#isRepeated(head, strong)) return;
    const window = this.#window;
    if (window !== undefined) {
      const isNear = base + start - window.end < 400 && base + end - window.from < maxPartLength;
      if (isNear && strong === window.strong) {
        window.end = base + end + 1;
        return;
      }
      this.#flush(block, base, start);
    }
    const from = base + startOfLines(block, start, linesBefore, Math.max(0, this.#keptUntil - base));
    this.#window = { from, end: Math.max(from, base + end + 1), strong };
  }

  /** Keeps what is known to be kept of a block, before index `end`. */
  endBlock(block: string, base: number, end: number): void {
    if (this.#window !== undefined) this.#flush(block, base, end);
    const from = this.#start + this.#head.length - base;
    if (!this.#inScript && this.#head.length < headLength && from >= 0 && from < end)
      this.#head += copyOf(block, from, Math.min(end, from + headLength - this.#head.length));
  }

  close(block: string, base: number, end: number, before: string): SiftedStep {
    const head = this.#head.slice(0, this.#head.lastIndexOf("\n") + 1);
    const parts = [...this.#strong.parts(), ...this.#weak.parts(), { at: this.#start, text: head, strong: false }];
    parts.push(this.#tail(block, base, end, before));
    const script = this.#script.join("\n").trim();
    const command = this.#isAction || script === "" ? this.#title : script;
    return {
      ...(command !== undefined && { command }),
      ...(this.exitCode !== undefined && { exitCode: this.exitCode }),
      failed: this.failed || (this.#isAction && this.sawRunnerError),
      lines: merged(parts, this.#start),
    };
  }

  #tail(block: string, base: number, end: number, before: string): Kept {
    const here = block.slice(0, end);
    const text = (end >= tailLength ? here : before + here).slice(-tailLength);
    const at = base + end - text.length;
    if (at < this.#start) return { at: this.#start, text: copyOf(text, this.#start - at, text.length), strong: false };
    // Its first line may have been cut.
    const from = at === this.#start ? 0 : text.indexOf("\n") + 1;
    return { at: at + from, text: copyOf(text, from, text.length), strong: false };
  }

  #isRepeated(head: string, strong: boolean): boolean {
    const key = hashOf(head, strong);
    const count = (this.#seen.get(key) ?? 0) + 1;
    if (count > 1 || this.#seen.size < maxDistinct) this.#seen.set(key, count);
    return count > (strong ? maxRepeats.strong : maxRepeats.weak);
  }

  /** Keeps the window and the lines after it, before index `limit`. */
  #flush(block: string, base: number, limit: number): void {
    const { from, end, strong } = this.#window!;
    this.#window = undefined;
    const after = endOfLines(block, end - base, linesAfter);
    this.#keep(block, base, from, base + Math.min(after.end, limit), strong);
    if (limit === block.length && after.missing > 0) this.#wanted = { lines: after.missing, strong };
  }

  #keep(block: string, base: number, from: number, end: number, strong: boolean): void {
    const start = Math.max(from, this.#keptUntil);
    if (end <= start) return;
    (strong ? this.#strong : this.#weak).add({ at: start, text: copyOf(block, start - base, end - base), strong });
    this.#keptUntil = end;
  }
}

/** A number that is the same for lines which differ in numbers alone, or for equal lines where `exact`. */
function hashOf(line: string, exact: boolean): number {
  let hash = exact ? 17 : 7;
  let afterDigit = false;
  for (let at = 0; at < line.length; at++) {
    const code = line.charCodeAt(at);
    if (!exact) {
      // Hexadecimal letters after a digit belong to the same number.
      afterDigit = (code >= 0x30 && code <= 0x39) || (afterDigit && (code | 0x20) >= 0x61 && (code | 0x20) <= 0x66);
      if (afterDigit) continue;
    }
    hash = (Math.imul(hash, 31) + code) | 0;
  }
  return hash;
}

function merged(parts: Kept[], start: number): SiftedLine[] {
  const lines: SiftedLine[] = [];
  let end = start;
  // At one position the strong part comes first: what is below a weak one would hide it.
  for (const part of parts.sort((a, b) => a.at - b.at || Number(b.strong) - Number(a.strong))) {
    const skipped = Math.max(0, end - part.at);
    if (skipped >= part.text.length) continue;
    let gap = part.at > end;
    for (const text of textLines(part.text.slice(skipped))) {
      lines.push({ text, strong: part.strong, gap });
      gap = false;
    }
    end = part.at + part.text.length;
  }
  return lines;
}
