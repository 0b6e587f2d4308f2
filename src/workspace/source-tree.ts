import { spawn } from "node:child_process";
import { once } from "node:events";
import type { Writable } from "node:stream";
import { gitEnvironment } from "./git-environment.ts";

/** One file of a commit. `mode` is git's (100644, 100755, 120000 for a link, 160000 for a submodule). */
export interface TreeFile {
  path: string;
  blobSha: string;
  /** 0 where git cannot tell it (submodules, blobs that this clone does not have), and without `withSizes`. */
  sizeBytes: number;
  mode: string;
}

export interface Blob {
  blobSha: string;
  content: Buffer;
}

/** One ancestor of the commit, merges left out. `files` are the paths it changed, a renamed file under both names. */
export interface PastCommit {
  sha: string;
  atSeconds: number;
  message: string;
  files: readonly string[];
}

export interface HistoryBounds {
  /** The newest so many commits are looked at. */
  maxCommits: number;
  /** A guard against pathological repositories: what was read until then is returned. */
  timeoutMilliseconds: number;
  /** Files of commits which the caller already knows: these are not asked from git again. */
  known?: ReadonlyMap<string, readonly string[]>;
  signal?: AbortSignal | undefined;
}

/** The files of one commit in a bare repository or a git dir, read without a work tree. */
export interface SourceTree {
  readonly gitDir: string;
  readonly commit: string;
  /** All entries of the commit, submodules and links included, in git's order. Sizes take ten times as long as names, and all blobs must be there. */
  files(options?: { withSizes?: boolean; signal?: AbortSignal | undefined }): Promise<readonly TreeFile[]>;
  /** The size of each blob, in the order asked for; those which the clone does not have are left out. */
  sizes(blobShas: Iterable<string>, signal?: AbortSignal): AsyncIterable<{ blobSha: string; sizeBytes: number }>;
  /**
   * Blobs in the order asked for; those which the clone does not have are left out, but a partial clone (which could
   * fetch them, and must not) makes this throw: ask `sizes` first.
   */
  readBlobs(blobShas: Iterable<string> | AsyncIterable<string>, signal?: AbortSignal): AsyncIterable<Blob>;
  /** The commit itself and its ancestors, newest first. A shallow or blobless clone yields what it has. */
  history(bounds: HistoryBounds): Promise<readonly PastCommit[]>;
}

/**
 * Opens the tree of `commit` (a full object name) in `gitDir`. Nothing is read until a method is called; these
 * throw with git's own words when the commit does not exist.
 */
export function openSourceTree(gitDir: string, commit: string): SourceTree {
  if (!/^(?:[0-9a-f]{40}|[0-9a-f]{64})$/.test(commit)) {
    throw new TypeError(`Cannot open a source tree: the commit must be a full object name, but is ${commit}`);
  }
  return {
    gitDir,
    commit,
    files: ({ withSizes = true, signal } = {}) => listFiles(gitDir, commit, withSizes, signal),
    sizes: (blobShas, signal) => readSizes(gitDir, blobShas, signal),
    readBlobs: (blobShas, signal) => readBlobs(gitDir, blobShas, signal),
    history: (bounds) => readHistory(gitDir, commit, bounds),
  };
}

/** A commit never changes: the newest listings are kept, because several steps of a run ask for the same one. */
const listings = new Map<string, Promise<readonly TreeFile[]>>();
const maxListings = 8;

function listFiles(
  gitDir: string,
  commit: string,
  withSizes: boolean,
  signal?: AbortSignal,
): Promise<readonly TreeFile[]> {
  const key = `${gitDir}\0${commit}\0${withSizes}`;
  const known = listings.get(key);
  if (known !== undefined) return unlessAborted(known, signal);
  const listing = readListing(gitDir, commit, withSizes);
  // What is not here yet must be asked again.
  listing.catch(() => listings.delete(key));
  listings.set(key, listing);
  for (const oldest of [...listings.keys()].slice(0, -maxListings)) listings.delete(oldest);
  return unlessAborted(listing, signal);
}

/** Others may wait for the same promise: only this wait ends when the signal aborts, with its reason. */
async function unlessAborted<T>(shared: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  signal?.throwIfAborted();
  const aborted = Promise.withResolvers<never>();
  const abort = () => aborted.reject(signal?.reason);
  signal?.addEventListener("abort", abort, { once: true });
  try {
    return await Promise.race([shared, aborted.promise]);
  } finally {
    signal?.removeEventListener("abort", abort);
  }
}

