import { randomUUID } from "node:crypto";
import { access, mkdir, readdir, readFile, rename, rm, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Logger } from "pino";
import { sizeOf, tooLarge } from "./disk.ts";
import { runGit, trustedGit } from "./git.ts";
import { makeGitDirectory, readShallow, writeShallow } from "./git-directory.ts";
import { withLock } from "./lock.ts";
import { explain, failureOf, type Remote, remoteOf } from "./remote.ts";
import type { Credential, RepositoryRef } from "./workspace.ts";

/** A commit that is here stays named here, so that the server is told what we have and a later fetch is small. */
const pins = join("refs", "millwright", "pins");
/** A first fetch of a large repository over a slow line still fits; `http.lowSpeedTime` ends those that stand still. */
const fetchTimeoutSeconds = 1_200;
/** How long a reader waits for history that is on its way before it goes on with what there is. */
const historyPatienceMilliseconds = 60_000;
const historyDelayMilliseconds = 3_000;
const sizeCheckMilliseconds = 250;

export interface MirrorOptions {
  directory: string;
  gitBaseUrl: string;
  maxRepositoryBytes: number;
  log: Pick<Logger, "warn" | "debug">;
}

/**
 * One repository's objects on this disk, in three git dirs: `tree` has single commits with all their files (a shallow
 * clone), `history` the commits and trees before them without files (a blobless clone), `view` nothing of its own but
 * both of them, for readers. Jobs borrow the objects of `tree`.
 */
export class Mirror {
  readonly treeDir: string;
  readonly historyDir: string;
  /** A tree that no job had yet, made when the job before ended. */
  readonly spareDir: string;
  readonly #directory: string;
  readonly #options: MirrorOptions;
  /** History that was asked for and not begun. */
  #wanted: (() => Promise<void>)[] = [];
  #history: Promise<void> = Promise.resolve();

  constructor(options: MirrorOptions) {
    this.#options = options;
    this.#directory = options.directory;
    this.treeDir = join(options.directory, "tree.git");
    this.historyDir = join(options.directory, "history.git");
    this.spareDir = join(options.directory, "spare");
  }

  /** Whether the commit was fetched here with all its files. */
  has(sha: string): Promise<boolean> {
    return exists(join(this.treeDir, pins, sha));
  }

