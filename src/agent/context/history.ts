import type { PastCommit } from "../../workspace/source-tree.ts";
import type { Candidate } from "./candidates.ts";
import type { Query } from "./query.ts";
import { WordSlots } from "./word-slots.ts";
import { scanWords } from "./words.ts";

/** A commit that changes more files says nothing about any one of them: moves, formatting, releases, imports. */
const maxFilesOfCommit = 30;

const mostSimilarCommits = 60;
const longestMessageBytes = 2000;
const halfLifeCommits = 1000;

export interface HistoryScores {
  /** How well earlier commits that changed the file are described by the words. */
  similar: Float64Array;
  /** How often and how lately the file was changed. */
  activity: Float64Array;
  /** The commit that counted most for a file in `similar`. */
  because(index: number): PastCommit | undefined;
  /** How large a part of the changes of these files (index → weight) each file had, commits of many files counting less. */
  together(seeds: ReadonlyMap<number, number>): Float64Array;
}

/** `commits`: newest first. Their age is counted in commits, so that a repository asleep for a year has not forgotten. */
export function historyScores(
  candidates: readonly Candidate[],
  commits: readonly PastCommit[],
  query: Query,
): HistoryScores {
  const places = new Map(candidates.map(({ path }, index) => [path, index]));
  const changes = commits.map((commit, age) => ({
    commit,
    recency: 0.5 ** (age / halfLifeCommits),
    files: commit.files.length > maxFilesOfCommit ? [] : commit.files.flatMap((path) => places.get(path) ?? []),
  }));
  const similar = new Float64Array(candidates.length);
  const activity = new Float64Array(candidates.length);
  const best = new Map<number, { gain: number; commit: PastCommit }>();
  const timesChanged = new Float64Array(candidates.length);
  for (const { recency, files } of changes) {
    for (const file of files) timesChanged[file]!++;
    for (const file of files) activity[file]! += recency / Math.sqrt(files.length);
  }
  const likeness = messageScores(commits, query);
  const order = [...likeness.keys()].filter((age) => likeness[age]! > 0 && changes[age]!.files.length > 0);
  order.sort((a, b) => likeness[b]! - likeness[a]! || a - b);
  const top = likeness[order[0] ?? 0] ?? 0;
  for (const age of order.slice(0, mostSimilarCommits)) {
    const { commit, files } = changes[age]!;
    const sources = files.filter((file) => candidates[file]!.kind === "source").length;
    const gain = (likeness[age]! / top) ** 2 / Math.sqrt(Math.max(1, sources));
    for (const file of files) {
      similar[file]! += gain;
      const known = best.get(file);
      if (!known || gain > known.gain) best.set(file, { gain, commit });
    }
  }
  return {
    similar,
    activity,
    because: (index) => best.get(index)?.commit,
    together: (seeds) => {
      const scores = new Float64Array(candidates.length);
      for (const { files } of changes) {
        for (const seed of files) {
          const weight = seeds.get(seed);
          if (weight === undefined) continue;
          for (const file of files) if (file !== seed) scores[file]! += weight / files.length / timesChanged[seed]!;
        }
      }
      return scores;
    },
  };
}

/** BM25 of the commits' messages. */
function messageScores(commits: readonly PastCommit[], query: Query): Float64Array {
  const words = [...query.words.keys()];
  const slots = new WordSlots(words);
  const documents = new Float64Array(words.length);
  const lengths = new Float64Array(commits.length);
  const rows = commits.map(({ message }, index) => {
    const row = new Map<number, number>();
    let length = 0;
    scanWords(Buffer.from(message.slice(0, longestMessageBytes)), (word) => {
      length++;
      const slot = slots.find(word);
      if (slot >= 0) row.set(slot, (row.get(slot) ?? 0) + 1);
    });
    lengths[index] = length;
    for (const slot of row.keys()) documents[slot]!++;
    return row;
  });
  const average = Math.max(1, lengths.reduce((sum, one) => sum + one, 0) / Math.max(1, commits.length));
  const weights = words.map((word, slot) => {
    return Math.log(1 + (commits.length - documents[slot]! + 0.5) / (documents[slot]! + 0.5)) * query.words.get(word)!;
  });
  return Float64Array.from(rows, (row, index) => {
    const norm = 1.2 * (0.25 + 0.75 * (lengths[index]! / average));
    let sum = 0;
    for (const [slot, count] of row) sum += (weights[slot]! * count) / (count + norm);
    return sum;
  });
}
