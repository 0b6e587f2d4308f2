import { createHash } from "node:crypto";
import { indentOf } from "../policy/indent.ts";
import { compare, type Finding } from "./finding.ts";
import { similarity, wordsOf } from "./words.ts";

/**
 * What knows a finding again after the next push (R6), in four parts joined by dots:
 *
 * - category, readable;
 * - the line it is about, without white space, quotes as one kind and without a separator at its end;
 * - the name of the function or class around it;
 * - the file's path and which of several equal ones in it this is.
 *
 * So line numbers, formatting, edits elsewhere, other words of the same reviewer and another reviewer of the same category
 * leave it as it is; a change of the line itself ends it. A rename changes the last part alone, which `recognise` bridges.
 */
export type Fingerprint = string;

interface Parts {
  category: string;
  line: string;
  section: string;
  place: string;
}

/** What a fingerprint is made of: a finding where it was anchored. */
export type Fingerprinted = Pick<Finding, "category" | "path" | "line">;

/**
 * The fingerprints of a review's findings, in the order given. Equal findings of one file are numbered from its top, so the
 * whole list is asked at once. `textOf` gives a file of the reviewed head; without it only line numbers tell findings apart.
 */
export function fingerprintsOf(
  findings: readonly Fingerprinted[],
  textOf: (path: string) => string | undefined,
): Fingerprint[] {
  const files = new Map<string, SourceLines | undefined>();
  const sourceOf = (path: string) => {
    if (!files.has(path)) {
      const text = textOf(path);
      files.set(path, text === undefined ? undefined : new SourceLines(text));
    }
    return files.get(path);
  };
  const counts = new Map<string, number>();
  const result = new Array<Fingerprint>(findings.length);
  const fromTop = findings
    .map((finding, index) => ({ finding, index }))
    .sort((a, b) => compare(a.finding.path, b.finding.path) || a.finding.line - b.finding.line || a.index - b.index);
  for (const { finding, index } of fromTop) {
    const source = sourceOf(finding.path);
    const line = source?.lineHash(finding.line) ?? short(`line ${finding.line}`, 12);
    const section = source?.sectionHash(finding.line) ?? short("", 8);
    const key = [finding.category, line, section, finding.path].join("\0");
    const count = counts.get(key) ?? 0;
    counts.set(key, count + 1);
    result[index] = [finding.category, line, section, placeOf(finding.path, count)].join(".");
  }
  return result;
}

/** Whether a text is a fingerprint: what stands in a marker may be anything. */
export function isFingerprint(text: string): boolean {
  return partsOf(text) !== undefined;
}

function partsOf(fingerprint: Fingerprint): Parts | undefined {
  const match = /^([a-z]{1,20})\.([0-9a-f]{12})\.([0-9a-f]{8})\.([0-9a-f]{8})$/.exec(fingerprint);
  return match === null ? undefined : { category: match[1]!, line: match[2]!, section: match[3]!, place: match[4]! };
}

/** A finding of an earlier review, from the store or from the comment that was posted. */
export interface KnownFinding {
  fingerprint: Fingerprint;
  path: string;
  /** Where it was last seen, if that is known. */
  line?: number;
  title: string;
}

/**
 * The line of `text` (the file as it is now) at which a known finding still stands; the nearest to `near` of several.
 * Undefined: the line was changed or deleted, or stands in another function now.
 */
export function locate(fingerprint: Fingerprint, text: string, near = 1): number | undefined {
  return new SourceLines(text).find(fingerprint, near);
}

/** A finding of this review with its fingerprint. */
export type FreshFinding = Fingerprinted & { fingerprint: Fingerprint; title: string };

/** What `recognise` asks about the head that was reviewed. */
export interface Head {
  exists(path: string): boolean;
  /** Undefined where it does not exist, is binary or too large to be read. */
  textOf(path: string): string | undefined;
  /** The path before a rename in this pull request or since the last review, if there was one. */
  previousPath(path: string): string | undefined;
}

/**
 * Which known finding each fresh one is, in the order given; each known one at most once. It is the same when category, line
 * and function agree, and the file does or the known file is gone (it was renamed). Where only the category differs, similar
 * titles make it the same; where only the function does, they do if the known one does not stand where it stood.
 */
