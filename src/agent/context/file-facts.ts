import { onlyWord, scanWords, wordNumber } from "./words.ts";

/** What is kept of one file's content, by its blob: enough to rank it, never its text. */
export interface FileFacts {
  /** Distinct words, ascending. */
  words: Int32Array;
  /** How often each of `words` occurs, up to 255. */
  counts: Uint8Array;
  /** Words of the identifiers that are defined here (whole and in parts), ascending and distinct. */
  definitions: Int32Array;
  /** Words in all, repeated ones counted. */
  wordCount: number;
  /** What the file imports, as written. */
  imports: readonly string[];
  /** Made by a program: binary, minified, or marked as generated. */
  generated: boolean;
}

export const emptyFacts: FileFacts = {
  words: new Int32Array(),
  counts: new Uint8Array(),
  definitions: new Int32Array(),
  wordCount: 0,
  imports: [],
  generated: false,
};

/** More of a file than this is not looked at; nobody writes such a file by hand. */
export const largestIndexedBytes = 1_000_000;

const numbersOf = (words: string) => new Set(words.split(/\s+/).map(wordNumber));

const definers = numbersOf(
  `class def func fn function interface struct enum trait type union module namespace object record protocol const let
  var val static macro_rules define defmodule defp defn impl extension typedef sub proc`,
);
/** Words between a definer and the name: `def self.read`, `pub const fn read`, `abstract class`. */
const qualifiers = numbersOf("self async unsafe extern default mut final data abstract inline");
const notMethods = numbersOf(
  "if for while switch catch return else do try with elif unless until when match super new await and or not in loop foreach synchronized lock sizeof",
);
const importers = numbersOf("from import require require_relative include use mod");

/**
 * Reads the facts of one file. Definitions and imports are found by the words before a name, the same way in all
 * languages: a wrong one costs a little rank and nothing else, and a file in an unknown language still has its words.
 */
export function readFacts(content: Uint8Array): FileFacts {
  const bytes = Buffer.from(content.buffer, content.byteOffset, Math.min(content.byteLength, largestIndexedBytes));
  if (bytes.subarray(0, 8000).includes(0) || isMinified(bytes)) return { ...emptyFacts, generated: true };
  tally.clear();
  defined.clear();
  const imports = new Set<string>();
  let wordCount = 0;
  let identifierStart = -1;
  let defining = false;
  let definerEnd = -1;
  let receiverEnd = -1;
  let importEnd = 0;
  scanWords(bytes, (word, start, end, kind) => {
    wordCount++;
    tally.add(word);
    if (start !== identifierStart) {
      identifierStart = start;
      const named = definerEnd >= 0 && start >= receiverEnd && isBlank(bytes, Math.max(definerEnd, receiverEnd), start);
      if (start >= receiverEnd) definerEnd = -1;
      defining = named || (bytes[end] === openParen && definesMethod(bytes, start, end));
    }
    if (kind === onlyWord) {
      if (definers.has(word)) {
        defining = false;
        definerEnd = end;
        receiverEnd = bytes[end + 1] === openParen ? bytes.indexOf(closeParen, end) + 1 : -1;
      } else if (defining && qualifiers.has(word)) {
        defining = false;
        definerEnd = end;
      } else if (defining && notMethods.has(word)) defining = false;
      if (start >= importEnd && importers.has(word)) importEnd = readImport(bytes, start, end, imports);
    }
    if (defining) defined.add(word);
  });
  return {
    ...tally.sorted(),
    definitions: defined.sorted().words,
    wordCount,
    imports: [...imports],
    generated: saysGenerated(bytes),
  };
}

const newline = 0x0a;
const openParen = 0x28;
const closeParen = 0x29;
const openBrace = 0x7b;
const dot = 0x2e;

/** Lines longer than people write: built, packed or data. */
function isMinified(bytes: Buffer): boolean {
  if (bytes.length < 5000) return false;
  let lines = 1;
  for (let at = bytes.indexOf(newline); at >= 0; at = bytes.indexOf(newline, at + 1)) {
    lines++;
    if (bytes.length / lines < 400) return false;
  }
  return bytes.length / lines >= 400;
}

/** The marks that generators leave, such as Go's: https://go.dev/s/generatedcode */
function saysGenerated(bytes: Buffer): boolean {
  const head = bytes.toString("latin1", 0, Math.min(bytes.length, 1000));
  return /@generated\b|\bcode generated\b.*\bdo not edit\b|\bauto-?generated\b.*\bdo not (?:edit|modify)\b|\bthis file (?:is|was) (?:auto(?:matically)?[- ]?)?generated\b/i.test(
    head,
  );
}

/** Nothing but blanks, or what may stand before a name in its definition: a pointer, `self.`, a macro's mark. */
function isBlank(bytes: Buffer, from: number, to: number): boolean {
  for (let at = from; at < to; at++) {
    const byte = bytes[at]!;
    if (byte !== 0x20 && byte !== 0x09 && byte !== 0x2a && byte !== 0x26 && byte !== 0x21 && byte !== dot) return false;
  }
  return to > from;
}

