import type { PastCommit, SourceTree, TreeFile } from "../../workspace/source-tree.ts";
import { type Candidate, readCandidates } from "./candidates.ts";
import { type CachedContext, loadContext, saveContext } from "./context-cache.ts";
import { emptyFacts, largestIndexedBytes, readFacts } from "./file-facts.ts";
import type { FileKind } from "./file-kind.ts";
import { historyScores } from "./history.ts";
import { lexicalScores } from "./lexical.ts";
import { namedPathScores } from "./named-paths.ts";
import { importScores } from "./neighbours.ts";
import { type Issue, readQuery } from "./query.ts";
import { createTestFinder } from "./related-tests.ts";

/** What is ranked, and for what; it can be posted to another thread. */
export interface RankRequest {
  /** A bare repository or a git dir. */
  gitDir: string;
  /** A full object name. */
  commit: string;
  issue: Issue;
  /** Makes a second selection in the same repository fast; it must belong to that repository and trust level alone. Without it everything is read anew. */
  cacheDirectory?: string | undefined;
  /** At most so many files, 50 by default. */
  limit?: number | undefined;
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
  /** Paths of the tests that belong to a source file, for the best ones; a change edits these too. */
  tests: string[];
  /** In words for a person, the strongest first. */
  reasons: string[];
}

const defaultLimit = 50;
const historyBounds = { maxCommits: 3000, timeoutMilliseconds: 10_000 };

/** What each signal is worth. docs/context-selection.md says how the weights were chosen and how little they matter. */
const signalWeights = {
  lexical: 1,
  path: 0.3,
  definitions: 0.2,
  similar: 0.6,
  activity: 0.2,
  named: 0.6,
  together: 0.1,
  imports: 0.03,
};
type SignalName = keyof typeof signalWeights;
const totalWeight = Object.values(signalWeights).reduce((sum, weight) => sum + weight, 0);

/** Files that are right already pull up their neighbours: so many of the best do, among so many of the next. */
const seedCount = 5;
const poolSize = 200;

/** The best sources bring their tests along, which a change edits too. */
const sourcesWithTests = 10;
const testShare = 0.5;

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

/** Programs that maintain the repository are sources too, but an issue is about what they maintain. */
const upkeepWeight = 0.5;
const upkeepFolder = /^(?:scripts?|tools?|hack|contrib|ci|etc|maint(?:enance)?|dev[-_]?tools?|release)\//i;

function isUpkeep(path: string): boolean {
  return upkeepFolder.test(path);
}

/**
 * Ranks the files of a commit by how likely a change for this issue touches them, best first, ties by path. The
 * same tree and issue give the same answer, with a cache or without. Only the commit and its ancestors are read.
 * It occupies its thread for seconds in a large repository: `selectContext` runs it in one of its own.
 */
