import type { FileChange } from "../policy/change.ts";
import type { SourceTree } from "./source-tree.ts";

/** Which repository, and whose objects: a fork's never mix with the repository's own (security.md M14). */
export interface RepositoryRef {
  installationId: number;
  repositoryId: number;
  owner: string;
  repo: string;
  trust: "own" | "fork";
}

/** A token for git over HTTP, given to one call and kept nowhere. */
export type Credential = () => Promise<string>;

export interface Person {
  name: string;
  email: string;
}

/** Facts that decide whether the repository can be worked on. */
export interface Facts {
  baseSha: string;
  empty: boolean;
  files: number;
  bytes: number;
  submodules: string[];
  lfs: string[];
}

export interface Job {
  /** Writable tree without any `.git`; belongs to this job alone. */
  readonly tree: string;
  /** For commands: temporary files of this job. */
  readonly temporary: string;
  /** For commands: their HOME, with the package caches that setup filled. */
  readonly home: string;
  /** The commit that the tree was reset to. */
  readonly baseSha: string;
  head(): Promise<string>;
  /** Commits whatever differs from `head()`; undefined when nothing does. Refuses nested `.git`. Nothing leaves the machine. */
  commit(message: string, author: Person, committer: Person): Promise<string | undefined>;
  /** Makes tree and head equal to this commit, which must be known here. */
  reset(sha: string): Promise<void>;
  /**
   * Merges a commit of the base branch into head; conflicted paths stay marked in the tree. With a `credential`, history
   * that is not on this disk is fetched; without one a merge that needs it throws.
   */
  merge(sha: string, credential?: Credential): Promise<MergeResult>;
  /** One commit on top of `ontoSha` with the tree of head (squash); returns its SHA. `parents` adds merge parents; with `date` the same call makes the same commit. */
  squash(
    ontoSha: string,
    message: string,
    author: Person,
    committer: Person,
    parents?: string[],
    date?: Date,
  ): Promise<string>;
  /** Difference between two commits as the guard reads it. Binary and over-large texts are undefined. */
  changes(fromSha: string, toSha: string): Promise<FileChange[]>;
  /** Unified diff, capped in bytes. */
  diff(fromSha: string, toSha: string, maxBytes: number): Promise<{ text: string; truncated: boolean }>;
  /** Files changed in the tree since head, without committing. */
  dirty(): Promise<string[]>;
  /** Everything from the pinned base to `sha`, as a git bundle: work in progress for the blob store. */
  bundle(sha: string): Promise<Buffer>;
  source(sha: string): Promise<SourceTree>;
  readFile(sha: string, path: string): Promise<string | undefined>;
  /** Moves one branch with compare-and-set (`expectedSha` undefined: it must not exist). Call only inside `ctx.effect`. */
  push(branch: string, sha: string, expectedSha: string | undefined, credential: Credential): Promise<PushResult>;
}

export type MergeResult =
  | { kind: "merged"; sha: string }
  | { kind: "up-to-date" }
  | { kind: "conflict"; paths: string[] };

export type PushResult =
  | { kind: "pushed" }
  | { kind: "already-there" }
  | { kind: "moved"; actualSha: string | undefined }
  | { kind: "refused"; message: string };

/** What setup makes, relative to the job's tree and to its home. */
export interface EnvironmentPaths {
  tree: string[];
  home: string[];
}

export interface OpenCommit {
  baseSha: string;
  sha: string;
  bundle?: () => Promise<Buffer | undefined>;
  credential?: Credential;
  neverCommit?: readonly string[];
}

export interface Workspaces {
  /**
   * The commits that `refs` (branches by short name, other refs by full name, or full object names) stand for on the
   * server now, fetched to this disk; undefined where there is no such ref. Their history follows in the background.
   * Throws a UserFacingError when the disk is nearly full, the repository is too large, or the server refuses.
   */
  fetch(
    repository: RepositoryRef,
    refs: string[],
    credential: Credential,
    signal: AbortSignal,
  ): Promise<Record<string, string | undefined>>;
  /** Fetches the history of commits that are on the server, without files, and waits for it: what `fetch` does in the background. */
  fetchHistory(
    repository: RepositoryRef,
    shas: readonly string[],
    credential: Credential,
    signal: AbortSignal,
  ): Promise<void>;
  facts(repository: RepositoryRef, sha: string): Promise<Facts>;
  /** Reads one file at a commit from the mirror without a tree. */
  readFile(repository: RepositoryRef, sha: string, path: string): Promise<string | undefined>;
  source(repository: RepositoryRef, sha: string): Promise<SourceTree>;
  /**
   * The unified diff between two commits that were fetched, without a tree, cut in bytes at the end of a line, and the paths
   * of all files that differ.
   */
  diff(
    repository: RepositoryRef,
    fromSha: string,
    toSha: string,
    maxBytes: number,
    signal: AbortSignal,
  ): Promise<{ text: string; truncated: boolean; paths: string[] }>;
  /**
   * The job's tree at the commit `sha`; does nothing when it is there already. `bundle` is read only when the commit is
   * not on this disk (another machine, a lost disk). With a `credential`, pinned commits that are not on this disk are
   * fetched; without one they must have been. `neverCommit` names paths that `commit` leaves out even though no
   * `.gitignore` does. The signal also ends what the job does later.
   */
  open(repository: RepositoryRef, runKey: string, commit: OpenCommit, signal: AbortSignal): Promise<Job>;
  /** Removes the job's tree however it ended; harmless when there is none. */
  remove(runKey: string): Promise<void>;
  /** Removes trees and leftovers that were not opened for 24 h, and mirrors not used for 30 days; returns how many. */
  sweep(): Promise<number>;
  /** Deletes mirrors, trees and caches of a repository (P15). */
  forget(repositoryId: number): Promise<void>;
  /**
   * The environment cache (rule 14): what setup installed for this key. `restore` copies it into the job's tree and
   * home, and returns false when there is none yet; `save` keeps copies of the named paths, relative to the tree and to
   * the home. Neither links, so that no job can write into the cache; a fork's job saves nothing. From then on the
   * paths of the tree are never committed by this job.
   */
  environments: {
    restore(key: string, job: Job, paths: EnvironmentPaths): Promise<boolean>;
    save(key: string, job: Job, paths: EnvironmentPaths, repositoryId: number): Promise<void>;
  };
}
