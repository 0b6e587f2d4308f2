import { spawn } from "node:child_process";
import { mkdir, writeFile } from "node:fs/promises";
import { devNull } from "node:os";
import { join } from "node:path";

export const ZERO_SHA = "0".repeat(40);

/** Environment in which the machine's own git configuration has no say. */
export function gitEnvironment(extra: Record<string, string> = {}): NodeJS.ProcessEnv {
  return {
    PATH: process.env.PATH,
    HOME: devNull,
    LC_ALL: "C",
    GIT_CONFIG_GLOBAL: devNull,
    GIT_CONFIG_NOSYSTEM: "1",
    GIT_TERMINAL_PROMPT: "0",
    GIT_CONFIG_COUNT: "1",
    GIT_CONFIG_KEY_0: "safe.directory",
    GIT_CONFIG_VALUE_0: "*",
    ...extra,
  };
}

export class GitError extends Error {
  readonly code: number;
  constructor(args: string[], code: number, stderr: string) {
    super(`git ${args.join(" ")} ended with ${code}: ${stderr.trim()}`);
    this.name = "GitError";
    this.code = code;
  }
}

export interface GitOptions {
  input?: string | Buffer;
  env?: Record<string, string>;
  cwd?: string;
}

/** Runs git on a bare repository and returns standard output as bytes. Throws GitError when it does not end with 0. */
export async function gitBytes(gitDir: string, args: string[], options: GitOptions = {}): Promise<Buffer> {
  const child = spawn("git", [`--git-dir=${gitDir}`, ...args], {
    env: gitEnvironment(options.env),
    cwd: options.cwd,
    stdio: ["pipe", "pipe", "pipe"],
  });
  const out: Buffer[] = [];
  const err: Buffer[] = [];
  child.stdout.on("data", (chunk: Buffer) => out.push(chunk));
  child.stderr.on("data", (chunk: Buffer) => err.push(chunk));
  child.stdin.on("error", () => undefined); // git may end before it has read everything
  child.stdin.end(options.input);
  const code = await new Promise<number>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (status) => resolve(status ?? -1));
  });
  if (code !== 0) throw new GitError(args, code, Buffer.concat(err).toString());
  return Buffer.concat(out);
}

/** Like gitBytes, as text without the last newline. */
export async function git(gitDir: string, args: string[], options: GitOptions = {}): Promise<string> {
  return (await gitBytes(gitDir, args, options)).toString().replace(/\n$/, "");
}

/** Like git, but undefined where git says no. */
export async function tryGit(gitDir: string, args: string[], options: GitOptions = {}): Promise<string | undefined> {
  try {
    return await git(gitDir, args, options);
  } catch (error) {
    if (error instanceof GitError) return undefined;
    throw error;
  }
}

/** The full SHA of what a name points to, peeled to `type`; undefined where there is nothing. */
export function resolveObject(gitDir: string, name: string, type = "commit"): Promise<string | undefined> {
  return tryGit(gitDir, ["rev-parse", "--verify", "--quiet", "--end-of-options", `${name}^{${type}}`]);
}

export async function refSha(gitDir: string, ref: string): Promise<string | undefined> {
  const line = await tryGit(gitDir, ["for-each-ref", "--format=%(objectname) %(refname)", "--", ref]);
  return line
    ?.split("\n")
    .find((entry) => entry.endsWith(` ${ref}`))
    ?.split(" ")[0];
}

export interface Identity {
  name: string;
  email: string;
  date: Date;
}

export interface CommitInput {
  tree: string;
  parents: string[];
  message: string;
  author: Identity;
  committer: Identity;
}

/** Writes a commit object and returns its SHA. */
export function writeCommit(gitDir: string, commit: CommitInput): Promise<string> {
  const args = ["commit-tree", commit.tree, ...commit.parents.flatMap((parent) => ["-p", parent]), "-F", "-"];
  return git(gitDir, args, {
    input: commit.message,
    env: {
      GIT_AUTHOR_NAME: commit.author.name,
      GIT_AUTHOR_EMAIL: commit.author.email,
      GIT_AUTHOR_DATE: commit.author.date.toISOString(),
      GIT_COMMITTER_NAME: commit.committer.name,
      GIT_COMMITTER_EMAIL: commit.committer.email,
      GIT_COMMITTER_DATE: commit.committer.date.toISOString(),
    },
  });
}

export interface TreeChange {
  path: string;
  mode: string;
  /** Null deletes the path. */
  sha: string | null;
}

