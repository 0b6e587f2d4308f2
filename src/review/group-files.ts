import { fileKind } from "../agent/context/file-kind.ts";
import { isLockfile } from "../policy/dependencies.ts";
import { compare } from "./finding.ts";

/** A changed file and what it takes to show it to a reviewer. */
export interface ReviewableFile {
  path: string;
  binary: boolean;
  /** Estimated tokens of its diff with the code around it. */
  tokens: number;
}

export const leftOutReasons = ["path-filter", "binary", "generated", "too-large", "budget"] as const;
export type LeftOutReason = (typeof leftOutReasons)[number];

export interface LeftOutFile {
  path: string;
  reason: LeftOutReason;
}

export interface FileGroups {
  groups: { paths: string[]; tokens: number }[];
  leftOut: LeftOutFile[];
}

export interface GroupLimits {
  /** Of one group, which one reviewer reads in one request. */
  tokensPerGroup: number;
  maxGroups: number;
  /** Of one file; never more than a group's. */
  tokensPerFile: number;
  /** Whether the repository's path filters let a file be reviewed. */
  isWanted(path: string): boolean;
}

/**
 * Splits a pull request into groups that fit the budget. A test goes with the source that it is named after, files of one
 * folder with one another where there is room; sources come before settings and prose, so that these are left out
 * first. Paths are sorted; the result does not depend on the order given.
 */
export function groupFiles(files: readonly ReviewableFile[], limits: GroupLimits): FileGroups {
  const leftOut: LeftOutFile[] = [];
  const wanted: ReviewableFile[] = [];
  for (const file of files.toSorted((a, b) => compare(a.path, b.path))) {
    const reason = reasonAgainst(file, limits);
    if (reason === undefined) wanted.push(file);
    else leftOut.push({ path: file.path, reason });
  }
  const groups: Group[] = [];
  for (const cluster of clustersOf(wanted)) {
    if (place(cluster, groups, limits)) continue;
    // Together they are too many for any group; each alone may not be.
    for (const file of cluster) if (!place([file], groups, limits)) leftOut.push({ path: file.path, reason: "budget" });
  }
  return {
    groups: groups.map(({ files, tokens }) => ({ paths: files.map(({ path }) => path).sort(compare), tokens })),
    leftOut: leftOut.sort((a, b) => compare(a.path, b.path)),
  };
}

/** Whether nothing that the repository wants reviewed was left out: only then may a check be green. */
export function lookedAtEverything(leftOut: readonly LeftOutFile[]): boolean {
  return leftOut.every(({ reason }) => reason === "path-filter");
}

interface Group {
  files: ReviewableFile[];
  tokens: number;
}

function reasonAgainst({ path, binary, tokens }: ReviewableFile, limits: GroupLimits): LeftOutReason | undefined {
  if (!limits.isWanted(path)) return "path-filter";
  if (binary) return "binary";
  const kind = fileKind(path);
  if (kind === "generated" || kind === "vendored" || isLockfile(path)) return "generated";
  return tokens > Math.min(limits.tokensPerFile, limits.tokensPerGroup) ? "too-large" : undefined;
}

const kinds = ["source", "test", "config", "other", "docs", "example"];

/** A source with its tests, everything else alone; in the order in which they get a place. */
function clustersOf(files: readonly ReviewableFile[]): ReviewableFile[][] {
  const sources = Map.groupBy(
    files.filter(({ path }) => fileKind(path) === "source"),
    ({ path }) => nameOf(path),
  );
  const clusters = new Map<string, ReviewableFile[]>(files.map((file) => [file.path, [file]]));
  for (const file of files) {
    if (fileKind(file.path) !== "test") continue;
    const source = nearest(sources.get(testedName(file.path)) ?? [], file.path);
    if (source === undefined) continue;
    clusters.get(source.path)!.push(file);
    clusters.delete(file.path);
  }
  const rank = ([first]: readonly ReviewableFile[]) => kinds.indexOf(fileKind(first!.path));
  return [...clusters.values()].sort((a, b) => rank(a) - rank(b) || compare(a[0]!.path, b[0]!.path));
}

/** The file whose folders the path has most in common with; the first of several. */
function nearest(files: readonly ReviewableFile[], path: string): ReviewableFile | undefined {
  let best: ReviewableFile | undefined;
  for (const file of files) if (best === undefined || common(file.path, path) > common(best.path, path)) best = file;
  return best;
}

/** Into the group with which it has most folders in common, or into a new one; false where it fits nowhere. */
function place(
  cluster: readonly ReviewableFile[],
  groups: Group[],
  { tokensPerGroup, maxGroups }: GroupLimits,
): boolean {
  const tokens = cluster.reduce((sum, file) => sum + file.tokens, 0);
  const near = (group: Group) => Math.max(...group.files.map(({ path }) => common(path, cluster[0]!.path)));
  let best: { group: Group; near: number } | undefined;
  for (const group of groups) {
    if (group.tokens + tokens > tokensPerGroup) continue;
    const candidate = { group, near: near(group) };
    if (best === undefined || candidate.near > best.near) best = candidate;
  }
  if (best === undefined) {
    if (groups.length >= maxGroups || tokens > tokensPerGroup) return false;
    groups.push({ files: [...cluster], tokens });
    return true;
  }
  best.group.files.push(...cluster);
  best.group.tokens += tokens;
  return true;
}

/** How many folders two paths share from the root. */
function common(a: string, b: string): number {
  const [left, right] = [a.split("/").slice(0, -1), b.split("/").slice(0, -1)];
  const differs = left.findIndex((part, at) => part !== right[at]);
  return differs < 0 ? left.length : differs;
}

function nameOf(path: string): string {
  return plain(path.slice(path.lastIndexOf("/") + 1).replace(/\..*$/, ""));
}

/** `body` for `body.test.ts`, `test_body.py` and `BodyTest.java`. */
function testedName(path: string): string {
  return plain(
    path
      .slice(path.lastIndexOf("/") + 1)
      .replace(/\.[^.]*$/, "")
      .replace(/^(?:tests?|spec)[._-]/i, "")
      .replace(/[._-](?:tests?|specs?|e2e|integration|unit)(?=[._-]|$)/gi, "")
      .replace(/(?:Tests?|Spec|TestCase|IT)$/, "")
      .replace(/\..*$/, ""),
  );
}

function plain(name: string): string {
  return name.toLowerCase().replace(/[^\p{L}\p{N}]/gu, "");
}
