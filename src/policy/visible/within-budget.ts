/**
 * The part of a Markdown text that can be parsed in bounded time. The parser is not linear in the depth of nesting
 * and in the number of brackets of a paragraph, so the cost of each line is estimated first (in microseconds, from
 * measurements of micromark 4) and the text is cut where the sum exceeds the budget. The cut never leaves half of a
 * construct that hides something (a title, a tag, a definition) to be read as text.
 */
export function withinBudget(source: string, alreadyCut: boolean): { text: string; truncated: boolean } {
  const lines = source.split("\n");
  const costs = new LineCosts();
  let total = 0;
  let end = 0;
  while (end < lines.length && total <= budgetMicroseconds) total += costs.of(lines[end++]!);
  if (total <= budgetMicroseconds && !alreadyCut) return { text: source, truncated: false };
  const kept = lines.slice(0, Math.max(0, end - 1));
  return { text: withoutOpenEnd(kept).join("\n"), truncated: true };
}

const budgetMicroseconds = 100_000;

class LineCosts {
  readonly #fences = new FenceTracker();
  #afterBlank = true;
  #depth = 0;
  #brackets = 0;
  #tagWords = -1;

  /** Estimated microseconds to parse this line after those before. */
  of(line: string): number {
    if (this.#fences.inside(line)) return 9 + line.length * 0.7;
    const blank = line.trim() === "";
    const startsBlock = !blank && (this.#afterBlank || /^ {0,3}(?:#{1,6} |[-*_=]{3})/.test(line));
    this.#afterBlank = blank;
    if (blank) this.#brackets = 0;
    const marked = containerDepth(line);
    const depth = marked + Math.min(500, /^[ \t]*/.exec(line)![0].length / 2);
    if (!blank) this.#depth = Math.max(this.#depth, depth);
    const bracketsBefore = this.#brackets;
    const marks = this.#countMarks(line);
    const quadratic =
      (this.#brackets ** 2 - bracketsBefore ** 2) * 0.013 + depth ** 2 * 0.13 + Math.min(this.#depth, 1000);
    return 24 + (startsBlock ? 45 : 0) + line.length * 1.2 + marks * 14 + marked * 75 + quadratic;
  }

  #countMarks(line: string): number {
    let marks = 0;
    for (let at = 0; at < line.length; at++) {
      const code = line.charCodeAt(at);
      if (code === 0x5b || code === 0x5d) this.#brackets++;
      if (costly.has(code)) marks += code === 0x7c ? 4 : 1;
      // The end of a label with a destination or a definition behind it.
      if (code === 0x5d && /[(:]/.test(line[at + 1] ?? "")) marks += 6;
      if (code === 0x3c && /[a-z]/i.test(line[at + 1] ?? "")) this.#tagWords = 0;
      else if (code === 0x3e) this.#tagWords = -1;
      else if (code === 0x20 && this.#tagWords >= 0) marks += ++this.#tagWords * 0.00015;
    }
    if (this.#tagWords >= 0) this.#tagWords++;
    return marks;
  }
}

const costly = new Set(Array.from("[]()<>&\\`|:#", (character) => character.charCodeAt(0)));

/** How many quotes and list items a line can open; an upper bound. */
function containerDepth(line: string): number {
  let depth = 0;
  for (const part of line.matchAll(/[ \t]*(?:>|[-+*](?=[ \t]|$)|\d{1,9}[.)](?=[ \t]|$))/gy)) depth += part.length;
  return depth;
}

/**
 * Knows for certain which lines are inside a fenced code block at the top level, where nothing is parsed. A fence that
 * may stand inside raw HTML is not certain, and neither is any after it.
 */
class FenceTracker {
  #open: { mark: string; length: number } | undefined;
  #htmlSinceBlank = false;
  #uncertain = false;

  inside(line: string): boolean {
    if (this.#open !== undefined) {
      const close = /^ {0,3}(`{3,}|~{3,})[ \t]*$/.exec(line)?.[1];
      if (close?.[0] === this.#open.mark && close.length >= this.#open.length) this.#open = undefined;
      return true;
    }
    if (line.trim() === "") this.#htmlSinceBlank = false;
    const fence = /^ {0,3}(?:(`{3,})[^`]*|(~{3,}).*)$/.exec(line);
    if (fence === null) {
      if (line.includes("<")) this.#htmlSinceBlank = true;
      // These kinds of raw HTML go on over blank lines until their own end.
      if (/<(?:[!?]|\/?(?:script|pre|style|textarea)\b)/i.test(line) && !/^<!--[^<>]*-->$/.test(line.trim()))
        this.#uncertain = true;
      return false;
    }
    if (this.#htmlSinceBlank || this.#uncertain) {
      this.#uncertain = true;
      return false;
    }
    const mark = fence[1] ?? fence[2]!;
    this.#open = { mark: mark[0]!, length: mark.length };
    return false;
  }
}

/** Without the lines of the last paragraph from the first one on which something begins that may end on a later line. */
function withoutOpenEnd(lines: string[]): string[] {
  let start = lines.length;
  while (start > 0 && lines[start - 1]!.trim() !== "") start--;
  const open = lines.findIndex((line, index) => index >= start && !selfContained(line));
  return open === -1 ? lines : lines.slice(0, open);
}

/** Whether every link and tag that begins on the line also ends on it, without quotes that could reach further. */
function selfContained(line: string): boolean {
  const rest = line.replace(/\]\([^\s()"'<>[\]]*\)/g, "").replace(/<\/?[a-z][a-z0-9]*>/gi, "");
  return !/\]\(|\]\[|\]:|\]$|<[a-z!/?]|<$/i.test(rest);
}
