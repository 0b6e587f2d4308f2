import type { PastCommit, SourceTree, TreeFile } from "../../workspace/source-tree.ts";
import { type Candidate, readCandidates } from "./candidates.ts";
import { type CachedContext, loadContext, saveContext } from "./context-cache.ts";
import { emptyFacts, largestIndexedBytes, readFacts } from "./file-facts.ts";
import type { FileKind } from "./file-kind.ts";
import { historyScores } from "./history.ts";
import { lexicalScores } from "./lexical.ts";
import { namedPathScores } from "./named-paths.ts";
import { type Issue, readQuery } from "./query.ts";

export interface ContextRequest {
  tree: SourceTree;
  issue: Issue;
  /** Makes a second selection in the same repository fast; it must belong to that repository and trust level alone. Without it everything is read anew. */
  cacheDirectory?: string | undefined;
  /** At most so many files, 50 by default. */
  limit?: number | undefined;
  signal?: AbortSignal | undefined;
}

/** A file worth showing to the model. `score` lies between 0 and 1 and compares within one selection only. */
export interface Ranked {
  path: string;
  score: number;
  kind: FileKind;
  blobSha: string;
  sizeBytes: number;
  /** Words of the issue that count most in this file, as written there: where to look in it. */
  words: string[];
  /** In words for a person, the strongest first. */
  reasons: string[];
}

const defaultLimit = 50;
const historyBounds = { maxCommits: 3000, timeoutMilliseconds: 10_000 };

/** What each signal is worth once its largest value among source files is 1. docs/context-selection.md says how they were chosen. */
const signalWeights = { lexical: 1, similar: 0.6, path: 0.3, definitions: 0.2, activity: 0.2, named: 0.6 };

/** What a file is for scales what was found in it: a test that speaks of the issue does so because of a source. */
const kindWeights: Record<FileKind, number> = {
  source: 1,
  test: 0.6,
  example: 0.4,
  config: 0.4,
  docs: 0.4,
  other: 0.3,
  generated: 0.2,
  vendored: 0.2,
};

/**
 * Ranks the files of a commit by how likely a change for this issue touches them, best first, ties by path. The
 * same tree and issue give the same answer, with a cache or without. Only the commit and its ancestors are read.
 */
export async function selectContext(request: ContextRequest): Promise<Ranked[]> {
  const { tree, issue, cacheDirectory, signal } = request;
  const cached = await loadContext(cacheDirectory);
  const [files, commits] = await Promise.all([
    tree.files({ withSizes: false, signal }),
    tree.history({ ...historyBounds, known: cached.commitFiles, signal }),
  ]);
  const context = await readContext(tree, files, commits, cached, signal);
  if (context !== cached && cacheDirectory) await saveContext(cacheDirectory, context);
  return rank(readCandidates(files, context.facts), commits, issue, request.limit ?? defaultLimit);
}

/** The cached context where it has all that this commit needs, else a new one without what it does not need. */
async function readContext(
  tree: SourceTree,
  files: readonly TreeFile[],
  commits: readonly PastCommit[],
  cached: CachedContext,
  signal?: AbortSignal,
): Promise<CachedContext> {
  const wanted = files.filter(({ mode }) => mode.startsWith("100")).map(({ blobSha }) => blobSha);
  const missing = new Set(wanted.filter((blobSha) => !cached.facts.has(blobSha)));
  if (missing.size === 0 && commits.every(({ sha }) => cached.commitFiles.has(sha))) return cached;
  const facts = cached.facts.only(wanted);
  const readable = async function* () {
    for await (const { blobSha, sizeBytes } of tree.sizes(missing, signal)) {
      if (sizeBytes <= largestIndexedBytes) yield blobSha;
      else facts.add(blobSha, { ...emptyFacts, sizeBytes, generated: true });
    }
  };
  for await (const { blobSha, content } of tree.readBlobs(readable(), signal)) facts.add(blobSha, readFacts(content));
  return { facts, commitFiles: new Map(commits.map(({ sha, files: changed }) => [sha, changed])) };
}

function rank(candidates: readonly Candidate[], commits: readonly PastCommit[], issue: Issue, limit: number): Ranked[] {
  const query = readQuery(issue);
  const lexical = lexicalScores(candidates, query);
  const history = historyScores(candidates, commits, query);
  const named = namedPathScores(candidates, query);
  const signals: Record<keyof typeof signalWeights, Float64Array> = {
    lexical: lexical.all,
    path: lexical.path,
    definitions: lexical.definitions,
    similar: history.similar,
    activity: history.activity.map(Math.log1p),
    named,
  };
  const names = Object.keys(signalWeights) as (keyof typeof signalWeights)[];
  const total = names.reduce((sum, name) => sum + signalWeights[name], 0);
  const largest = new Map(names.map((name) => [name, largestAmongSources(candidates, signals[name])]));
  const shares = (index: number) =>
    names.map((name) => {
      const value = Math.min(1, signals[name][index]! / largest.get(name)!);
      return { name, share: (value * signalWeights[name]) / total };
    });
  const reasonsOf = (index: number): string[] => {
    const found = shares(index).filter(({ share }) => share > 0.02);
    return found
      .sort((a, b) => b.share - a.share)
      .map(({ name }) => {
        switch (name) {
          case "lexical":
            return `contains ${wordsOf(index).slice(0, 3).join(", ")}`;
          case "path":
            return "its path has the issue's words";
          case "definitions":
            return "defines what the issue names";
          case "similar":
            return `changed by ${describe(history.because(index)!)}`;
          case "activity":
            return "changed often or lately";
          case "named":
            return "named in the issue";
        }
      });
  };
  const wordsOf = (index: number) => lexical.best(index).flatMap((word) => query.texts.get(word) ?? []);
  return candidates
    .map(({ kind }, index) => ({
      index,
      score: shares(index).reduce((sum, { share }) => sum + share, 0) * kindWeights[kind],
    }))
    .filter(({ score }) => score > 0)
    .sort((a, b) => b.score - a.score || a.index - b.index)
    .slice(0, limit)
    .map(({ index, score }) => {
      const { path, kind, blobSha, sizeBytes } = candidates[index]!;
      return { path, score, kind, blobSha, sizeBytes, words: wordsOf(index), reasons: reasonsOf(index) };
    });
}

/** Other kinds do not set the measure: a changelog holds every word, and nobody looks for it. */
function largestAmongSources(candidates: readonly Candidate[], values: Float64Array): number {
  let [source, any] = [0, 0];
  candidates.forEach(({ kind }, index) => {
    any = Math.max(any, values[index]!);
    if (kind === "source") source = Math.max(source, values[index]!);
  });
  return source || any || 1;
}

function describe({ sha, message }: PastCommit): string {
  return `${sha.slice(0, 8)} "${message.split("\n", 1)[0]!.slice(0, 72)}"`;
}