async function readListing(gitDir: string, commit: string, withSizes: boolean): Promise<readonly TreeFile[]> {
  const long = withSizes ? ["-l"] : [];
  const git = startGit(gitDir, ["ls-tree", "-r", ...long, "-z", "--full-tree", commit]);
  git.stdin.end();
  const files: TreeFile[] = [];
  for await (const record of splitAtNul(git.stdout)) {
    const tab = record.indexOf("\t");
    const [mode, , blobSha, size] = record.slice(0, tab).split(/ +/);
    const sizeBytes = withSizes ? Number.parseInt(size!, 10) || 0 : 0;
    files.push({ path: record.slice(tab + 1), blobSha: blobSha!, sizeBytes, mode: mode! });
  }
  await git.finished;
  return files;
}

/** In a partial clone git gives up at the first missing blob; it is started again behind it so many times. */
const maxRestarts = 50;

async function* readSizes(gitDir: string, blobShas: Iterable<string>, signal?: AbortSignal) {
  let asked = [...blobShas];
  for (let restarts = 0; asked.length > 0 && restarts < maxRestarts; restarts++) {
    const git = startGit(gitDir, ["cat-file", "--batch-check", "--buffer"], signal);
    const written = writeLines(git.stdin, asked);
    let answered = 0;
    try {
      const reader = new ByteReader(git.stdout);
      for (let line = await reader.line(); line !== undefined; line = await reader.line()) {
        answered++;
        const [blobSha, type, size] = line.split(" ");
        if (type === "blob") yield { blobSha: blobSha!, sizeBytes: Number(size) };
      }
      await written;
      await git.finished;
      return;
    } catch (error) {
      if (!/could not fetch \w+ from promisor remote/.test(String(error))) throw error;
      asked = asked.slice(answered + 1);
    } finally {
      git.stop();
    }
  }
}

/** The format of `git cat-file --batch`: https://git-scm.com/docs/git-cat-file#_batch_output */
async function* readBlobs(
  gitDir: string,
  blobShas: Iterable<string> | AsyncIterable<string>,
  signal?: AbortSignal,
): AsyncGenerator<Blob> {
  const git = startGit(gitDir, ["cat-file", "--batch", "--buffer"], signal);
  const written = writeLines(git.stdin, blobShas);
  try {
    const reader = new ByteReader(git.stdout);
    for (let header = await reader.line(); header !== undefined; header = await reader.line()) {
      const [blobSha, type, size] = header.split(" ");
      if (type === "missing") continue;
      const content = await reader.bytes(Number(size));
      await reader.bytes(1);
      if (type === "blob") yield { blobSha: blobSha!, content };
    }
    await written;
    await git.finished;
  } finally {
    git.stop();
  }
}

async function readHistory(gitDir: string, commit: string, bounds: HistoryBounds): Promise<PastCommit[]> {
  const timeout = AbortSignal.timeout(bounds.timeoutMilliseconds);
  const signal = bounds.signal ? AbortSignal.any([bounds.signal, timeout]) : timeout;
  const commits: Omit<PastCommit, "files">[] = [];
  const files = new Map<string, readonly string[]>();
  try {
    for await (const one of logCommits(gitDir, commit, bounds.maxCommits, signal)) commits.push(one);
    const unknown = commits.filter(({ sha }) => !bounds.known?.has(sha)).map(({ sha }) => sha);
    if (unknown.length > 0) {
      for await (const [sha, paths] of changedFiles(gitDir, unknown, signal)) files.set(sha, paths);
      // Git prints nothing for a commit that changes nothing.
      for (const sha of unknown) if (!files.has(sha)) files.set(sha, []);
    }
  } catch (error) {
    // A clone may lack old trees, and a huge history may take too long: both leave a shorter history, not a failure.
    bounds.signal?.throwIfAborted();
    if (commits.length === 0 && !timeout.aborted) throw error;
  }
  return commits.flatMap((one) => {
    const changed = bounds.known?.get(one.sha) ?? files.get(one.sha);
    return changed ? [{ ...one, files: changed }] : [];
  });
}

async function* logCommits(gitDir: string, commit: string, maxCommits: number, signal: AbortSignal) {
  const format = "--format=%H%x00%ct%x00%B";
  const git = startGit(gitDir, ["log", "-z", "--no-merges", `--max-count=${maxCommits}`, format, commit, "--"], signal);
  git.stdin.end();
  let fields: string[] = [];
  for await (const field of splitAtNul(git.stdout)) {
    fields.push(field);
    if (fields.length < 3) continue;
    yield { sha: fields[0]!, atSeconds: Number(fields[1]), message: fields[2]! };
    fields = [];
  }
  await git.finished;
}

