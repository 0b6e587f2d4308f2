import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, dirname, join, resolve } from "node:path";
import { parseArgs, promisify } from "node:util";
import { largestIndexedBytes } from "../src/agent/context/file-facts.ts";
import { fileKind } from "../src/agent/context/file-kind.ts";
import { forgetSelections, selectContext } from "../src/agent/context/select-context.ts";
import { gitEnvironment } from "../src/workspace/git-environment.ts";
import { openSourceTree } from "../src/workspace/source-tree.ts";
import { type PlainDocument, plainBm25, plainDocument } from "./retrieval/bm25.ts";
import { findCases, type RetrievalCase } from "./retrieval/cases.ts";
import { writeLargeRepository } from "./retrieval/large-repository.ts";

/** One measured figure, printed as one line of JSON. A limit that there is not is null. */
export interface Figure {
  name: string;
  value: number;
  unit: string;
  baseline: number | null;
  ratio: number | null;
  limit: number | null;
  ratioLimit: number | null;
  ok: boolean;
  /** The repository measured; absent for pooled figures and for speed. */
  repo?: string;
  /** How many questions the mean is taken over. */
  cases?: number;
}

/** Newest cases of each repository. More change the means by little and the time by much. */
const defaultCases = 60;

const minSourceFiles = 12;
const cutoffs = [1, 5, 10] as const;

/** Quality on the histories of `repositories` (any git clones), each and pooled, beside plain BM25 in the same run. */
export async function retrievalFigures(repositories: readonly string[], casesEach = defaultCases): Promise<Figure[]> {
  const figures: Figure[] = [];
  const pooled: Outcome[] = [];
  for (const repository of repositories) {
    const outcomes = await measureRepository(repository, casesEach);
    if (outcomes.length === 0)
      throw new Error(
        `Cannot measure retrieval in ${repository}: no commit of it says that it fixes an issue and fits the protocol`,
      );
    figures.push(...qualityFigures(outcomes, { repo: nameOf(repository) }));
    pooled.push(...outcomes);
  }
  if (pooled.length > 0) figures.push(...qualityFigures(pooled, {}));
  return figures;
}

/** Speed among 20,000 generated files: everything read for the first time, and again with the cache of a new process. */
export async function speedFigures(): Promise<Figure[]> {
  const directory = await mkdtemp(join(tmpdir(), "millwright-retrieval-"));
  try {
    const { gitDir, commit, issue } = await writeLargeRepository(directory, 20_000);
    const run = async () => {
      forgetSelections();
      const started = performance.now();
      await selectContext({ tree: openSourceTree(gitDir, commit), issue, cacheDirectory: join(directory, "cache") });
      return (performance.now() - started) / 1000;
    };
    const cold = await run();
    const warm = await run();
    return [speedFigure("retrieval.cold", cold, 5), speedFigure("retrieval.warm", warm, 1)];
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** `--repo DIR` (any number), `--cases N` for each. Prints one figure a line; resolves to whether all are ok. */
export async function main(args: readonly string[]): Promise<boolean> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      repo: { type: "string", multiple: true, default: [] },
      cases: { type: "string", default: String(defaultCases) },
    },
  });
  const cases = Number(values.cases);
  if (!Number.isSafeInteger(cases) || cases < 1)
    throw new RangeError(`--cases must be a whole number above 0, but is ${values.cases}`);
  const figures = [...(await speedFigures()), ...(await retrievalFigures(values.repo, cases))];
  for (const figure of figures) console.log(JSON.stringify(figure));
  return figures.every(({ ok }) => ok);
}

interface Measures {
  recall: readonly number[];
  reciprocalRank: number;
}

interface Outcome {
  ours: Measures;
  baseline: Measures;
}

