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
  /** The commit that the tree was reset to. */
  readonly baseSha: string;
  head(): Promise<string>;
  /** Commits whatever differs from `head()`; undefined when nothing does. Refuses nested `.git`. Nothing leaves the machine. */
  commit(message: string, author: Person, committer: Person): Promise<string | undefined>;
  /** Makes tree and head equal to this commit, which must be known here. */
  reset(sha: string): Promise<void>;
  /** Merges a commit of the base branch into head; conflicted paths stay marked in the tree. */
  merge(sha: string): Promise<{ kind: "merged"; sha: string } | { kind: "up-to-date" } | { kind: "conflict"; paths: string[] }>;
  /** One commit on top of `ontoSha` with the tree of head (squash); returns its SHA. `parents` adds merge parents; with `date` the same call makes the same commit. */
  squash(ontoSha: string, message: string, author: Person, committer: Person, parents?: string[], date?: Date): Promise<string>;
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

export type PushResult =
  | { kind: "pushed" }
  | { kind: "already-there" }
  | { kind: "moved"; actualSha: string | undefined }
  | { kind: "refused"; message: string };

export interface Workspaces {
  /** Brings the mirror up to date with `branch` and pins its commit; refuses above the disk watermark with a UserFacingError. */
  fetch(repository: RepositoryRef, refs: string[], credential: Credential, signal: AbortSignal): Promise<Record<string, string | undefined>>;
  facts(repository: RepositoryRef, sha: string): Promise<Facts>;
  /** Reads one file at a commit from the mirror without a tree. */
  readFile(repository: RepositoryRef, sha: string, path: string): Promise<string | undefined>;
  source(repository: RepositoryRef, sha: string): Promise<SourceTree>;
  /**
   * The job's tree at `commitSha`; does nothing when it is there already. `bundle` is read only when the commit is
   * not in the mirror (another machine, a lost disk).
   */
  open(
    repository: RepositoryRef,
    runKey: string,
    commit: { baseSha: string; sha: string; bundle?: () => Promise<Buffer | undefined> },
    signal: AbortSignal,
  ): Promise<Job>;
  /** Removes the job's tree however it ended; harmless when there is none. */
  remove(runKey: string): Promise<void>;
  /** Removes leftovers older than 24 h; returns how many. */
  sweep(): Promise<number>;
  /** Deletes mirrors, trees and caches of a repository (P15). */
  forget(repositoryId: number): Promise<void>;
  /**
   * An environment cache directory (rule 14) for this key: what setup installed, copied or linked into the job's tree.
   * `restore` returns false when there is none yet; `save` keeps the named paths of the tree.
   */
  environments: {
    restore(key: string, job: Job, paths: string[]): Promise<boolean>;
    save(key: string, job: Job, paths: string[], repositoryId: number): Promise<void>;
  };
}
