import { indentOf } from "../../policy/indent.ts";
/** Lines of a file, from 1, both included. */
export interface Span {
  from: number;
  to: number;
}

/** How far around a change its function is looked for and shown. */
const farthestLines = 60;

/**
 * The function, class or block around some lines, found by indentation alone and therefore in every language: from the nearest
 * line above that is indented less and defines something, to where that indentation comes back. At most sixty lines to
 * either side; without such a line, a few lines around.
 */
export function spanAround(lines: readonly string[], { from, to }: Span): Span {
  const inner = lines.slice(from - 1, to).filter((line) => line.trim() !== "");
  const depth = Math.min(...inner.map(indentOf), Infinity);
  if (!Number.isFinite(depth)) return widened(lines, from, to, 3);
  let indent = depth;
  let start: number | undefined;
  // The first changed line may begin the function itself.
  if (definedName(lines[from - 1] ?? "") !== undefined && indentOf(lines[from - 1] ?? "") === depth) start = from;
  for (let at = from - 1; start === undefined && at >= Math.max(1, from - farthestLines); at -= 1) {
    const line = lines[at - 1] ?? "";
    if (line.trim() === "" || indentOf(line) >= indent) continue;
    indent = indentOf(line);
    if (definedName(line) !== undefined) start = at;
    if (indent === 0) break;
  }
  if (start === undefined) return widened(lines, from, to, 3);
  const head = indentOf(lines[start - 1] ?? "");
  let end = to;
  for (let at = Math.max(to, start) + 1; at <= Math.min(lines.length, to + farthestLines); at += 1) {
    const line = lines[at - 1] ?? "";
    if (line.trim() === "") continue;
    if (indentOf(line) > head) end = at;
    else {
      // A closing bracket belongs to what it closes.
      if (/^\s*[)\]}]/.test(line) || /^\s*end\b/.test(line)) end = at;
      break;
    }
  }
  return { from: start, to: end };
}

function widened(lines: readonly string[], from: number, to: number, by: number): Span {
  return { from: Math.max(1, from - by), to: Math.min(Math.max(lines.length, 1), to + by) };
}

const keywords = new Set(
  "if for while switch catch return else do with try await elif except match when unless new typeof throw super function constructor not and or in".split(
    " ",
  ),
);
const name = String.raw`([\p{L}_$][\p{L}\p{N}_$]*)`;
const byWord = new RegExp(
  String.raw`\b(?:function\*?|def|func|fn|fun|sub|class|interface|struct|enum|trait|module)\s+(?:\([^)]{0,200}\)\s*)?${name}`,
  "u",
);
const byAssignment = new RegExp(
  String.raw`\b${name}\s*[:=]\s*(?:async\s*)?(?:function\b|\([^()]{0,200}\)\s*(?::[^=]{0,80})?=>|[\p{L}_$][\p{L}\p{N}_$]*\s*=>)`,
  "u",
);
const byBrackets = new RegExp(
  String.raw`^\s*(?:[\p{L}_$][\p{L}\p{N}_$<>\[\].*&:]*\s+){0,6}${name}\s*\([^;=]*\)?[^;=]*\{\s*$`,
  "u",
);

/** The name that a line defines, in the languages that say so by a word, an arrow or brackets. */
export function definedName(line: string): string | undefined {
  const text = line.slice(0, 400);
  const found = byWord.exec(text)?.[1] ?? byAssignment.exec(text)?.[1] ?? byBrackets.exec(text)?.[1];
  return found === undefined || keywords.has(found) ? undefined : found;
}

const call = new RegExp(String.raw`${name}\s*\(`, "gu");

/** What a line calls, by its name in front of a bracket. */
export function calledNames(line: string): string[] {
  return [...line.slice(0, 2_000).matchAll(call)].map((match) => match[1]!).filter((one) => !keywords.has(one));
}

export interface Excerpt {
  path: string;
  /** In words for a reader. */
  why: string;
  span: Span;
}

/** What other files have to do with a change: who calls what it defines, and what it calls. */
export interface Wanted {
  /** Names that the change defines or whose function it changes. */
  defined: ReadonlySet<string>;
  /** Names that the change calls. */
  called: ReadonlySet<string>;
}

/** Calls of what a change defines, and definitions of what it calls, in one file. At most `limit` of them, the first ones. */
export function excerptsOf(path: string, text: string, { defined, called }: Wanted, limit: number): Excerpt[] {
  const lines = text.split("\n");
  const excerpts: Excerpt[] = [];
  let shownTo = 0;
  for (let at = 1; at <= lines.length && excerpts.length < limit; at += 1) {
    const line = lines[at - 1]!;
    if (line.length > 2_000) continue;
    const definition = definedName(line);
    if (definition !== undefined && called.has(definition) && at > shownTo) {
      const whole = spanAround(lines, { from: at, to: at });
      const span = { from: at, to: Math.min(whole.to, at + 30) };
      excerpts.push({ path, why: `defines ${definition}`, span });
      shownTo = span.to;
      continue;
    }
    const calls = calledNames(line).find((one) => one !== definition && defined.has(one));
    if (calls === undefined || at <= shownTo) continue;
    const span = { from: Math.max(1, at - 4, shownTo + 1), to: Math.min(lines.length, at + 4) };
    excerpts.push({ path, why: `calls ${calls}`, span });
    shownTo = span.to;
  }
  return excerpts;
}