let indexCount = 0;

/** Writes a tree: `base` (a tree or commit, or nothing) with changes applied. Returns its SHA. */
export async function writeTree(gitDir: string, base: string | undefined, changes: TreeChange[]): Promise<string> {
  indexCount += 1;
  const env = { GIT_INDEX_FILE: join(gitDir, `index-${process.pid}-${indexCount}`) };
  await git(gitDir, base ? ["read-tree", base] : ["read-tree", "--empty"], { env });
  const removed = changes.filter((change) => change.sha === null);
  const lines = [
    ...removed.map((change) => `0 ${ZERO_SHA}\t${change.path}\0`),
    ...changes.filter((change) => change.sha !== null).map((c) => `${c.mode} ${c.sha}\t${c.path}\0`),
  ];
  await git(gitDir, ["update-index", "-z", "--add", "--replace", "--index-info"], { env, input: lines.join("") });
  return git(gitDir, ["write-tree"], { env });
}

export function writeBlob(gitDir: string, content: string | Buffer): Promise<string> {
  return git(gitDir, ["hash-object", "-w", "--stdin"], { input: content });
}

export interface CommitFacts {
  sha: string;
  tree: string;
  parents: string[];
  message: string;
  author: Identity;
  committer: Identity;
}

const COMMIT_FORMAT = "%H%x00%T%x00%P%x00%an%x00%ae%x00%aI%x00%cn%x00%ce%x00%cI%x00%B%x00%x01";

/** Facts of the commits that `git log` with these arguments lists, in its order. */
export async function readCommits(gitDir: string, args: string[]): Promise<CommitFacts[]> {
  const text = await git(gitDir, ["log", `--format=${COMMIT_FORMAT}`, ...args]);
  return text
    .split("\0\u0001")
    .map((entry) => entry.replace(/^\n/, ""))
    .filter((entry) => entry.length > 0)
    .map((entry) => {
      const [sha = "", tree = "", parents = "", an = "", ae = "", ad = "", cn = "", ce = "", cd = "", body = ""] =
        entry.split("\0");
      return {
        sha,
        tree,
        parents: parents.split(" ").filter(Boolean),
        message: body.replace(/\n+$/, ""),
        author: { name: an, email: ae, date: new Date(ad) },
        committer: { name: cn, email: ce, date: new Date(cd) },
      };
    });
}

export async function readCommit(gitDir: string, sha: string): Promise<CommitFacts> {
  const [commit] = await readCommits(gitDir, ["-1", sha]);
  if (!commit) throw new Error(`no commit ${sha} in ${gitDir}`);
  return commit;
}

export interface ChangedFile {
  path: string;
  previousPath: string | undefined;
  status: "added" | "removed" | "modified" | "renamed";
  additions: number;
  deletions: number;
  blobSha: string;
  patch: string | undefined;
}

/** Files that differ between two commits or trees, with unified patches (none for binary files). */
export async function diffFiles(gitDir: string, from: string, to: string): Promise<ChangedFile[]> {
  const base = ["diff", "-M", "--no-color", "--no-ext-diff", "--full-index"];
  const [raw, numstat, patches] = await Promise.all([
    git(gitDir, [...base, "--raw", "-z", "--abbrev=40", from, to]),
    git(gitDir, [...base, "--numstat", "-z", from, to]),
    git(gitDir, [...base, "--patch", from, to]),
  ]);
  const counts = readNumstat(numstat);
  const byPath = readPatches(patches);
  return readRaw(raw).map((file) => ({
    ...file,
    additions: counts.get(file.path)?.[0] ?? 0,
    deletions: counts.get(file.path)?.[1] ?? 0,
    patch: byPath.get(file.path),
  }));
}

function readRaw(text: string): Pick<ChangedFile, "path" | "previousPath" | "status" | "blobSha">[] {
  const parts = text.split("\0");
  const files: Pick<ChangedFile, "path" | "previousPath" | "status" | "blobSha">[] = [];
  let at = 0;
  while (at < parts.length && parts[at]?.startsWith(":")) {
    const [, , before = "", after = "", letter = ""] = (parts[at] ?? "").split(" ");
    const renamed = letter.startsWith("R") || letter.startsWith("C");
    const previousPath = renamed ? parts[at + 1] : undefined;
    const path = parts[at + (renamed ? 2 : 1)] ?? "";
    at += renamed ? 3 : 2;
    const status = renamed ? "renamed" : letter === "A" ? "added" : letter === "D" ? "removed" : "modified";
    files.push({ path, previousPath, status, blobSha: letter === "D" ? before : after });
  }
  return files;
}

