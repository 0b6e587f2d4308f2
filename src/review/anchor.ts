import type { DiffFile, DiffHunk, DiffLine } from "./parse-diff.ts";

/** Where something may be commented on: lines of the new side, one hunk. */
export interface Anchored {
  kind: "anchored";
  path: string;
  /** First and last line in the new file; the same for one line. */
  startLine: number;
  line: number;
  /** The finding's own numbers were wrong, and its quote was found here. */
  moved: boolean;
  /** The range went beyond the hunk and was cut: what replaces the whole range does not fit it. */
  cut: boolean;
  /** The text of these lines, without line ends. */
  text: string[];
}

export type Unanchored = {
  kind: "unanchored";
  reason: "not-in-diff" | "no-lines" | "quote-not-found" | "removed-line";
};

export type Anchor = Anchored | Unanchored;

/** The place that a finding names. `side: "LEFT"`: its numbers are those of the old file. */
export interface Place {
  path: string;
  line: number;
  endLine?: number;
  quote?: string;
  side?: "LEFT" | "RIGHT";
}

/** A diff prepared so that many findings can be looked up in it. */
export interface DiffIndex {
  file(path: string): DiffFile | undefined;
  /** @internal The new side of each hunk of a file, in the file's order. */
  sides(file: DiffFile): NewSide[];
}

/** The added and context lines of a hunk, whose numbers follow one another. */
interface NewSide {
  hunk: DiffHunk;
  start: number;
  lines: DiffLine[];
  /** Without white space, made when first asked for. */
  plain: (string | undefined)[];
}

/** Finds files by their new path, or by the old one of a rename, with or without `./`, `a/` or `b/` in front. */
export function indexDiff(files: readonly DiffFile[]): DiffIndex {
  const byPath = new Map<string, DiffFile>();
  const byPrevious = new Map<string, DiffFile>();
  for (const file of files) {
    const known = byPath.get(file.path);
    // A change of type is a deletion and an addition of the same path.
    if (known === undefined || known.status === "deleted") byPath.set(file.path, file);
    if (file.status === "renamed" && file.previousPath !== undefined) byPrevious.set(file.previousPath, file);
  }
  const find = (path: string) => byPath.get(path) ?? byPrevious.get(path);
  const sides = new Map<DiffFile, NewSide[]>();
  return {
    file: (path) => find(path) ?? find(path.replace(/^(?:\.\/|[ab]\/|\/)/, "")),
    sides(file) {
      const known = sides.get(file);
      if (known !== undefined) return known;
      const made = file.hunks.map(newSideOf).filter(({ lines }) => lines.length > 0);
      sides.set(file, made);
      return made;
    },
  };
}

function newSideOf(hunk: DiffHunk): NewSide {
  const lines = hunk.lines.filter(({ kind }) => kind !== "removed");
  return { hunk, start: lines[0]?.newLine ?? hunk.newStart, lines, plain: [] };
}

/**
 * Where a finding can stand (R4): on the line that it names, if that is an added or context line and has what it quotes;
 * else on the nearest line of the same hunk (of the nearest hunk, where the line is in none) that has it, at most
 * `farthestLines` away; else nowhere. A range is kept within its hunk. White space does not count in quotes.
 */
export function anchorFinding(index: DiffIndex, place: Place): Anchor {
  const file = index.file(place.path);
  if (file === undefined) return { kind: "unanchored", reason: "not-in-diff" };
  const sides = index.sides(file);
  if (sides.length === 0) return { kind: "unanchored", reason: "no-lines" };
  const left = place.side === "LEFT";
  const side = left ? nearestOldSide(sides, place.line) : nearestSide(sides, place.line);
  if (side === undefined) return { kind: "unanchored", reason: "removed-line" };
  const asked = left ? -1 : place.line - side.start;
  const inside = asked >= 0 && asked < side.lines.length;
  const quotes = quotesOf(place.quote ?? "");
  if (quotes.length === 0)
    return inside
      ? anchored(file.path, side, { place, at: asked, moved: false })
      : { kind: "unanchored", reason: left ? "removed-line" : "not-in-diff" };
  const from = left ? placeOfOld(side, place.line) : Math.max(0, Math.min(asked, side.lines.length - 1));
  const found = findQuote(side, quotes, { asked: inside ? asked : undefined, from, place });
  if (found !== undefined) return anchored(file.path, side, { place, at: found, moved: found !== asked });
  return { kind: "unanchored", reason: left ? "removed-line" : inside ? "quote-not-found" : "not-in-diff" };
}

/** A quote that is farther away from the line named is taken for another place that reads the same. */
const farthestLines = 400;