export function recognise<K extends KnownFinding>(
  known: readonly K[],
  fresh: readonly FreshFinding[],
  head: Head,
): (K | undefined)[] {
  const pairs: { knownAt: number; freshAt: number; rank: number[] }[] = [];
  const sources = new Map<string, SourceLines | undefined>();
  const sourceOf = (path: string) => {
    if (!sources.has(path)) {
      const text = head.textOf(path);
      sources.set(path, text === undefined ? undefined : new SourceLines(text));
    }
    return sources.get(path);
  };
  const stands = (one: K) => {
    const source = sourceOf(one.path);
    return source === undefined ? head.exists(one.path) : source.find(one.fingerprint, 1) !== undefined;
  };
  const byLine = Map.groupBy(
    known.map((one, at) => ({ one, at })),
    ({ one }) => lineKey(one.fingerprint),
  );
  const [knownEqual, freshEqual] = [Map.groupBy(known, withoutPlace), Map.groupBy(fresh, withoutPlace)];
  for (const [freshAt, now] of fresh.entries()) {
    for (const { one, at } of byLine.get(lineKey(now.fingerprint)) ?? []) {
      const [was, is] = [partsOf(one.fingerprint), partsOf(now.fingerprint)];
      if (was === undefined || is === undefined) continue;
      const samePath = one.path === now.path;
      if (!samePath && head.exists(one.path)) continue;
      const renamed = head.previousPath(now.path) === one.path;
      const alike = similarity(wordsOf(one.title), wordsOf(now.title));
      // One reviewer calls it correctness, another one maintainability.
      const sameCategory = was.category === is.category;
      if (!sameCategory && alike < alikeTitles) continue;
      const sameSection = was.section === is.section;
      if (!sameSection && (alike < alikeTitles || stands(one))) continue;
      const away = one.line === undefined ? 0 : Math.abs(one.line - now.line);
      const exact = one.fingerprint === now.fingerprint;
      // Numbers tell equal ones apart as long as there are as many as before; then the nearer one is likelier the same.
      const asMany = knownEqual.get(withoutPlace(one))?.length === freshEqual.get(withoutPlace(now))?.length;
      const numbers = asMany ? [exact ? 0 : 1, away] : [away, exact ? 0 : 1];
      // Better pairs first: same category, same function, same file, like words.
      const rank = [sameCategory ? 0 : 1, sameSection ? 0 : 1, samePath ? 0 : renamed ? 1 : 2, -alike, ...numbers];
      pairs.push({ knownAt: at, freshAt, rank: [...rank, at, freshAt] });
    }
  }
  pairs.sort((a, b) => {
    const at = a.rank.findIndex((value, index) => value !== b.rank[index]);
    return at < 0 ? 0 : a.rank[at]! - b.rank[at]!;
  });
  const result = new Array<K | undefined>(fresh.length).fill(undefined);
  const taken = new Set<number>();
  for (const { knownAt, freshAt } of pairs) {
    if (taken.has(knownAt) || result[freshAt] !== undefined) continue;
    taken.add(knownAt);
    result[freshAt] = known[knownAt]!;
  }
  return result;
}

/**
 * Each finding of this review with the known one that it is and a fingerprint of its own: a known one keeps its
 * fingerprint, and no other finding of the pull request gets it, so that each can be a row and a marker.
 */
export function identify<K extends KnownFinding>(
  findings: readonly (Fingerprinted & { title: string })[],
  known: readonly K[],
  head: Head,
): { fingerprint: Fingerprint; known: K | undefined }[] {
  const own = fingerprintsOf(findings, head.textOf);
  const matches = recognise(
    known,
    findings.map((finding, at) => ({ ...finding, fingerprint: own[at]! })),
    head,
  );
  const taken = new Set(known.map(({ fingerprint }) => fingerprint));
  return findings.map(({ path }, at) => {
    const match = matches[at];
    if (match !== undefined) return { fingerprint: match.fingerprint, known: match };
    let fingerprint = own[at]!;
    const { category, line, section } = partsOf(fingerprint)!;
    for (let count = 0; taken.has(fingerprint); count += 1)
      fingerprint = [category, line, section, placeOf(path, count)].join(".");
    taken.add(fingerprint);
    return { fingerprint, known: undefined };
  });
}

