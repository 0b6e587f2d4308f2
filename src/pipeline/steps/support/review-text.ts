import {
  calledNames,
  definedName,
  type Excerpt,
  excerptsOf,
  type Span,
  spanAround,
  type Wanted,
} from "../../../agent/context/code-around.ts";
import { estimateTokens } from "../../../policy/tokens.ts";
import type { DiffFile, DiffHunk } from "../../../review/parse-diff.ts";
import type { GroupText } from "./review-shapes.ts";

type ShownFile = GroupText["files"][number];

/**
 * A file's hunks with the functions around them, as reviewers see them: each line with its number in the new file and its sign,
 * `~` where it lies outside of the diff. Without the file's text, its hunks alone.
 */
export function showFile(file: DiffFile, hunks: readonly DiffHunk[], text: string | undefined): ShownFile {
  const lines = text === undefined ? undefined : linesOf(text);
  const spans = mergeSpans(
    hunks.map((hunk) => {
      const own = spanOf(hunk);
      const around = lines === undefined || hunk.newLines === 0 ? own : spanAround(lines, own);
      return { from: Math.min(own.from, around.from), to: Math.max(own.to, around.to), hunks: [hunk] };
    }),
  );
  return {
    path: file.path,
    ...(file.previousPath === undefined ? {} : { previousPath: file.previousPath }),
    status: file.status,
    parts: spans.map((span) => ({ from: span.from, to: span.to, lines: showSpan(span, lines) })),
  };
}

interface HunkSpan extends Span {
  hunks: DiffHunk[];
}

/** A hunk that only removes stands behind the line that its header names. */
function spanOf({ newStart, newLines }: DiffHunk): Span {
  return { from: Math.max(1, newStart), to: Math.max(1, newStart + Math.max(newLines, 1) - 1) };
}

function mergeSpans(spans: readonly HunkSpan[]): HunkSpan[] {
  const merged: HunkSpan[] = [];
  for (const span of spans.toSorted((a, b) => a.from - b.from)) {
    const last = merged.at(-1);
    if (last === undefined || span.from > last.to + 1) merged.push({ ...span, hunks: [...span.hunks] });
    else {
      last.to = Math.max(last.to, span.to);
      last.hunks.push(...span.hunks);
    }
  }
  return merged;
}

function showSpan({ from, to, hunks }: HunkSpan, lines: readonly string[] | undefined): string[] {
  const shown: string[] = [];
  const outside = (first: number, last: number) => {
    if (lines === undefined) return;
    for (let at = first; at <= Math.min(last, lines.length); at += 1) shown.push(numbered(at, "~", lines[at - 1]!));
  };
  let next = from;
  for (const hunk of hunks.toSorted((a, b) => a.newStart - b.newStart)) {
    const start = hunk.newLines === 0 ? hunk.newStart + 1 : hunk.newStart;
    outside(next, start - 1);
    for (const line of hunk.lines) {
      if (line.kind === "removed") shown.push(numbered(undefined, "-", line.text));
      else shown.push(numbered(line.newLine, line.kind === "added" ? "+" : " ", line.text));
    }
    next = start + hunk.newLines;
  }
  outside(next, to);
  return shown;
}

/** Longer lines are data or made by a program; what a reviewer needs of them is their beginning. */
const longestLine = 600;

function numbered(number: number | undefined, sign: string, text: string): string {
  const plain = text.replace(/\r$/, "");
  const short = plain.length > longestLine ? `${plain.slice(0, longestLine)}…` : plain;
  return `${String(number ?? "").padStart(5)} ${sign} ${short}`;
}

/** The function around some lines of a file, as it is; nothing where the file is gone. */
export function showLines(text: string | undefined, range: Span): string[] {
  if (text === undefined) return ["(the file is gone)"];
  const lines = linesOf(text);
  const span = spanAround(lines, { from: Math.min(range.from, lines.length), to: Math.min(range.to, lines.length) });
  return lines.slice(span.from - 1, span.to).map((line, at) => numbered(span.from + at, " ", line));
}

function linesOf(text: string): string[] {
  const lines = text.split("\n");
  if (lines.at(-1) === "") lines.pop();
  return lines;
}

export function tokensOf(shown: unknown): number {
  return estimateTokens(JSON.stringify(shown, undefined, 1));
}

/** The names that a change touches: what it defines or changes inside, and what its new lines call. */
export function namesOf(files: readonly { file: DiffFile; hunks: readonly DiffHunk[]; text: string | undefined }[]): {
  defined: Set<string>;
  called: Set<string>;
} {
  const defined = new Set<string>();
  const called = new Set<string>();
  for (const { hunks, text } of files) {
    const lines = text === undefined ? undefined : linesOf(text);
    for (const hunk of hunks) {
      for (const line of hunk.lines) {
        if (line.kind === "context") continue;
        const name = definedName(line.text);
        if (name !== undefined) defined.add(name);
        if (line.kind === "added") for (const one of calledNames(line.text)) if (one !== name) called.add(one);
      }
      const around = lines === undefined ? undefined : lines[spanAround(lines, spanOf(hunk)).from - 1];
      const name = definedName(around ?? hunk.section);
      if (name !== undefined) defined.add(name);
    }
  }
  return { defined: limited(defined), called: limited(called) };
}

const mostNames = 200;

function limited(names: Set<string>): Set<string> {
  return new Set([...names].filter((name) => name.length > 2).slice(0, mostNames));
}

/** Excerpts of other files within a budget of tokens, the best files first, at most a few of each. */
export function showRelated(
  texts: readonly { path: string; text: string }[],
  wanted: Wanted,
  shown: ReadonlySet<string>,
  maxTokens: number,
): GroupText["related"] {
  const related: GroupText["related"] = [];
  let tokens = 0;
  for (const { path, text } of texts) {
    if (shown.has(path)) continue;
    for (const excerpt of excerptsOf(path, text, wanted, 4)) {
      const one = showExcerpt(excerpt, text);
      const cost = tokensOf(one);
      if (tokens + cost > maxTokens) continue;
      tokens += cost;
      related.push(one);
    }
    if (tokens > maxTokens * 0.95) break;
  }
  return related;
}

function showExcerpt({ path, why, span }: Excerpt, text: string): GroupText["related"][number] {
  const lines = text.split("\n").slice(span.from - 1, span.to);
  return { path, why, lines: lines.map((line, at) => numbered(span.from + at, "~", line)) };
}

/** Hunks in which the newer change has a line: only these are looked at again. */
export function hunksSince(hunks: readonly DiffHunk[], since: DiffFile | undefined): DiffHunk[] {
  if (since === undefined) return [];
  const changed = since.hunks.flatMap((hunk) => {
    const added = hunk.lines.flatMap(({ kind, newLine }) =>
      kind === "added" && newLine !== undefined ? [newLine] : [],
    );
    // What was only removed lies between two lines that are still there.
    return added.length > 0 ? added : [hunk.newStart, hunk.newStart + hunk.newLines];
  });
  return hunks.filter(({ newStart, newLines }) =>
    changed.some((line) => line >= newStart - 1 && line <= newStart + Math.max(newLines, 1)),
  );
}