export async function rankFiles(
  tree: SourceTree,
  { issue, cacheDirectory, limit = defaultLimit }: Omit<RankRequest, "gitDir" | "commit">,
  signal?: AbortSignal,
): Promise<Ranked[]> {
  signal?.throwIfAborted();
  const cached = await loadContext(cacheDirectory);
  const [files, commits] = await Promise.all([
    tree.files({ withSizes: false, signal }),
    tree.history({ ...historyBounds, known: cached.commitFiles, signal }),
  ]);
  const context = await readContext(tree, files, commits, cached, signal);
  if (context !== cached && cacheDirectory) await saveContext(cacheDirectory, context);
  return rank(readCandidates(files, context.facts), commits, issue, limit);
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
  const scores = new ScoreSheet(candidates);
  scores.add("lexical", lexical.all);
  scores.add("path", lexical.path);
  scores.add("definitions", lexical.definitions);
  // Commits that say much the same of one file are less than as many pieces of evidence.
  scores.add(
    "similar",
    history.similar.map((value) => value ** 0.75),
  );
  scores.add("activity", history.activity.map(Math.log1p));
  scores.add("named", namedPathScores(candidates, query));
  const first = scores.best("source", poolSize);
  const seeds = new Map(first.slice(0, seedCount).map((index) => [index, scores.total[index]!]));
  scores.add("together", history.together(seeds));
  scores.add("imports", importScores(candidates, seeds, first));

  const testsOf = createTestFinder(candidates, history.together);
  const tests = new Map<number, string[]>();
  const testedBy = new Map<number, string>();
  for (const source of scores.best("source", sourcesWithTests)) {
    const found = testsOf(source);
    tests.set(
      source,
      found.map(({ index }) => candidates[index]!.path),
    );
    for (const { index, certainty } of found) {
      const lifted = scores.total[source]! * testShare * certainty;
      if (lifted <= scores.total[index]!) continue;
      scores.total[index] = lifted;
      testedBy.set(index, candidates[source]!.path);
    }
  }

  const words = (index: number) => lexical.best(index).flatMap((word) => query.texts.get(word) ?? []);
  const reasonOf: Record<SignalName, (index: number) => string> = {
    lexical: (index) => `contains ${words(index).slice(0, 3).join(", ")}`,
    path: () => "its path has the issue's words",
    definitions: () => "defines what the issue names",
    similar: (index) => `changed by ${describe(history.because(index)!)}`,
    activity: () => "changed often or lately",
    named: () => "named in the issue",
    together: () => "changed together with files above",
    imports: () => "one import away from files above",
  };
  return scores.best(undefined, limit).map((index) => {
    const { path, kind, blobSha, sizeBytes } = candidates[index]!;
    const tested = testedBy.get(index);
    const reasons = scores.strongest(index).map((name) => reasonOf[name](index));
    return {
      path,
      score: scores.total[index]!,
      kind,
      blobSha,
      sizeBytes,
      words: words(index),
      tests: tests.get(index) ?? [],
      reasons: tested === undefined ? reasons : [`tests ${tested}`, ...reasons],
    };
  });
}

/** Adds up signals of different measures: each is divided by its largest value among source files, then weighted. */
class ScoreSheet {
  readonly total: Float64Array;
  readonly #candidates: readonly Candidate[];
  readonly #weights: Float64Array;
  readonly #shares = new Map<SignalName, Float64Array>();

  constructor(candidates: readonly Candidate[]) {
    this.#candidates = candidates;
    this.total = new Float64Array(candidates.length);
    this.#weights = Float64Array.from(
      candidates,
      ({ path, kind }) => kindWeights[kind] * (isUpkeep(path) ? upkeepWeight : 1),
    );
  }

  add(name: SignalName, values: Float64Array): void {
    const largest = this.#largestAmongSources(values);
    const shares = values.map((value) => (Math.min(1, value / largest) * signalWeights[name]) / totalWeight);
    this.#shares.set(name, shares);
    shares.forEach((share, index) => {
      this.total[index]! += share * this.#weights[index]!;
    });
  }

  /** Indices of the files with a score, the best first, ties in the order of paths. */
  best(kind: FileKind | undefined, limit: number): number[] {
    const { total } = this;
    let found: number[] = [];
    this.#candidates.forEach((candidate, index) => {
      if (total[index]! > 0 && (kind === undefined || candidate.kind === kind)) found.push(index);
    });
    if (found.length > limit) {
      // Numbers alone sort ten times as fast: they say from which score on a file can be among the best.
      const enough = Float64Array.from(found, (index) => total[index]!)
        .sort()
        .at(-Math.max(1, limit))!;
      found = found.filter((index) => total[index]! >= enough);
    }
    return found.sort((a, b) => total[b]! - total[a]! || a - b).slice(0, limit);
  }

  /** The signals that gave a file most of its score, the strongest first. */
  strongest(index: number): SignalName[] {
    return [...this.#shares]
      .map(([name, shares]) => ({ name, share: shares[index]! }))
      .filter(({ share }) => share > 0.005)
      .sort((a, b) => b.share - a.share)
      .map(({ name }) => name);
  }

  /** Other kinds do not set the measure: a changelog holds every word, and nobody looks for it. */
  #largestAmongSources(values: Float64Array): number {
    let [source, any] = [0, 0];
    this.#candidates.forEach(({ kind }, index) => {
      any = Math.max(any, values[index]!);
      if (kind === "source") source = Math.max(source, values[index]!);
    });
    return source || any || 1;
  }
}

function describe({ sha, message }: PastCommit): string {
  return `${sha.slice(0, 8)} "${message.split("\n", 1)[0]!.slice(0, 72)}"`;
}
