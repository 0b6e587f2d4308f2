import type { Candidate } from "./candidates.ts";
import type { Query } from "./query.ts";

/**
 * How surely the issue names a file: 1 for a path of two parts or more, or a stack frame, that fits this file alone;
 * less for a bare file name, and the less the more files fit.
 */
export function namedPathScores(candidates: readonly Candidate[], query: Query): Float64Array {
  const scores = new Float64Array(candidates.length);
  const byName = new Map<string, number[]>();
  candidates.forEach(({ path }, index) => {
    const name = path.slice(path.lastIndexOf("/") + 1).toLowerCase();
    const list = byName.get(name);
    if (list) list.push(index);
    else byName.set(name, [index]);
  });
  for (const written of query.paths) {
    const wanted = written.toLowerCase().split("/");
    const named = byName.get(wanted.at(-1)!) ?? [];
    const lengths = named.map((index) => commonEnd(candidates[index]!.path.toLowerCase().split("/"), wanted));
    const longest = Math.max(0, ...lengths);
    const fitting = named.filter((_, at) => lengths[at] === longest);
    const sources = fitting.filter((index) => candidates[index]!.kind === "source").length;
    const certainty = longest > 1 ? 1 : 0.7;
    for (const index of fitting) {
      const rivals = candidates[index]!.kind === "source" ? sources : fitting.length;
      scores[index] = Math.max(scores[index]!, certainty / Math.sqrt(rivals));
    }
  }
  return scores;
}

function commonEnd(path: readonly string[], wanted: readonly string[]): number {
  let count = 0;
  while (count < path.length && count < wanted.length && path.at(-1 - count) === wanted.at(-1 - count)) count++;
  return count;
}