async function* changedFiles(gitDir: string, shas: readonly string[], signal: AbortSignal) {
  const names = ["diff-tree", "--stdin", "--root", "-r", "-z", "--no-renames", "--name-only", "--no-ext-diff"];
  const git = startGit(gitDir, names, signal);
  const written = writeLines(git.stdin, shas);
  const asked = new Set(shas);
  let current: [string, string[]] | undefined;
  for await (const field of splitAtNul(git.stdout)) {
    // With -z, diff-tree puts the commit's name in front of its paths, each ended by NUL.
    if (asked.has(field)) {
      if (current) yield current;
      current = [field, []];
    } else {
      current?.[1].push(field);
    }
  }
  await written;
  await git.finished;
  if (current) yield current;
}

/** Trusted git (security.md M2) that never fetches: a missing object stays missing. */
function startGit(gitDir: string, args: readonly string[], signal?: AbortSignal) {
  const environment = { ...gitEnvironment([["protocol.allow", "never"]]), GIT_NO_LAZY_FETCH: "1" };
  const child = spawn("git", ["--git-dir", gitDir, "--no-replace-objects", ...args], {
    env: environment,
    stdio: ["pipe", "pipe", "pipe"],
    ...(signal ? { signal } : {}),
  });
  let complaint = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    complaint = (complaint + text).slice(-2000);
  });
  // A reader that stops early closes the pipe; the writing side then sees EPIPE, which says nothing of interest.
  child.stdin.on("error", () => {});
  const finished = new Promise<void>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code) => {
      if (code === 0) resolve();
      else reject(new Error(`Cannot read ${gitDir}: git ${args[0]} ended with ${code}: ${complaint.trim()}`));
    });
  });
  finished.catch(() => {});
  return { stdin: child.stdin, stdout: child.stdout, finished, stop: () => void child.kill() };
}

/** Always ends the stream, so that git ends too when the lines cannot be had. */
function writeLines(stream: Writable, lines: Iterable<string> | AsyncIterable<string>): Promise<void> {
  const written = (async () => {
    try {
      let batch = "";
      for await (const line of lines) {
        batch += `${line}\n`;
        if (batch.length < 16_384) continue;
        if (!stream.write(batch)) await Promise.race([once(stream, "drain"), once(stream, "close")]);
        batch = "";
      }
      if (batch !== "") stream.write(batch);
    } finally {
      stream.end();
    }
  })();
  written.catch(() => {});
  return written;
}

async function* splitAtNul(stream: AsyncIterable<Buffer>): AsyncGenerator<string> {
  let rest: Buffer = Buffer.alloc(0);
  for await (const chunk of stream) {
    const bytes = rest.length > 0 ? Buffer.concat([rest, chunk]) : chunk;
    let start = 0;
    for (let end = bytes.indexOf(0); end >= 0; end = bytes.indexOf(0, start)) {
      yield bytes.toString("utf8", start, end);
      start = end + 1;
    }
    rest = bytes.subarray(start);
  }
  if (rest.length > 0) yield rest.toString("utf8");
}

/** Takes lines and counted bytes from a stream, without copying what lies within one chunk. */
class ByteReader {
  readonly #chunks: AsyncIterator<Buffer>;
  #current: Buffer = Buffer.alloc(0);

  constructor(stream: AsyncIterable<Buffer>) {
    this.#chunks = stream[Symbol.asyncIterator]();
  }

  async line(): Promise<string | undefined> {
    let end = this.#current.indexOf(10);
    while (end < 0) {
      const next = await this.#chunks.next();
      if (next.done) return undefined;
      this.#current = Buffer.concat([this.#current, next.value]);
      end = this.#current.indexOf(10);
    }
    const line = this.#current.toString("latin1", 0, end);
    this.#current = this.#current.subarray(end + 1);
    return line;
  }

  async bytes(count: number): Promise<Buffer> {
    if (this.#current.length < count) {
      const parts = [this.#current];
      let length = this.#current.length;
      while (length < count) {
        const next = await this.#chunks.next();
        if (next.done) throw new Error(`Cannot read a blob: ${count} bytes were announced, ${length} came`);
        parts.push(next.value);
        length += next.value.length;
      }
      this.#current = Buffer.concat(parts);
    }
    const taken = this.#current.subarray(0, count);
    this.#current = this.#current.subarray(count);
    return taken;
  }
}
