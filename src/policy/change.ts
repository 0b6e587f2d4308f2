import type { Redactor } from "./redact.ts";

/** One changed file between two commits, as the workspace reads it from git. */
export interface FileChange {
  /** Path in the new tree (in the old tree when deleted), with `/`, as git stores it. */
  path: string;
  /** Path in the old tree when renamed. */
  previousPath?: string;
  status: "added" | "modified" | "deleted" | "renamed";
  kind: "file" | "symlink" | "submodule";
  /** Git's octal mode as text: `100644`, `100755`, `120000`, `160000`. */
  oldMode?: string;
  newMode?: string;
  /** Undefined when the side does not exist, is binary, or is too large. */
  oldText?: string;
  newText?: string;
  /** Size of the new side in bytes, of the old side when deleted. */
  sizeBytes: number;
  /** What a symbolic link points to, as stored. */
  symlinkTarget?: string;
}

/** Everything that is about to leave the machine. */
export interface Change {
  baseSha: string;
  headSha: string;
  branch: string;
  commits: { message: string; author?: string }[];
  files: FileChange[];
  /** What is about to be posted: title and body of the pull request, comments. */
  texts: { name: string; text: string }[];
  /** Paths that the person who asked named: a mode change on one of them was asked for. */
  requestedPaths?: string[];
  /** All paths at the base, if known: then a new path may not collide with one that is not changed either. */
  basePaths?: readonly string[];
}

export interface Finding {
  /** Name of the rule, for example `secret` or `test-removed`; docs/guard.md explains each. */
  rule: string;
  /** `block`: nothing is pushed. `draft`: the pull request is a draft. `note`: mentioned only. */
  severity: "block" | "draft" | "note";
  path?: string;
  /** Line in the new text, counted from 1; in the old text for what was removed. */
  line?: number;
  /** One sentence for a person; never contains a secret's value. */
  message: string;
}

export interface Verdict {
  decision: "pass" | "draft" | "block";
  findings: Finding[];
}

/** What the guard is told besides the change. */
export interface GuardPolicy {
  /** Further globs that a change may not touch (`guard.protectedPaths`). */
  protectedPaths: readonly string[];
  /** More changed files than this make a draft (`guard.maxFiles`). */
  maxFiles: number;
  /** More changed lines than this make a draft (`guard.maxLines`). */
  maxLines: number;
  /** Knows our own secrets by value. */
  redactor: Pick<Redactor, "contains">;
  /** Whether the repository is Millwright's own (product.md B21). */
  ownRepository: boolean;
}