const alikeTitles = 0.4;

/** What equal findings of a pull request share, wherever they stand. */
function withoutPlace({ fingerprint }: { fingerprint: Fingerprint }): string {
  return fingerprint.slice(0, fingerprint.lastIndexOf("."));
}

function lineKey(fingerprint: Fingerprint): string {
  const parts = partsOf(fingerprint);
  return parts?.line ?? "";
}

/** The lines of a file with the names of what is around them. An empty line stands for the next one that is not. */
class SourceLines {
  readonly #lines: string[];
  #names: string[] | undefined;
  readonly #hashes: (string | undefined)[] = [];

  constructor(text: string) {
    this.#lines = text.split("\n");
  }

  /** The line nearest to `near` that a fingerprint speaks of. */
  find(fingerprint: Fingerprint, near: number): number | undefined {
    const parts = partsOf(fingerprint);
    if (parts === undefined) return undefined;
    let best: number | undefined;
    for (let line = 1; line <= this.#lines.length; line += 1) {
      if (best !== undefined && Math.abs(line - near) >= Math.abs(best - near)) continue;
      if (this.#telling(line) !== line || this.lineHash(line) !== parts.line) continue;
      if (this.sectionHash(line) === parts.section) best = line;
    }
    return best;
  }

  lineHash(line: number): string | undefined {
    const at = this.#telling(line);
    const text = this.#lines[at - 1];
    if (text === undefined) return undefined;
    this.#hashes[at] ??= short(plainLine(text), 12);
    return this.#hashes[at];
  }

  sectionHash(line: number): string {
    return short(this.#sections()[this.#telling(line)] ?? "", 8);
  }

  /** The line itself, or the next one with a word; the line itself where only empty ones follow. */
  #telling(line: number): number {
    for (let at = line; at <= line + mostEmptyLines; at += 1) if ((this.#lines[at - 1] ?? "").trim() !== "") return at;
    return line;
  }

  /** The name of the nearest definition above that is indented less, of each line that is not empty; empty at the top. */
  #sections(): string[] {
    if (this.#names !== undefined) return this.#names;
    const names: string[] = [];
    const around: { indent: number; name: string }[] = [];
    for (const [at, text] of this.#lines.entries()) {
      if (text.trim() === "") continue;
      const indent = indentOf(text);
      while (around.length > 0 && around.at(-1)!.indent >= indent) around.pop();
      names[at + 1] = around.at(-1)?.name ?? "";
      around.push({ indent, name: definedName(text) ?? names[at + 1]! });
    }
    this.#names = names;
    return names;
  }
}

const mostEmptyLines = 20;

function plainLine(line: string): string {
  return line
    .replace(/\s+/g, "")
    .replace(/['`]/g, '"')
    .replace(/[;,]+$/, "");
}

const notNames = new Set(
  "if for while switch catch return else do with try await elif except match when unless".split(" "),
);

/** What a line defines, in the languages that say so with a word or with brackets behind a name. */
function definedName(line: string): string | undefined {
  const text = line.slice(0, 400);
  const word =
    /\b(?:function\*?|def|func|fn|fun|sub|class|interface|struct|enum|trait|impl|module|namespace|object|type)\s+(?:\([^)]*\)\s*)?([\p{L}_$][\p{L}\p{N}_$.:]*)/u.exec(
      text,
    )?.[1];
  if (word !== undefined) return word;
  const assigned =
    /([\p{L}_$][\p{L}\p{N}_$]*)\s*[:=]\s*(?:async\s*)?(?:function\b|\(|[\p{L}_$][\p{L}\p{N}_$]*\s*=>)/u.exec(text)?.[1];
  if (assigned !== undefined) return assigned;
  const called = /([\p{L}_$][\p{L}\p{N}_$]*)\s*\([^;]*$/u.exec(text)?.[1];
  return called === undefined || notNames.has(called) ? undefined : called;
}

/** Which of several equal findings of a file, as one part of a fingerprint. */
function placeOf(path: string, count: number): string {
  return short(`${path}\0${count}`, 8);
}

function short(text: string, digits: number): string {
  return createHash("sha256").update(text).digest("hex").slice(0, digits);
}
