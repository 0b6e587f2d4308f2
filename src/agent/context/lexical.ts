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
  const rows = candidates.map((candidate) => readRow(candidate, slots));
  const weights = wordWeights(candidates, rows, words, query);
  const averageLength = average(candidates.filter(isSearched).map(({ facts }) => facts.wordCount));
  const all = new Float64Array(candidates.length);
  const path = new Float64Array(candidates.length);
  const definitions = new Float64Array(candidates.length);
  const gainOf = (index: number, hit: Hit): number => {
    const length = 1 - contentLength + contentLength * (candidates[index]!.facts.wordCount / averageLength);
    return (
      weights[hit.slot]! * saturated(hit.count / length + pathWeight * hit.inPath + definitionWeight * hit.defined)
    );
  };
  rows.forEach((row, index) => {
    for (const hit of row) {
      all[index]! += gainOf(index, hit);
      path[index]! += weights[hit.slot]! * saturated(pathWeight * hit.inPath);
      definitions[index]! += weights[hit.slot]! * hit.defined;
    }
  });
  return {
    all,
    path,
    definitions,
    best: (index) =>
      rows[index]!.map((hit) => [hit.slot, gainOf(index, hit)] as const)
        .sort((a, b) => b[1] - a[1] || a[0] - b[0])
        .slice(0, 8)
        .map(([slot]) => words[slot]!),
  };
}

function saturated(frequency: number): number {
  return frequency / (k1 + frequency);
}

interface Hit {
  slot: number;
  count: number;
  inPath: number;
  defined: 0 | 1;
}

function readRow({ path, facts }: Candidate, slots: WordSlots): Hit[] {
  const hits = new Map<number, Hit>();
  const hit = (slot: number) => {
    let one = hits.get(slot);
    if (!one) hits.set(slot, (one = { slot, count: 0, inPath: 0, defined: 0 }));
    return one;
  };
  const { words, counts, definitions } = facts;
  for (let at = 0; at < words.length; at++) {
    const slot = slots.find(words[at]!);
    if (slot >= 0) hit(slot).count = counts[at]!;
  }
  for (let at = 0; at < definitions.length; at++) {
    const slot = slots.find(definitions[at]!);
    if (slot >= 0) hit(slot).defined = 1;
  }
  scanWords(Buffer.from(path), (word) => {
    const slot = slots.find(word);
    if (slot >= 0) hit(slot).inPath++;
  });
  return [...hits.values()];
}

function wordWeights(candidates: readonly Candidate[], rows: readonly Hit[][], words: readonly number[], query: Query) {
  const documents = new Float64Array(words.length);
  let total = 0;
  rows.forEach((row, index) => {
    if (!isSearched(candidates[index]!)) return;
    total++;
    for (const { slot } of row) documents[slot]!++;
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
