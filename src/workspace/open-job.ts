import { randomUUID } from "node:crypto";
import { mkdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Logger } from "pino";
import { readBundle } from "./bundle.ts";
import { requireFreeDisk, tooLarge } from "./disk.ts";
import { GitError } from "./git.ts";
import { makeGitDirectory } from "./git-directory.ts";
import { LocalJob } from "./job.ts";
import { readNote, writeNote } from "./job-note.ts";
import { withLock } from "./lock.ts";
import type { Mirror } from "./mirror.ts";
import { openSourceTree } from "./source-tree.ts";
import type { OpenCommit, RepositoryRef } from "./workspace.ts";

export interface JobOpenerOptions {
  /** Anything on the disk that jobs are made on. */
  root: string;
  gitBaseUrl: string;
  diskWatermarkBytes: number;
  maxRepositoryBytes: number;
  log: Pick<Logger, "warn" | "debug">;
}

/** Makes the trees of jobs, finds them again, and prepares the next. */
export class JobOpener {
  readonly #options: JobOpenerOptions;
  /** Submodules of the commits whose size was looked at in this process. */
  readonly #sized = new Map<string, string[]>();

  constructor(options: JobOpenerOptions) {
    this.#options = options;
  }

  /** The job at `directory`, at the commit. One that is there, of the same repository, is brought to it. */
  async open(
    mirror: Mirror,
    repository: RepositoryRef,
    directory: string,
    commit: OpenCommit,
    signal: AbortSignal,
  ): Promise<LocalJob> {
    const job = this.#jobAt(directory, mirror, repository, commit.baseSha, signal);
    const note = { ...repository, baseSha: commit.baseSha };
    if (isSame(await readNote(directory), repository)) {
      try {
        await job.removeLeftLocks();
        await job.neverCommit(commit.neverCommit ?? []);
        await this.#bringTo(job, mirror, commit);
        await writeNote(directory, note);
        return job;
      } catch (error) {
        if (!(error instanceof GitError) && !isGone(error)) throw error;
        this.#options.log.warn({ err: error }, "a job's tree is made anew");
      }
    }
    await requireFreeDisk(this.#options.root, this.#options.diskWatermarkBytes);
    try {
      await this.#make(job, mirror, directory, commit, signal);
    } catch (error) {
      if (!isDamage(error)) throw error;
      await mirror.distrust();
      if (!commit.credential) throw error;
      this.#options.log.warn({ err: error }, "a damaged mirror is fetched anew");
      await this.#make(job, mirror, directory, commit, signal);
    }
    await writeNote(directory, note);
    mirror.startHistory();
    return job;
  }

  /**
   * Makes the tree that the repository's next job will take, so that it need not be written then. No command ever ran
   * in it. Does nothing where there is one for this commit, or no room for it.
   */
  async prepareSpare(mirror: Mirror, repository: RepositoryRef, sha: string): Promise<void> {
    if (!(await mirror.has(sha)) || (await readNote(mirror.spareDir))?.baseSha === sha) return;
    await requireFreeDisk(this.#options.root, this.#options.diskWatermarkBytes);
    const signal = AbortSignal.timeout(600_000);
    await withLock(`${mirror.spareDir}.lock`, signal, async () => {
      if ((await readNote(mirror.spareDir))?.baseSha === sha) return;
      const next = `${mirror.spareDir}-${randomUUID()}`;
      try {
        // Not with its parents: a repository that was forgotten meanwhile stays so.
        await mkdir(next);
        const job = this.#jobAt(next, mirror, repository, sha, signal);
        await this.#makeDirectories(job, mirror, sha);
        await this.#fill(job, sha, signal);
        await writeNote(next, { ...repository, baseSha: sha });
        await rm(mirror.spareDir, { recursive: true, force: true });
        await rename(next, mirror.spareDir);
      } finally {
        await rm(next, { recursive: true, force: true });
      }
    });
  }

  async #make(
    job: LocalJob,
    mirror: Mirror,
    directory: string,
    commit: OpenCommit,
    signal: AbortSignal,
  ): Promise<void> {
    const { credential, baseSha, sha } = commit;
    await rm(directory, { recursive: true, force: true });
    if (credential) await mirror.fetch(job.repository, [baseSha], credential, signal);
    if (await this.#makeFromSpare(job, mirror, directory, commit, signal)) return;
    await mkdir(directory);
    await this.#makeDirectories(job, mirror, baseSha);
    await job.neverCommit(commit.neverCommit ?? []);
    await this.#makeKnown(job, mirror, commit);
    await this.#fill(job, sha, signal);
  }

  /** Takes the spare tree, if there is one: only one job can. */
  async #makeFromSpare(
    job: LocalJob,
    mirror: Mirror,
    directory: string,
    commit: OpenCommit,
    signal: AbortSignal,
  ): Promise<boolean> {
    try {
      await rename(mirror.spareDir, directory);
    } catch (error) {
      if (isGone(error)) return false;
      throw error;
    }
    // Until it is at the right commit it is half made.
    await rm(join(directory, "job.json"), { force: true });
    try {
      await job.neverCommit(commit.neverCommit ?? []);
      await this.#makeKnown(job, mirror, commit);
      if ((await job.head()) !== commit.sha) await this.#fill(job, commit.sha, signal);
      return true;
    } catch (error) {
      if (!(error instanceof GitError) || signal.aborted) throw error;
      this.#options.log.debug({ err: error }, "the spare tree could not be used");
      await rm(directory, { recursive: true, force: true });
      return false;
    }
  }

  async #makeDirectories(job: LocalJob, mirror: Mirror, head: string): Promise<void> {
    for (const path of [job.tree, job.temporary, job.home]) await mkdir(path);
    await mkdir(job.gitDir, { mode: 0o700 });
    await makeGitDirectory(job.gitDir, { alternates: [join(mirror.treeDir, "objects")], head });
  }

