import { estimateTokens } from "../../policy/tokens.ts";
import type { SourceTree } from "../../workspace/source-tree.ts";
import { breathe } from "./breathe.ts";
import type { Ranked } from "./rank-files.ts";
import { scanWords } from "./words.ts";

/** Of the budget: the list of files with reasons takes at most this share, … */
const mapShare = 0.15;
/** … one file at most this share of what is left, so that the first file does not push out the second. */
const fileShare = 0.4;
/** A file that would get less than this is only listed. */
const smallestExcerptTokens = 60;
const largestPackedBytes = 400_000;
/** Lines around one that matches, and how far apart two windows must be to stay two. */
const windowLines = 12;

/**
 * One text for the model: a map of the ranked files, then their contents, best first; a small file whole, of a
 * larger one the lines around what the issue names. `estimateTokens` of it is never above `budgetTokens`; the same
 * input gives the same text. Binary, minified, huge and generated files are listed at most. The contents are a
 * stranger's text: the caller wraps them as such.
 */
export async function packContext(
  ranked: readonly Ranked[],
  tree: Pick<SourceTree, "readBlobs">,
  budgetTokens: number,
  signal?: AbortSignal,
): Promise<string> {
  if (!Number.isFinite(budgetTokens) || budgetTokens < 0) {
    throw new RangeError(`Cannot pack context: the budget must be a number of tokens from 0, but is ${budgetTokens}`);
  }
  const pack = new Pack(budgetTokens);
  pack.add("# Files most likely to matter, best first\n");
  ranked.forEach((one, index) => {
    if (pack.usedTokens < budgetTokens * mapShare) pack.add(`${index + 1}. ${mapLine(one)}\n`);
  });
  const shown = ranked.filter(({ kind, sizeBytes }) => {
    return sizeBytes > 0 && sizeBytes <= largestPackedBytes && kind !== "generated" && kind !== "vendored";
  });
  const contents = new Map<string, string>();
  for await (const { blobSha, content } of tree.readBlobs(new Set(shown.map(({ blobSha }) => blobSha)), signal)) {
    if (isReadable(content)) contents.set(blobSha, content.toString("utf8"));
  }
  pack.add("\n# Contents\n");
  for (const one of shown) {
    const text = contents.get(one.blobSha);
    if (text === undefined) continue;
    addFile(pack, one, text);
    await breathe();
  }
  return pack.text;
}

/** Text that grows only as long as its estimate stays within the budget. */
class Pack {
  readonly #budgetTokens: number;
  #text = "";
  #usedTokens = 0;

  constructor(budgetTokens: number) {
    this.#budgetTokens = budgetTokens;
  }

  get text(): string {
    return this.#text;
  }

  /** Parts are estimated one by one and each is rounded up: their sum is not below the estimate of the whole. */
  get usedTokens(): number {
    return this.#usedTokens;
  }

  get leftTokens(): number {
    return this.#budgetTokens - this.#usedTokens;
  }

  add(part: string): boolean {
    const tokens = estimateTokens(part);
    if (tokens > this.leftTokens) return false;
    this.#text += part;
    this.#usedTokens += tokens;
    return true;
  }
}

function mapLine({ path, kind, reasons }: Ranked): string {
  return `${path} (${kind})${reasons.length > 0 ? `: ${reasons.slice(0, 2).join("; ")}` : ""}`;
}

function addFile(pack: Pack, one: Ranked, text: string): void {
  const lines = text.split("\n");
  if (lines.at(-1) === "") lines.pop();
  const whole = section(one.path, [{ from: 0, to: lines.length }], lines);
  const share = Math.floor(pack.leftTokens * fileShare);
  if (estimateTokens(whole) <= share) {
    pack.add(whole);
    return;
  }
  if (share < smallestExcerptTokens) return;
  // Windows are taken best first and shown in the file's order.
  let chosen: Window[] = [];
  for (const window of rankedWindows(lines, one.words)) {
    const more = merge([...chosen, window]);
    if (estimateTokens(section(one.path, more, lines)) <= share) chosen = more;
  }
  if (chosen.length > 0) pack.add(section(one.path, chosen, lines));
}

interface Window {
  from: number;
  to: number;
}

function section(path: string, windows: readonly Window[], lines: readonly string[]): string {
  const whole = windows.length === 1 && windows[0]!.from === 0 && windows[0]!.to === lines.length;
  const ranges = windows.map(({ from, to }) => `${from + 1}-${to}`).join(", ");
  const body = windows.map(({ from, to }) => lines.slice(from, to).join("\n")).join("\n[…]\n");
  return `\n## ${path} (${whole ? "whole file" : `lines ${ranges} of ${lines.length}`})\n${body}\n`;
}

/** Windows around the lines that have the most, and the rarest, of the words; the head of the file where there is none. */
function rankedWindows(lines: readonly string[], words: readonly string[]): Window[] {
  const wanted = new Set<number>();
  for (const word of words) scanWords(Buffer.from(word), (number) => wanted.add(number));
  const found = lines.map((line) => {
    const here = new Set<number>();
    scanWords(Buffer.from(line.slice(0, 1000)), (number) => {
      if (wanted.has(number)) here.add(number);
    });
    return here;
  });
  const frequency = new Map<number, number>();
  for (const here of found) for (const word of here) frequency.set(word, (frequency.get(word) ?? 0) + 1);
  const scored = found.map((here, line) => ({
    line,
    score: [...here].reduce((sum, word) => sum + 1 / frequency.get(word)!, 0),
  }));
  const hits = scored.filter(({ score }) => score > 0).sort((a, b) => b.score - a.score || a.line - b.line);
  const windows = hits.slice(0, 40).map(({ line }) => ({
    from: Math.max(0, line - windowLines),
    to: Math.min(lines.length, line + windowLines + 1),
  }));
  return [...windows, { from: 0, to: Math.min(lines.length, 2 * windowLines) }];
}

function merge(windows: readonly Window[]): Window[] {
  const merged: Window[] = [];
  for (const window of windows.toSorted((a, b) => a.from - b.from)) {
    const last = merged.at(-1);
    if (last && window.from <= last.to) last.to = Math.max(last.to, window.to);
    else merged.push({ ...window });
  }
  return merged;
}

/** Text that was written by hand: no NUL, and lines of a length that people write. */
function isReadable(content: Buffer): boolean {
  if (content.subarray(0, 8000).includes(0)) return false;
  let lines = 1;
  for (let at = content.indexOf(10); at >= 0; at = content.indexOf(10, at + 1)) lines++;
  return content.length < 5000 || content.length / lines < 400;
}