/** `name(…) {` with nothing but types and modifiers before the name: a method or a function of a C-like language. */
function definesMethod(bytes: Buffer, start: number, end: number): boolean {
  if (start > 0 && bytes[start - 1] === dot) return false;
  let lineEnd = bytes.indexOf(newline, end);
  if (lineEnd < 0) lineEnd = bytes.length;
  if (lineEnd - end > 300) return false;
  let last = lineEnd - 1;
  while (last > end && bytes[last]! <= 0x20) last--;
  if (bytes[last] !== openBrace && !(bytes[last] === closeParen && bytes[lineEnd + 1] === openBrace)) return false;
  let lineStart = start;
  while (lineStart > 0 && bytes[lineStart - 1] !== newline) lineStart--;
  if (start - lineStart > 200) return false;
  if (!/^[\w\s*&<>[\],:~?@]*$/.test(bytes.toString("latin1", lineStart, start))) return false;
  return !/=>|\bfunction\b|["'`]/.test(bytes.toString("latin1", end, lineEnd));
}

const maxImports = 200;

/** Adds what the statement at `start` imports, and returns where it ends. */
function readImport(bytes: Buffer, start: number, end: number, imports: Set<string>): number {
  if (imports.size >= maxImports) return bytes.length;
  let lineEnd = bytes.indexOf(newline, end);
  if (lineEnd < 0) lineEnd = bytes.length;
  lineEnd = Math.min(lineEnd, end + 300);
  const rest = bytes.toString("latin1", end, lineEnd);
  if (/^\s*\(\s*$/.test(rest)) {
    const blockEnd = bytes.indexOf(closeParen, end);
    if (blockEnd < 0 || blockEnd - end > 20_000) return lineEnd;
    for (const [, name] of bytes.toString("latin1", end, blockEnd).matchAll(/["']([^"'\n]+)["']/g)) imports.add(name!);
    return blockEnd;
  }
  const quoted = /^[\s({\w,*}$.#]*(?:["'`]([^"'`\s]{1,200})["'`]|<([^>\s]{1,200})>)/.exec(rest);
  if (quoted) {
    const name = quoted[1] ?? quoted[2]!;
    const keyword = bytes.toString("latin1", start, end);
    imports.add(
      (keyword === "require_relative" || keyword === "include") && !name.startsWith(".") ? `./${name}` : name,
    );
    return lineEnd;
  }
  let lineStart = start;
  while (lineStart > 0 && start - lineStart < 40 && bytes[lineStart - 1] !== newline) lineStart--;
  if (!/^\s*(?:pub(?:\([^)]*\))?\s+)?(?:static\s+)?$/.test(bytes.toString("latin1", lineStart, start))) return end;
  switch (bytes.toString("latin1", start, end)) {
    case "from": {
      const match = /^\s+(\.*[\w.]*)\s+import\s+\(?([\w\s,]*)/.exec(rest);
      if (!match) return end;
      imports.add(match[1]!);
      for (const name of match[2]!.split(",")) {
        const word = name.trim().split(/\s/)[0]!;
        if (word && word !== "import") imports.add(`${match[1]}${match[1]!.endsWith(".") ? "" : "."}${word}`);
      }
      return lineEnd;
    }
    case "import": {
      const match = /^\s+(?:static\s+)?([\w.]+)/.exec(rest);
      if (match) imports.add(match[1]!);
      return match ? lineEnd : end;
    }
    case "use": {
      const match = /^\s+([\w:\\]+(?:::|\\)\w*)/.exec(rest);
      if (match) imports.add(match[1]!);
      return match ? lineEnd : end;
    }
    case "mod": {
      const match = /^\s+(\w+);/.exec(rest);
      if (match) imports.add(`./${match[1]}`);
      return match ? lineEnd : end;
    }
    default:
      return end;
  }
}

/** Counts numbers in open addressing: no object and no boxed number for each word of each file. */
class Tally {
  #keys = new Int32Array(1 << 12);
  #counts = new Uint32Array(1 << 12);
  #used: number[] = [];

  clear(): void {
    for (const slot of this.#used) this.#counts[slot] = 0;
    this.#used = [];
  }

  add(key: number): void {
    const mask = this.#keys.length - 1;
    let slot = (Math.imul(key, 0x9e3779b1) >>> 12) & mask;
    while (this.#counts[slot] !== 0) {
      if (this.#keys[slot] === key) {
        this.#counts[slot]!++;
        return;
      }
      slot = (slot + 1) & mask;
    }
    this.#keys[slot] = key;
    this.#counts[slot] = 1;
    this.#used.push(slot);
    if (this.#used.length * 2 > mask) this.#grow();
  }

  sorted(): { words: Int32Array; counts: Uint8Array } {
    const words = new Int32Array(this.#used.length);
    this.#used.forEach((slot, index) => {
      words[index] = this.#keys[slot]!;
    });
    words.sort();
    const counts = new Uint8Array(words.length);
    words.forEach((word, index) => {
      counts[index] = Math.min(255, this.#countOf(word));
    });
    return { words, counts };
  }

  #countOf(key: number): number {
    const mask = this.#keys.length - 1;
    let slot = (Math.imul(key, 0x9e3779b1) >>> 12) & mask;
    while (this.#keys[slot] !== key || this.#counts[slot] === 0) slot = (slot + 1) & mask;
    return this.#counts[slot]!;
  }

  #grow(): void {
    const [keys, counts, used] = [this.#keys, this.#counts, this.#used];
    this.#keys = new Int32Array(keys.length * 2);
    this.#counts = new Uint32Array(keys.length * 2);
    this.#used = [];
    const mask = this.#keys.length - 1;
    for (const from of used) {
      let slot = (Math.imul(keys[from]!, 0x9e3779b1) >>> 12) & mask;
      while (this.#counts[slot] !== 0) slot = (slot + 1) & mask;
      this.#keys[slot] = keys[from]!;
      this.#counts[slot] = counts[from]!;
      this.#used.push(slot);
    }
  }
}

const tally = new Tally();
const defined = new Tally();
