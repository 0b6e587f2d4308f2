import type { Candidate } from "./candidates.ts";
import type { Query } from "./query.ts";
import { WordSlots } from "./word-slots.ts";
import { scanWords } from "./words.ts";

/**
 * BM25F over three fields: what a file contains, what it defines, and the words of its path. A word's rarity is
 * taken among source files, which are what is searched for.
 * Source: Robertson and Zaragoza, The Probabilistic Relevance Framework: BM25 and Beyond (2009), section 3.6.
 */
const k1 = 1.2;
const contentLength = 0.75;
const pathWeight = 3;
const definitionWeight = 1;

export interface LexicalScores {
  /** All fields together. */
  all: Float64Array;
  /** The words of the path alone: what a part of the program is called says more than how often it is mentioned. */
  path: Float64Array;
  /** Defined names alone. */
  definitions: Float64Array;
  /** The words that counted most for a candidate, the most telling first, at most eight. */
  best(index: number): readonly number[];
}

export function lexicalScores(candidates: readonly Candidate[], query: Query): LexicalScores {
  const words = [...query.words.keys()];
  const slots = new WordSlots(words);
  const rows = new HitRows(slots, words.length, candidates.length);
  for (const candidate of candidates) rows.add(candidate);
  const weights = wordWeights(candidates, rows, words, query);
  const averageLength = average(candidates.filter(isSearched).map(({ facts }) => facts.wordCount));
  const all = new Float64Array(candidates.length);
  const path = new Float64Array(candidates.length);
  const definitions = new Float64Array(candidates.length);
  const lengthOf = (index: number) =>
    1 - contentLength + contentLength * (candidates[index]!.facts.wordCount / averageLength);
  const gainOf = (hit: number, length: number) => {
    const frequency = countOf(hit) / length + pathWeight * inPath(hit) + definitionWeight * defined(hit);
    return weights[slotOf(hit)]! * saturated(frequency);
  };
  for (let index = 0; index < rows.count; index++) {
    const length = lengthOf(index);
    const row = rows.row(index);
    for (let at = 0; at < row.length; at++) {
      const hit = row[at]!;
      all[index]! += gainOf(hit, length);
      path[index]! += weights[slotOf(hit)]! * saturated(pathWeight * inPath(hit));
      definitions[index]! += weights[slotOf(hit)]! * defined(hit);
    }
  }
  return {
    all,
    path,
    definitions,
    best: (index) =>
      [...rows.row(index)]
        .map((hit) => [slotOf(hit), gainOf(hit, lengthOf(index))] as const)
        .sort((a, b) => b[1] - a[1] || a[0] - b[0])
        .slice(0, 8)
        .map(([slot]) => words[slot]!),
  };
}

function saturated(frequency: number): number {
  return frequency / (k1 + frequency);
}

/** One word of the query in one file, packed: its place in the query, count, occurrences in the path, defined or not. */
type Hit = number;

const slotOf = (hit: Hit) => hit >>> 16;
const countOf = (hit: Hit) => (hit >>> 8) & 255;
const inPath = (hit: Hit) => (hit >>> 1) & 127;
const defined = (hit: Hit) => hit & 1;

/** The hits of each candidate, one after the other in one array: tens of thousands of small ones would cost more than the search. */
class HitRows {
  count = 0;
  readonly #slots: WordSlots;
  readonly #ends: Int32Array;
  /** Slot → place of its hit plus one; one of an earlier row is below the row's start. */
  readonly #places: Int32Array;
  #hits = new Int32Array(1 << 14);
  #length = 0;

  constructor(slots: WordSlots, words: number, candidates: number) {
    this.#slots = slots;
    this.#ends = new Int32Array(candidates + 1);
    this.#places = new Int32Array(words);
  }

  add({ path, facts }: Candidate): void {
    const { words, counts, definitions } = facts;
    const start = this.#length;
    for (let at = 0; at < words.length; at++) {
      const slot = this.#slots.find(words[at]!);
      if (slot >= 0) this.#mark(slot, start, counts[at]! << 8);
    }
    for (let at = 0; at < definitions.length; at++) {
      const slot = this.#slots.find(definitions[at]!);
      if (slot >= 0) this.#mark(slot, start, 1);
    }
    scanWords(Buffer.from(path), (word) => {
      const slot = this.#slots.find(word);
      if (slot < 0) return;
      const place = this.#place(slot, start);
      if (inPath(this.#hits[place]!) < 127) this.#hits[place]! += 2;
    });
    this.#ends[++this.count] = this.#length;
  }

  row(index: number): Int32Array {
    return this.#hits.subarray(this.#ends[index]!, this.#ends[index + 1]!);
  }

  #mark(slot: number, start: number, bits: number): void {
    const place = this.#place(slot, start);
    this.#hits[place]! |= bits;
  }

  /** May replace the array of hits: called before that is looked at. */
  #place(slot: number, start: number): number {
    const known = this.#places[slot]! - 1;
    if (known >= start) return known;
    if (this.#length === this.#hits.length) {
      const larger = new Int32Array(this.#hits.length * 2);
      larger.set(this.#hits);
      this.#hits = larger;
    }
    this.#hits[this.#length] = slot << 16;
    this.#places[slot] = ++this.#length;
    return this.#length - 1;
  }
}

function wordWeights(candidates: readonly Candidate[], rows: HitRows, words: readonly number[], query: Query) {
  const documents = new Float64Array(words.length);
  let total = 0;
  candidates.forEach((candidate, index) => {
    if (!isSearched(candidate)) return;
    total++;
    for (const hit of rows.row(index)) documents[slotOf(hit)]!++;
  });
  return words.map((word, slot) => {
    const rarity = Math.log(1 + (total - documents[slot]! + 0.5) / (documents[slot]! + 0.5));
    return rarity * query.words.get(word)!;
  });
}

function isSearched({ kind }: Candidate): boolean {
  return kind === "source";
}

function average(numbers: readonly number[]): number {
  return numbers.length === 0 ? 1 : Math.max(1, numbers.reduce((sum, one) => sum + one, 0) / numbers.length);
}