function anchored(
  path: string,
  side: NewSide,
  { place, at, moved }: { place: Place; at: number; moved: boolean },
): Anchored {
  const length = Math.max(0, (place.endLine ?? place.line) - place.line);
  const last = Math.min(side.lines.length - 1, at + length);
  return {
    kind: "anchored",
    path,
    startLine: side.start + at,
    line: side.start + last,
    moved,
    cut: at + length > last,
    text: side.lines.slice(at, last + 1).map(({ text }) => text.replace(/\r$/, "")),
  };
}

/** The hunk that has the line, or else the one whose lines are nearest; the earlier of two. */
function nearestSide(sides: readonly NewSide[], line: number): NewSide {
  let [low, high] = [0, sides.length - 1];
  // The first hunk that ends at the line or after it.
  while (low < high) {
    const middle = (low + high) >> 1;
    if (endOf(sides[middle]!) >= line) high = middle;
    else low = middle + 1;
  }
  const [here, before] = [sides[low]!, sides[low - 1]];
  if (before === undefined) return here;
  return line - endOf(before) <= distance(here, line) ? before : here;
}

function distance(side: NewSide, line: number): number {
  return Math.max(0, side.start - line, line - endOf(side));
}

function endOf(side: NewSide): number {
  return side.start + side.lines.length - 1;
}

function nearestOldSide(sides: readonly NewSide[], line: number): NewSide | undefined {
  return sides.find(({ hunk }) => line >= hunk.oldStart && line < hunk.oldStart + hunk.oldLines);
}

/** Where in the new side the old line stands or stood. */
function placeOfOld(side: NewSide, line: number): number {
  let at = 0;
  for (const { kind, oldLine } of side.hunk.lines) {
    if (oldLine !== undefined && oldLine >= line) break;
    if (kind !== "removed") at += 1;
  }
  return Math.min(at, side.lines.length - 1);
}

/** The quote as it stands, and without signs of a diff; each as plain lines without empty ones around. */
function quotesOf(quote: string): string[][] {
  const lines = quote.split("\n");
  const readings = [lines];
  if (lines.every((line) => /^[+ ]|^$/.test(line))) readings.push(lines.map((line) => line.slice(1)));
  return readings
    .map((reading) => {
      const plain = reading.map(withoutSpace);
      const [first, last] = [plain.findIndex((line) => line !== ""), plain.findLastIndex((line) => line !== "")];
      return first < 0 ? [] : plain.slice(first, last + 1);
    })
    .filter((reading) => reading.length > 0);
}

function findQuote(
  side: NewSide,
  quotes: readonly string[][],
  { asked, from, place }: { asked: number | undefined; from: number; place: Place },
): number | undefined {
  const stands = (at: number) => quotes.some((quote) => standsAt(side, at, quote));
  if (asked !== undefined) {
    if (stands(asked)) return asked;
    // What is quoted may be any line of the range.
    const last = Math.min(place.endLine ?? place.line, place.line + farthestLines, endOf(side)) - side.start;
    for (let at = asked + 1; at <= last; at += 1) if (stands(at)) return asked;
  }
  // A closing bracket stands everywhere.
  if (quotes.every((quote) => quote.join("").length < shortestTelling)) return undefined;
  for (let away = 0; away <= farthestLines; away += 1) {
    if (from - away < 0 && from + away >= side.lines.length) return undefined;
    if (from - away >= 0 && stands(from - away)) return from - away;
    if (from + away < side.lines.length && stands(from + away)) return from + away;
  }
  return undefined;
}

const shortestTelling = 4;

/** One quoted line may be a part of a line; of several the inner ones are whole. */
function standsAt(side: NewSide, at: number, quote: readonly string[]): boolean {
  if (at + quote.length > side.lines.length) return false;
  const last = quote.length - 1;
  return quote.every((line, index) => {
    const text = plainLine(side, at + index);
    if (last === 0) return text.includes(line);
    return index === 0 ? text.endsWith(line) : index === last ? text.startsWith(line) : text === line;
  });
}

function plainLine(side: NewSide, at: number): string {
  const known = side.plain[at];
  if (known !== undefined) return known;
  const plain = withoutSpace(side.lines[at]!.text);
  side.plain[at] = plain;
  return plain;
}

function withoutSpace(text: string): string {
  return text.replace(/\s+/g, "");
}

/** As `POST /repos/{owner}/{repo}/pulls/{n}/reviews` takes it: https://docs.github.com/en/rest/pulls/reviews */
export interface CommentPlace {
  path: string;
  line: number;
  side: "RIGHT";
  start_line?: number;
  start_side?: "RIGHT";
}

export function commentPlace({ path, startLine, line }: Anchored): CommentPlace {
  return startLine === line
    ? { path, line, side: "RIGHT" }
    : { path, line, side: "RIGHT", start_line: startLine, start_side: "RIGHT" };
}
