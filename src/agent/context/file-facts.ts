import { IdentifierTable } from "./identifier-table.ts";
import { WordSlots } from "./word-slots.ts";
import { IdentifierCursor, partOfWord, splitIdentifier, splitKinds, splitWords, wordNumber } from "./words.ts";

/** What is kept of one file's content, by its blob: enough to rank it, never its text. */
export interface FileFacts {
  sizeBytes: number;
  /** Distinct words, in the order of their first occurrence. */
  words: Int32Array;
  /** How often each of `words` occurs, up to 255. */
  counts: Uint8Array;
  /** Words of the identifiers that are defined here (whole and in parts), distinct. */
  definitions: Int32Array;
  /** Words in all, repeated ones counted. */
  wordCount: number;
  /** What the file imports, as written. */
  imports: readonly string[];
  /** Made by a program: binary, minified, or marked as generated. */
  generated: boolean;
}

export const emptyFacts: FileFacts = {
  sizeBytes: 0,
  words: new Int32Array(),
  counts: new Uint8Array(),
  definitions: new Int32Array(),
  wordCount: 0,
  imports: [],
  generated: false,
};

/** More of a file than this is not looked at; nobody writes such a file by hand. */
export const largestIndexedBytes = 1_000_000;

/** Words before a name that is defined. */
const definer = 1;
/** Words between a definer and the name: `def self.read`, `pub const fn read`, `abstract class`. */
const qualifier = 2;
/** Words that are followed by a parenthesis and are no method. */
const notMethod = 4;
/** Words that begin an import. */
const importer = 8;

const roles = new Map<number, number>();
for (const [role, words] of [
  [
    definer,
    "class def func fn function interface struct enum trait type union module namespace object record protocol const let var val static macro_rules define defmodule defp defn impl extension typedef sub proc",
  ],
  [qualifier, "self async unsafe extern default mut final data abstract inline"],
  [
    notMethod,
    "if for while switch catch return else do try with elif unless until when match super new await and or not in loop foreach synchronized lock sizeof",
  ],
  [importer, "from import require require_relative include use mod"],
] as const) {
  for (const word of words.split(" ")) roles.set(wordNumber(word), (roles.get(wordNumber(word)) ?? 0) | role);
}
const keywords = new WordSlots([...roles.keys()]);
const rolesOf = Int32Array.from(roles.values());

/**
 * Reads the facts of one file. Definitions and imports are found by the words before a name, the same way in all
 * languages: a wrong one costs a little rank and nothing else, and a file in an unknown language still has its words.
 */
export function readFacts(content: Uint8Array): FileFacts {
  const bytes = Buffer.from(content.buffer, content.byteOffset, Math.min(content.byteLength, largestIndexedBytes));
  if (bytes.subarray(0, 8000).includes(0) || isMinified(bytes))
    return { ...emptyFacts, sizeBytes: content.byteLength, generated: true };
  const imports = new Set<string>();
  identifiers.reset(bytes);
  known.reset();
  let definerEnd = -1;
  let receiverEnd = -1;
  let importEnd = 0;
  const cursor = new IdentifierCursor(bytes);
  while (cursor.next()) {
    const { start, end } = cursor;
    const id = identifiers.add(start, end, cursor.hash);
    if (id === known.size) known.add(bytes, start, end);
    const role = known.roles[id]!;
    const named = definerEnd >= 0 && start >= receiverEnd && isBlank(bytes, Math.max(definerEnd, receiverEnd), start);
    if (start >= receiverEnd) definerEnd = -1;
    if (role & definer) {
      definerEnd = end;
      receiverEnd = bytes[end + 1] === openParen ? bytes.indexOf(closeParen, end) + 1 : -1;
    } else if (named && role & qualifier) {
      definerEnd = end;
    } else if (!(role & notMethod) && known.defined[id] === 0) {
      if (named || (bytes[end] === openParen && definesMethod(bytes, start, end))) known.defined[id] = 1;
    }
    if (role & importer && start >= importEnd) importEnd = readImport(bytes, start, end, imports);
  }
  tally.clear();
  definitions.clear();
  let wordCount = 0;
  for (let id = 0; id < known.size; id++) {
    const count = identifiers.count(id);
    const from = known.firstWords[id]!;
    const to = known.firstWords[id + 1]!;
    wordCount += (to - from) * count;
    for (let at = from; at < to; at++) tally.add(known.words[at]!, count);
    if (known.defined[id] === 1) for (let at = from; at < to; at++) definitions.add(known.words[at]!, 1);
  }
  return {
    sizeBytes: content.byteLength,
    ...tally.read(),
    definitions: definitions.read().words,
    wordCount,
    imports: [...imports],
    generated: saysGenerated(bytes),
  };
}