  /**
   * Commits that branches, full ref names or full object names (`refs`) stand for on the server, fetched when they are
   * not here; undefined where the server has no such ref. History follows in the background (`fetchHistory`).
   */
  async fetch(
    repository: RepositoryRef,
    refs: readonly string[],
    credential: Credential,
    signal: AbortSignal,
  ): Promise<Record<string, string | undefined>> {
    const remote = remoteOf(this.#options.gitBaseUrl, repository, credential);
    try {
      await this.#makeReady(signal);
      const found =
        (await this.#fetchFirst(repository, remote, refs, signal)) ??
        (await this.#fetchNext(repository, remote, refs, signal));
      const shas = present(found);
      this.#wanted.push(async () => {
        try {
          await this.#fetchHistory(remote, shas, signal);
        } catch (error) {
          if (signal.aborted) return;
          this.#options.log.warn({ err: error, repositoryId: repository.repositoryId }, "history could not be fetched");
        }
      });
      // A tree comes first: `open` begins with history when it is done, or else a reader or this timer does.
      setTimeout(() => this.startHistory(), historyDelayMilliseconds).unref();
      return found;
    } catch (error) {
      throw explain(error, repository);
    }
  }

  /** Begins with the history that was asked for; does not wait for it. */
  startHistory(): void {
    for (const begin of this.#wanted.splice(0)) this.#history = this.#history.then(begin);
  }

  /** Brings the history of these commits, without files; they are fetched themselves where they are not here. */
  async fetchHistory(
    repository: RepositoryRef,
    shas: readonly string[],
    credential: Credential,
    signal: AbortSignal,
  ): Promise<void> {
    const remote = remoteOf(this.#options.gitBaseUrl, repository, credential);
    this.startHistory();
    await this.#history;
    try {
      await this.#makeReady(signal);
      await this.#fetchHistory(remote, shas, signal);
    } catch (error) {
      throw explain(error, repository);
    }
  }

  /** The repository is forgotten: history that was not begun never is. */
  abandon(): void {
    this.#wanted.length = 0;
  }

  /** Waits, but not for ever, until the history that is on its way has come. */
  async historyArrived(): Promise<void> {
    this.startHistory();
    const timer = Promise.withResolvers<void>();
    const handle = setTimeout(timer.resolve, historyPatienceMilliseconds);
    await Promise.race([this.#history, timer.promise]);
    clearTimeout(handle);
  }

  /** A git dir at `path` that sees the mirror's trees and history, and `more` object directories in front of them. */
  async makeView(path: string, more: readonly string[] = [], shallow: readonly string[] = []): Promise<string> {
    const alternates = [...more, join(this.treeDir, "objects"), join(this.historyDir, "objects")];
    if (!(await exists(join(path, "HEAD")))) await makeGitDirectory(path, { alternates });
    await writeShallow(path, await this.#withoutHistory([...shallow, ...(await readShallow(this.treeDir))]));
    return path;
  }

  /** The view without anything else. */
  async view(): Promise<string> {
    await this.historyArrived();
    return this.makeView(join(this.#directory, "view.git"));
  }

  /** The mirror turned out to be damaged: the next fetch makes it anew. */
  async distrust(): Promise<void> {
    await writeFile(join(this.#directory, "damaged"), "").catch(() => {});
  }

  async #makeReady(signal: AbortSignal): Promise<void> {
    const damaged = join(this.#directory, "damaged");
    if ((await exists(join(this.treeDir, "HEAD"))) && !(await exists(damaged))) {
      const now = new Date();
      await utimes(this.#directory, now, now);
      return;
    }
    await mkdir(this.#directory, { recursive: true });
    await withLock(join(this.#directory, "tree.lock"), signal, async () => {
      if ((await exists(join(this.treeDir, "HEAD"))) && !(await exists(damaged))) return;
      await this.#startAnew();
    });
  }

  /** Jobs that borrow from the old objects find the new ones at the same place once they were fetched. */
  async #startAnew(): Promise<void> {
    const waste = join(this.#directory, `waste-${randomUUID()}`);
    await mkdir(waste, { recursive: true });
    for (const name of ["tree.git", "history.git", "view.git", "spare"]) {
      await rename(join(this.#directory, name), join(waste, name)).catch(ignoreMissing);
    }
    await makeGitDirectory(join(waste, "next-history.git"));
    await makeGitDirectory(join(waste, "next-tree.git"));
    await rename(join(waste, "next-history.git"), this.historyDir);
    await rename(join(waste, "next-tree.git"), this.treeDir);
    await rm(join(this.#directory, "damaged"), { force: true });
    await rm(waste, { recursive: true, force: true });
  }

  /** With nothing here yet one call to the server is enough, unless a ref is missing there. */
  async #fetchFirst(
    repository: RepositoryRef,
    remote: Remote,
    refs: readonly string[],
    signal: AbortSignal,
  ): Promise<Record<string, string> | undefined> {
    const pinned = join(this.treeDir, pins);
    if (refs.length === 0 || (await exists(pinned))) return undefined;
    return withLock(join(this.#directory, "tree.lock"), signal, async () => {
      if (await exists(pinned)) return undefined;
      await removeLeftLocks(this.treeDir);
      const names = [...new Set(refs)];
      const refspecs = names.map(
        (ref, at) => `+${isObjectName(ref) ? ref : fullName(ref)}:refs/millwright/first/${at}`,
      );
      try {
        await this.#fetchInto(this.treeDir, repository, remote, ["--depth=1", remote.url, ...refspecs], signal);
      } catch (error) {
        if (failureOf(error) === "missing-ref") return undefined;
        throw error;
      }
      const first = join(this.treeDir, "refs", "millwright", "first");
      const found: Record<string, string> = {};
      for (const [at, ref] of names.entries()) found[ref] = (await readFile(join(first, String(at)), "utf8")).trim();
      await mkdir(pinned, { recursive: true });
      for (const sha of present(found)) await writeFile(join(pinned, sha), `${sha}\n`);
      await rm(first, { recursive: true });
      return found;
    });
  }

  async #fetchNext(
    repository: RepositoryRef,
    remote: Remote,
    refs: readonly string[],
    signal: AbortSignal,
  ): Promise<Record<string, string | undefined>> {
    const found = await this.#resolve(remote, refs, signal);
    const shas = present(found);
    if (await this.#hasAll(shas)) return found;
    await withLock(join(this.#directory, "tree.lock"), signal, () =>
      this.#fetchTrees(repository, remote, shas, signal),
    );
    return found;
  }

  async #resolve(
    remote: Remote,
    refs: readonly string[],
    signal: AbortSignal,
  ): Promise<Record<string, string | undefined>> {
    const names = new Map(refs.filter((ref) => !isObjectName(ref)).map((ref) => [ref, fullName(ref)]));
    const resolved: Record<string, string | undefined> = {};
    for (const ref of refs) if (isObjectName(ref)) resolved[ref] = ref;
    if (names.size === 0) return resolved;
    const output = await runGit(["ls-remote", "--quiet", remote.url, ...names.values()], {
      gitDir: this.treeDir,
      signal,
      timeoutSeconds: 120,
      ...(await remote.options()),
    });
    const found = new Map<string, string>();
    for (const line of output.toString("utf8").split("\n")) {
      const [sha, name] = line.split("\t");
      if (sha !== undefined && name !== undefined) found.set(name, sha);
    }
    for (const [ref, name] of names) resolved[ref] = found.get(name);
    return resolved;
  }

  async #fetchTrees(
    repository: RepositoryRef,
    remote: Remote,
    shas: readonly string[],
    signal: AbortSignal,
  ): Promise<void> {
    if (await this.#hasAll(shas)) return;
    await removeLeftLocks(this.treeDir);
    const missing: string[] = [];
    for (const sha of shas) if (!(await this.has(sha))) missing.push(sha);
    const refspecs = missing.map((sha) => `+${sha}:refs/millwright/pins/${sha}`);
    const fetchOnce = () =>
      this.#fetchInto(this.treeDir, repository, remote, ["--depth=1", remote.url, ...refspecs], signal);
    try {
      await fetchOnce();
    } catch (error) {
      if (failureOf(error) !== "other" || signal.aborted || !(error instanceof Error) || error.name !== "GitError")
        throw error;
      this.#options.log.warn({ err: error, repositoryId: repository.repositoryId }, "the mirror is made anew");
      await this.#startAnew();
      await fetchOnce();
    }
  }

  async #fetchHistory(remote: Remote, shas: readonly string[], signal: AbortSignal): Promise<void> {
    const isMissing = async () => {
      const missing: string[] = [];
      for (const sha of shas) if (!(await exists(join(this.historyDir, pins, sha)))) missing.push(sha);
      return missing;
    };
    // A repository that was forgotten meanwhile stays so.
    if ((await isMissing()).length === 0 || !(await exists(join(this.historyDir, "HEAD")))) return;
    await withLock(join(this.#directory, "history.lock"), signal, async () => {
      const missing = await isMissing();
      if (missing.length === 0) return;
      await removeLeftLocks(this.historyDir);
      // The remote has a name because git keeps the filter under it; the address changes when a repository is renamed.
      await trustedGit(["config", "remote.origin.url", remote.url], { gitDir: this.historyDir, signal });
      const refspecs = missing.map((sha) => `+${sha}:refs/millwright/pins/${sha}`);
      await this.#fetchInto(this.historyDir, undefined, remote, ["--filter=blob:none", "origin", ...refspecs], signal);
    });
  }

  /** `repository` names whose size is limited; history is not counted against it. */
  async #fetchInto(
    gitDir: string,
    repository: RepositoryRef | undefined,
    remote: Remote,
    args: string[],
    signal: AbortSignal,
  ): Promise<void> {
    const tooMuch = new AbortController();
    const maxBytes = this.#options.maxRepositoryBytes;
    const packs = join(gitDir, "objects", "pack");
    const before = new Set(await readdir(packs).catch(() => []));
    const bytesBefore = await sizeOf(packs);
    const check = async () => {
      if (repository && (await sizeOf(packs)) - bytesBefore > maxBytes) {
        tooMuch.abort(tooLarge(`${repository.owner}/${repository.repo}`, maxBytes));
      }
    };
    const timer = setInterval(() => void check(), sizeCheckMilliseconds);
    const options = [
      "--quiet",
      "--no-tags",
      "--no-write-fetch-head",
      "--no-auto-maintenance",
      "--no-show-forced-updates",
    ];
    try {
      const { config = [], secrets } = await remote.options();
      await runGit(["fetch", ...options, ...args], {
        gitDir,
        signal: AbortSignal.any([signal, tooMuch.signal]),
        timeoutSeconds: fetchTimeoutSeconds,
        // A pack stays a pack: its size is what is looked at, and small files by the hundred are slower.
        config: [...config, ["fetch.unpackLimit", "1"]],
        secrets,
      });
      await check();
      tooMuch.signal.throwIfAborted();
    } catch (error) {
      if (tooMuch.signal.aborted) {
        for (const [refspec] of args.map((arg) => /refs\/millwright\/.*/.exec(arg) ?? [])) {
          if (refspec !== undefined) await rm(join(gitDir, refspec), { force: true });
        }
        for (const name of await readdir(packs)) if (!before.has(name)) await rm(join(packs, name), { force: true });
      }
      throw error;
    } finally {
      clearInterval(timer);
    }
  }

  async #hasAll(shas: readonly string[]): Promise<boolean> {
    for (const sha of shas) if (!(await this.has(sha))) return false;
    return true;
  }

  /** Those of the commits whose parents are not in `history` either. */
  async #withoutHistory(shas: readonly string[]): Promise<string[]> {
    if (shas.length === 0) return [];
    const output = await runGit(["cat-file", "--batch-check=%(objectname)"], {
      gitDir: this.historyDir,
      input: `${shas.join("\n")}\n`,
    });
    const missing = output
      .toString("utf8")
      .split("\n")
      .filter((line) => line.endsWith(" missing"));
    return missing.map((line) => line.slice(0, -" missing".length));
  }
}

/** Lock files of a git process that was killed: whoever holds our lock knows that no other is at work here. */
async function removeLeftLocks(gitDir: string): Promise<void> {
  await rm(join(gitDir, "shallow.lock"), { force: true });
  await rm(join(gitDir, "config.lock"), { force: true });
  const packs = join(gitDir, "objects", "pack");
  for (const name of await readdir(packs).catch(() => [] as string[])) {
    if (name.startsWith("tmp_")) await rm(join(packs, name), { force: true });
  }
}

function present(found: Record<string, string | undefined>): string[] {
  return [...new Set(Object.values(found).filter((sha) => sha !== undefined))];
}

function isObjectName(ref: string): boolean {
  return /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/.test(ref);
}

/** Branches are given by their short name, all else from `refs/` on. */
function fullName(ref: string): string {
  if (ref === "" || ref.startsWith("-") || /[\s~^:?*[\\]|\.\.|@\{/.test(ref)) {
    throw new TypeError(
      `Cannot fetch ${JSON.stringify(ref)}: not the name of a branch. Rule: https://git-scm.com/docs/git-check-ref-format`,
    );
  }
  return ref === "HEAD" || ref.startsWith("refs/") ? ref : `refs/heads/${ref}`;
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

function ignoreMissing(error: NodeJS.ErrnoException): void {
  if (error.code !== "ENOENT") throw error;
}