function readNumstat(text: string): Map<string, [number, number]> {
  const counts = new Map<string, [number, number]>();
  const parts = text.split("\0");
  for (let at = 0; at < parts.length; at += 1) {
    const [added = "", deleted = "", path = ""] = (parts[at] ?? "").split("\t");
    if (deleted === "") continue;
    const name = path === "" ? (parts[at + 2] ?? "") : path;
    if (path === "") at += 2;
    counts.set(name, [Number(added) || 0, Number(deleted) || 0]);
  }
  return counts;
}

function readPatches(text: string): Map<string, string> {
  const patches = new Map<string, string>();
  for (const part of text.split(/^(?=diff --git )/m)) {
    const hunks = part.indexOf("\n@@ ");
    if (hunks < 0) continue;
    const header = part.slice(0, hunks);
    const path = /^\+\+\+ (?:"?b\/(.*?)"?)\t?$/m.exec(header)?.[1] ?? /^--- (?:"?a\/(.*?)"?)\t?$/m.exec(header)?.[1];
    if (path) patches.set(path, part.slice(hunks + 1).replace(/\n$/, ""));
  }
  return patches;
}

const UPDATE_HOOK = `#!/bin/sh
# Rules that GitHub applies to a push, per ref: $1 ref, $2 before, $3 after.
zero=${ZERO_SHA}
case "$1" in
  refs/pull/*) echo "deny updating a hidden ref" >&2; exit 1 ;;
esac
if [ -f "$GIT_DIR/protected-branches" ]; then
  while IFS=' ' read -r ref rule; do
    [ "$ref" = "$1" ] || continue
    if [ "$rule" = pull-request ]; then
      echo "GH006: Protected branch update failed for $1." >&2
      echo "Changes must be made through a pull request." >&2
      exit 1
    fi
    if [ "$3" = "$zero" ]; then echo "GH006: Cannot delete a protected branch" >&2; exit 1; fi
    if [ "$rule" = no-force ] && [ "$2" != "$zero" ] && ! git merge-base --is-ancestor "$2" "$3"; then
      echo "GH006: Protected branch update failed for $1." >&2
      echo "Cannot force-push to this branch" >&2
      exit 1
    fi
  done < "$GIT_DIR/protected-branches"
fi
if [ "$PUSH_WORKFLOWS" = refused ] && [ "$3" != "$zero" ]; then
  changed=$(git log --format= --name-only "$3" --not --all -- .github/workflows | head -n 1)
  if [ -n "$changed" ]; then
    echo "refusing to allow a GitHub App to create or update workflow \\\`$changed\\\` without \\\`workflows\\\` permission" >&2
    exit 1
  fi
fi
exit 0
`;

const POST_RECEIVE_HOOK = `#!/bin/sh
[ -n "$PUSH_RECORD" ] && cat >> "$PUSH_RECORD"
exit 0
`;

/** Makes a bare repository with the hooks that stand for GitHub's rules. */
export async function initBare(gitDir: string, defaultBranch: string): Promise<void> {
  await mkdir(gitDir, { recursive: true });
  await git(gitDir, ["init", "--quiet", "--bare", `--initial-branch=${defaultBranch}`, gitDir]);
  await configureBare(gitDir);
}

async function configureBare(gitDir: string): Promise<void> {
  const hooks = join(gitDir, "hooks");
  await mkdir(hooks, { recursive: true });
  await writeFile(join(hooks, "update"), UPDATE_HOOK, { mode: 0o755 });
  await writeFile(join(hooks, "post-receive"), POST_RECEIVE_HOOK, { mode: 0o755 });
  const settings = {
    "core.hooksPath": hooks,
    "core.logAllRefUpdates": "false",
    "http.receivepack": "true",
    "uploadpack.allowFilter": "true",
    "uploadpack.allowAnySHA1InWant": "true",
    "gc.auto": "0",
    "receive.autogc": "false",
  };
  const lines = Object.entries(settings).map(([key, value]) => {
    const [section, ...rest] = key.split(".");
    return `[${section}]\n\t${rest.join(".")} = ${JSON.stringify(value)}\n`;
  });
  await writeFile(join(gitDir, "config"), `[core]\n\trepositoryformatversion = 0\n\tbare = true\n${lines.join("")}`);
}