/** By the number of an identifier: its words, its role as a keyword, and whether the file defines it. */
class KnownIdentifiers {
  size = 0;
  roles = new Uint8Array(1 << 11);
  defined = new Uint8Array(1 << 11);
  /** Where the words of an identifier begin; those of the next one follow. */
  firstWords = new Int32Array((1 << 11) + 1);
  words = new Int32Array(1 << 13);
  #wordsUsed = 0;

  reset(): void {
    this.size = 0;
    this.#wordsUsed = 0;
  }

  add(bytes: Uint8Array, start: number, end: number): void {
    if (this.size === this.roles.length) this.#grow();
    const id = this.size++;
    this.roles[id] = 0;
    this.defined[id] = 0;
    const count = splitIdentifier(bytes, start, end);
    for (let at = 0; at < count; at++) {
      const word = splitWords[at]!;
      if (this.#wordsUsed === this.words.length) this.words = larger(this.words, new Int32Array(this.words.length * 2));
      this.words[this.#wordsUsed++] = word;
      const keyword = splitKinds[at] === partOfWord ? -1 : keywords.find(word);
      if (keyword >= 0) this.roles[id] = rolesOf[keyword]!;
    }
    this.firstWords[id + 1] = this.#wordsUsed;
  }

  #grow(): void {
    const length = this.roles.length * 2;
    this.roles = larger(this.roles, new Uint8Array(length));
    this.defined = larger(this.defined, new Uint8Array(length));
    this.firstWords = larger(this.firstWords, new Int32Array(length + 1));
  }
}

function larger<T extends Uint8Array | Int32Array>(from: T, to: T): T {
  to.set(from);
  return to;
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
  const start = bytes.subarray(0, 1000);
  if (!start.includes("enerated") && !start.includes("ENERATED")) return false;
  const head = start.toString("latin1");
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
  /** Slots in the order of first use; at most half of them are used. */
  #slots = new Int32Array(1 << 11);
  #size = 0;

  clear(): void {
    for (let index = 0; index < this.#size; index++) this.#counts[this.#slots[index]!] = 0;
    this.#size = 0;
  }

  add(key: number, times: number): void {
    const slot = this.#slotOf(key);
    const before = this.#counts[slot]!;
    this.#counts[slot] = before + times;
    if (before !== 0) return;
    this.#keys[slot] = key;
    this.#slots[this.#size++] = slot;
    if (this.#size === this.#slots.length) this.#grow();
  }

  read(): { words: Int32Array; counts: Uint8Array } {
    const words = new Int32Array(this.#size);
    const counts = new Uint8Array(this.#size);
    for (let index = 0; index < this.#size; index++) {
      const slot = this.#slots[index]!;
      words[index] = this.#keys[slot]!;
      counts[index] = Math.min(255, this.#counts[slot]!);
    }
    return { words, counts };
  }

  #slotOf(key: number): number {
    const mask = this.#keys.length - 1;
    let slot = (Math.imul(key, 0x9e3779b1) >>> 10) & mask;
    while (this.#counts[slot] !== 0 && this.#keys[slot] !== key) slot = (slot + 1) & mask;
    return slot;
  }

  #grow(): void {
    const [keys, counts, slots, size] = [this.#keys, this.#counts, this.#slots, this.#size];
    this.#keys = new Int32Array(keys.length * 2);
    this.#counts = new Uint32Array(keys.length * 2);
    this.#slots = new Int32Array(slots.length * 2);
    for (let index = 0; index < size; index++) {
      const key = keys[slots[index]!]!;
      const slot = this.#slotOf(key);
      this.#keys[slot] = key;
      this.#counts[slot] = counts[slots[index]!]!;
      this.#slots[index] = slot;
    }
  }
}

/** Made once: a selection reads tens of thousands of files, one after the other. */
const identifiers = new IdentifierTable();
const known = new KnownIdentifiers();
const tally = new Tally();
const definitions = new Tally();
