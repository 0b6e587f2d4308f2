import { breathe } from "./breathe.ts";
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

export async function lexicalScores(candidates: readonly Candidate[], query: Query): Promise<LexicalScores> {
  const words = [...query.words.keys()];
  const slots = new WordSlots(words);
  const rows: (readonly Hit[])[] = [];
  for (const candidate of candidates) {
    rows.push(readRow(candidate, slots));
    if (rows.length % 2000 === 0) await breathe();
  }
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
  rows.forEach((row, index) => {
    const length = lengthOf(index);
    for (const hit of row) {
      all[index]! += gainOf(hit, length);
      path[index]! += weights[slotOf(hit)]! * saturated(pathWeight * inPath(hit));
      definitions[index]! += weights[slotOf(hit)]! * defined(hit);
    }
  });
  return {
    all,
    path,
    definitions,
    best: (index) =>
      [...rows[index]!]
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
const none: readonly Hit[] = [];

function readRow({ path, facts }: Candidate, slots: WordSlots): readonly Hit[] {
  let row: Hit[] | undefined;
  const { words, counts, definitions } = facts;
  for (let at = 0; at < words.length; at++) {
    const slot = slots.find(words[at]!);
    if (slot >= 0) {
      row ??= [];
      row.push((slot << 16) | (counts[at]! << 8));
    }
  }
  const mark = (slot: number, change: (hit: Hit) => Hit) => {
    row ??= [];
    const at = row.findIndex((hit) => slotOf(hit) === slot);
    if (at < 0) row.push(change(slot << 16));
    else row[at] = change(row[at]!);
  };
  for (let at = 0; at < definitions.length; at++) {
    const slot = slots.find(definitions[at]!);
    if (slot >= 0) mark(slot, (hit) => hit | 1);
  }
  scanWords(Buffer.from(path), (word) => {
    const slot = slots.find(word);
    if (slot >= 0) mark(slot, (hit) => (inPath(hit) < 127 ? hit + 2 : hit));
  });
  return row ?? none;
}

function wordWeights(
  candidates: readonly Candidate[],
  rows: readonly (readonly Hit[])[],
  words: readonly number[],
  query: Query,
) {
  const documents = new Float64Array(words.length);
  let total = 0;
  rows.forEach((row, index) => {
    if (!isSearched(candidates[index]!)) return;
    total++;
    for (const hit of row) documents[slotOf(hit)]!++;
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