  /** Both at once: a commit that unpacks to more than is allowed is stopped while it does. */
  async #fill(job: LocalJob, sha: string, signal: AbortSignal): Promise<void> {
    const stop = new AbortController();
    const submodules = this.#requireSize(job, sha).catch((error: unknown) => {
      stop.abort(error);
      return [];
    });
    const checkOut = job.checkOut(sha, AbortSignal.any([signal, stop.signal]));
    await Promise.allSettled([submodules, checkOut]);
    stop.signal.throwIfAborted();
    await checkOut;
    await job.freeze(await submodules);
  }

  /** An opened tree that is at the commit and clean is left as it is. */
  async #bringTo(job: LocalJob, mirror: Mirror, commit: OpenCommit): Promise<void> {
    if ((await job.head()) === commit.sha && (await isClean(job))) return;
    await this.#makeKnown(job, mirror, commit);
    await job.reset(commit.sha);
  }

  async #makeKnown(job: LocalJob, mirror: Mirror, { sha, baseSha, bundle, credential }: OpenCommit): Promise<void> {
    if ((await mirror.has(sha)) || (sha !== baseSha && (await job.knows(sha)))) return;
    const what = `${sha} of ${job.repository.owner}/${job.repository.repo}`;
    const bytes = sha === baseSha ? undefined : await bundle?.();
    if (bytes && bytes.length > 0) {
      await job.borrowShallow();
      await readBundle(job.gitDir, bytes).catch((error: unknown) => {
        throw new Error(`Cannot open ${what}: its bundle cannot be read`, { cause: error });
      });
    } else if (credential) {
      await mirror.fetch(job.repository, [sha], credential, AbortSignal.timeout(600_000));
    }
    if ((await mirror.has(sha)) || (await job.knows(sha))) return;
    const why = bytes ? "the bundle does not hold it" : "there is no bundle";
    throw new Error(`Cannot open ${what}: it is not on this disk, and ${why}`);
  }

  /** The commit's submodules. Throws a UserFacingError when its files are larger than allowed. */
  async #requireSize(job: LocalJob, sha: string): Promise<string[]> {
    const { installationId, repositoryId, owner, repo } = job.repository;
    const key = `${installationId}/${repositoryId}/${sha}`;
    const known = this.#sized.get(key);
    if (known) return known;
    const entries = await openSourceTree(job.gitDir, sha).files();
    const bytes = entries.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    if (bytes > this.#options.maxRepositoryBytes) throw tooLarge(`${owner}/${repo}`, this.#options.maxRepositoryBytes);
    const submodules = entries.filter(({ mode }) => mode === "160000").map(({ path }) => path);
    if (this.#sized.size >= sizedLimit) this.#sized.clear();
    this.#sized.set(key, submodules);
    return submodules;
  }

  #jobAt(directory: string, mirror: Mirror, repository: RepositoryRef, baseSha: string, signal: AbortSignal): LocalJob {
    return new LocalJob({ directory, repository, baseSha, mirror, gitBaseUrl: this.#options.gitBaseUrl, signal });
  }
}

const sizedLimit = 1_000;

function isSame(note: RepositoryRef | undefined, repository: RepositoryRef): boolean {
  return (["installationId", "repositoryId", "trust"] as const).every((key) => note?.[key] === repository[key]);
}

async function isClean(job: LocalJob): Promise<boolean> {
  try {
    return (await job.dirty()).length === 0;
  } catch (error) {
    if (error instanceof Error && error.name === "UserFacingError") return false;
    throw error;
  }
}

function isGone(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).code === "ENOENT";
}

/** Whatever git says about a commit that the mirror should have is the mirror's fault, except for a full disk. */
function isDamage(error: unknown): boolean {
  if (!(error instanceof Error) || /No space left|Disk quota/i.test(error.message)) return false;
  return error instanceof GitError || /git (?:ls-tree|cat-file) ended with/.test(error.message);
}