async function measureRepository(repository: string, casesEach: number): Promise<Outcome[]> {
  const gitDir = await gitDirOf(repository);
  const directory = await mkdtemp(join(tmpdir(), "millwright-retrieval-"));
  try {
    const documents = new Map<string, PlainDocument>();
    const outcomes: Outcome[] = [];
    for (const one of await findCases(gitDir, casesEach)) {
      const outcome = await measureCase(gitDir, one, directory, documents);
      if (outcome) outcomes.push(outcome);
    }
    return outcomes;
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** Both rank the source files of the parent's tree; what comes after the commit is never read. */
async function measureCase(
  gitDir: string,
  { parent, title, body, relevant }: RetrievalCase,
  cacheDirectory: string,
  documents: Map<string, PlainDocument>,
): Promise<Outcome | undefined> {
  const tree = openSourceTree(gitDir, parent);
  const sources = (await tree.files()).filter(
    ({ path, mode }) => mode.startsWith("100") && fileKind(path) === "source",
  );
  if (sources.length < minSourceFiles) return undefined;
  const unread = sources.filter(
    ({ blobSha, sizeBytes }) => !documents.has(blobSha) && sizeBytes <= largestIndexedBytes,
  );
  for await (const { blobSha, content } of tree.readBlobs(new Set(unread.map(({ blobSha }) => blobSha)))) {
    documents.set(blobSha, plainDocument(content));
  }
  const empty = { counts: new Map(), length: 0 };
  const files = sources.map(({ path, blobSha }) => ({ path, document: documents.get(blobSha) ?? empty }));
  const known = new Set(sources.map(({ path }) => path));
  const ranked = await selectContext({ tree, issue: { title, body }, cacheDirectory, limit: Number.POSITIVE_INFINITY });
  const ours = ranked.map(({ path }) => path).filter((path) => known.has(path));
  return {
    ours: measure(ours, relevant),
    baseline: measure(plainBm25(files, `${title}\n${body}`), relevant),
  };
}

export function measure(ranked: readonly string[], relevant: readonly string[]): Measures {
  const first = ranked.findIndex((path) => relevant.includes(path));
  return {
    recall: cutoffs.map((k) => relevant.filter((path) => ranked.slice(0, k).includes(path)).length / relevant.length),
    reciprocalRank: first < 0 ? 0 : 1 / (first + 1),
  };
}

function qualityFigures(outcomes: readonly Outcome[], { repo }: { repo?: string }): Figure[] {
  const mean = (of: (outcome: Outcome) => number) => outcomes.reduce((sum, one) => sum + of(one), 0) / outcomes.length;
  const figure = (name: string, value: number, baseline: number, limit: number | null): Figure => ({
    name,
    value: rounded(value),
    unit: "share",
    baseline: rounded(baseline),
    ratio: baseline > 0 ? rounded(value / baseline) : null,
    limit: limit === null ? null : rounded(limit),
    ratioLimit: null,
    // A repository has to be above its baseline, all together at their goal.
    ok: limit === null || (repo === undefined ? value >= limit : value > limit),
    ...(repo === undefined ? {} : { repo }),
    cases: outcomes.length,
  });
  const recall = cutoffs.map((k, index) => {
    const value = mean(({ ours }) => ours.recall[index]!);
    const baseline = mean((one) => one.baseline.recall[index]!);
    // Each repository: above BM25. All together: a third of what BM25 misses is found.
    const limit = k !== 10 ? null : repo === undefined ? baseline + (1 - baseline) / 3 : baseline;
    return figure(`retrieval.recall${k}`, value, baseline, limit);
  });
  const baseline = mean((one) => one.baseline.reciprocalRank);
  const reciprocalRank = mean(({ ours }) => ours.reciprocalRank);
  return [...recall, figure("retrieval.mrr", reciprocalRank, baseline, repo === undefined ? 0.72 : baseline)];
}

function speedFigure(name: string, seconds: number, limit: number): Figure {
  const value = rounded(seconds);
  return { name, value, unit: "s", baseline: null, ratio: null, limit, ratioLimit: null, ok: seconds <= limit };
}

function rounded(value: number): number {
  return Math.round(value * 10_000) / 10_000;
}

async function gitDirOf(repository: string): Promise<string> {
  const asked = resolve(repository);
  const { stdout } = await promisify(execFile)("git", ["-C", asked, "rev-parse", "--absolute-git-dir"], {
    env: gitEnvironment(),
  });
  return stdout.trim();
}

/** The clone's folder, or the one above where clones are all called `repo` or `.git`. */
function nameOf(repository: string): string {
  const path = resolve(repository);
  return ["repo", ".git"].includes(basename(path)) ? basename(dirname(path)) : basename(path);
}

if (import.meta.main) process.exitCode = (await main(process.argv.slice(2))) ? 0 : 1;
