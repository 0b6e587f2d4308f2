import { createHash } from "node:crypto";
import { mkdir, readdir, readFile, rm } from "node:fs/promises";
import { join, resolve } from "node:path";
import type { Logger } from "pino";
import { readBundle } from "./bundle.ts";
import { requireFreeDisk, tooLarge } from "./disk.ts";
import { EnvironmentCache } from "./environment-cache.ts";
import { readFacts } from "./facts.ts";
import { GitError } from "./git.ts";
import { makeGitDirectory, replaceFile } from "./git-directory.ts";
import { LocalJob } from "./job.ts";
import { withLock } from "./lock.ts";
import { Mirror } from "./mirror.ts";
import { readTextFile } from "./read-text-file.ts";
import { openSourceTree } from "./source-tree.ts";
import { sweepDirectories } from "./sweep.ts";
import type { Job, OpenCommit, RepositoryRef, Workspaces } from "./workspace.ts";

export interface WorkspacesOptions {
  /** Mirrors, jobs and environments live below it. */
  dataDirectory: string;
  /** Where repositories are cloned from: `https://github.com`, or a GitHub Enterprise Server. */
  gitBaseUrl: string;
  /** New work is refused while the disk has less free. */
  diskWatermarkBytes: number;
  /** Of what is fetched for one commit, and of the files of one commit. */
  maxRepositoryBytes: number;
  log: Pick<Logger, "warn" | "debug">;
}

/** Workspaces on the local disk (B6): one mirror for each repository and trust, one tree for each run. */
export function createWorkspaces(options: WorkspacesOptions): Workspaces {
  const root = resolve(options.dataDirectory);
  const directories = {
    mirrors: join(root, "mirrors"),
    jobs: join(root, "jobs"),
    environments: join(root, "environments"),
  };
  const environments = new EnvironmentCache(directories.environments);
  const mirrors = new Map<string, Mirror>();
  /** Commits whose size was looked at in this process. */
  const sized = new Set<string>();

  return {
    async fetch(repository, refs, credential, signal) {
      await mkdir(directories.mirrors, { recursive: true, mode: 0o700 });
      await requireFreeDisk(root, options.diskWatermarkBytes);
      return mirrorOf(repository).fetch(repository, refs, credential, signal);
    },
    fetchHistory: (repository, shas, credential, signal) =>
      mirrorOf(repository).fetchHistory(repository, shas, credential, signal),
    facts: (repository, sha) => readFacts(mirrorOf(repository).treeDir, sha),
    readFile: (repository, sha, path) => readTextFile(mirrorOf(repository).treeDir, sha, path),
    async source(repository, sha) {
      const mirror = mirrorOf(repository);
      return {
        ...openSourceTree(mirror.treeDir, sha),
        history: async (bounds) => openSourceTree(await mirror.view(), sha).history(bounds),
      };
    },
    async open(repository, runKey, commit, signal) {
      await mkdir(directories.jobs, { recursive: true });
      const directory = jobDirectory(runKey);
      return withLock(`${directory}.lock`, signal, () => openJob(repository, directory, commit, signal));
    },
    async remove(runKey) {
      await rm(jobDirectory(runKey), { recursive: true, force: true });
    },
    sweep: () => sweepDirectories(directories),
    async forget(repositoryId) {
      for (const path of mirrors.keys()) if (path.split("/").at(-2) === String(repositoryId)) mirrors.delete(path);
      for (const installation of await readdir(directories.mirrors).catch(() => [])) {
        // History may be on its way into it: then it is tried again.
        await rm(join(directories.mirrors, installation, String(repositoryId)), {
          recursive: true,
          force: true,
          maxRetries: 10,
        });
      }
      for (const name of await readdir(directories.jobs).catch(() => [])) {
        const directory = join(directories.jobs, name);
        if ((await readNote(directory))?.repositoryId === repositoryId)
          await rm(directory, { recursive: true, force: true });
      }
      await environments.forget(repositoryId);
    },
    environments: {
      restore: (key, job, paths) => environments.restore(key, localJob(job), paths),
      save: (key, job, paths) => environments.save(key, localJob(job), paths),
    },
  };

  async function openJob(
    repository: RepositoryRef,
    directory: string,
    commit: OpenCommit,
    signal: AbortSignal,
  ): Promise<LocalJob> {
    const mirror = mirrorOf(repository);
    const job = new LocalJob({
      directory,
      repository,
      baseSha: commit.baseSha,
      mirror,
      gitBaseUrl: options.gitBaseUrl,
      signal,
    });
    if (isSame(await readNote(directory), repository)) {
      try {
        await job.removeLeftLocks();
        await job.neverCommit(commit.neverCommit ?? []);
        await bringTo(job, mirror, commit);
        await writeNote(directory, repository);
        return job;
      } catch (error) {
        if (!(error instanceof GitError) && !isGone(error)) throw error;
        options.log.warn({ err: error }, "a job's tree is made anew");
      }
    }
    await requireFreeDisk(root, options.diskWatermarkBytes);
    try {
      await makeJob(job, mirror, directory, commit, signal);
    } catch (error) {
      if (!isDamage(error)) throw error;
      await mirror.distrust();
      if (!commit.credential) throw error;
      options.log.warn({ err: error }, "a damaged mirror is fetched anew");
      await makeJob(job, mirror, directory, commit, signal);
    }
    await writeNote(directory, repository);
    return job;
  }

  async function makeJob(
    job: LocalJob,
    mirror: Mirror,
    directory: string,
    commit: OpenCommit,
    signal: AbortSignal,
  ): Promise<void> {
    const { credential, baseSha, sha } = commit;
    await rm(directory, { recursive: true, force: true });
    for (const path of [job.tree, job.temporary, job.home]) await mkdir(path, { recursive: true });
    await mkdir(job.gitDir, { mode: 0o700 });
    if (credential) await mirror.fetch(job.repository, [baseSha], credential, signal);
    await makeGitDirectory(job.gitDir, { alternates: [join(mirror.treeDir, "objects")], head: baseSha });
    await job.neverCommit(commit.neverCommit ?? []);
    await makeKnown(job, mirror, commit);
    // Both at once: a commit that unpacks to more than is allowed is stopped while it does.
    const stop = new AbortController();
    const size = requireSize(job, sha).catch((error: unknown) => stop.abort(error));
    const checkOut = job.checkOut(sha, AbortSignal.any([signal, stop.signal]));
    await Promise.allSettled([size, checkOut]);
    stop.signal.throwIfAborted();
    await checkOut;
  }

  /** An opened tree that is at the commit and clean is left as it is. */
  async function bringTo(job: LocalJob, mirror: Mirror, commit: OpenCommit): Promise<void> {
    if ((await job.head()) === commit.sha && (await isClean(job))) return;
    await makeKnown(job, mirror, commit);
    await job.reset(commit.sha);
  }

  async function makeKnown(
    job: LocalJob,
    mirror: Mirror,
    { sha, baseSha, bundle, credential }: OpenCommit,
  ): Promise<void> {
    if ((await mirror.has(sha)) || (sha !== baseSha && (await job.knows(sha)))) return;
    const bytes = sha === baseSha ? undefined : await bundle?.();
    if (bytes && bytes.length > 0) {
      await job.borrowShallow();
      await readBundle(job.gitDir, bytes).catch((error: unknown) => {
        throw new Error(
          `Cannot open ${sha} of ${job.repository.owner}/${job.repository.repo}: its bundle cannot be read`,
          { cause: error },
        );
      });
    } else if (credential) await mirror.fetch(job.repository, [sha], credential, AbortSignal.timeout(600_000));
    if ((await mirror.has(sha)) || (await job.knows(sha))) return;
    throw new Error(
      `Cannot open ${sha} of ${job.repository.owner}/${job.repository.repo}: it is not on this disk, and ${bytes ? "the bundle does not hold it" : "there is no bundle"}`,
    );
  }

  async function requireSize(job: LocalJob, sha: string): Promise<void> {
    const key = `${job.repository.installationId}/${job.repository.repositoryId}/${sha}`;
    if (sized.has(key)) return;
    const files = await openSourceTree(job.gitDir, sha).files();
    const bytes = files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    if (bytes > options.maxRepositoryBytes)
      throw tooLarge(`${job.repository.owner}/${job.repository.repo}`, options.maxRepositoryBytes);
    sized.add(key);
  }

  function mirrorOf({ installationId, repositoryId, trust }: RepositoryRef): Mirror {
    const directory = join(directories.mirrors, String(installationId), String(repositoryId), trust);
    let mirror = mirrors.get(directory);
    if (!mirror) {
      mirror = new Mirror({
        directory,
        gitBaseUrl: options.gitBaseUrl,
        maxRepositoryBytes: options.maxRepositoryBytes,
        log: options.log,
      });
      mirrors.set(directory, mirror);
    }
    return mirror;
  }

  /** Run keys are names already; anything else gets one. */
  function jobDirectory(runKey: string): string {
    const isName = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/.test(runKey) && !runKey.endsWith(".lock");
    return join(directories.jobs, isName ? runKey : createHash("sha256").update(runKey).digest("hex"));
  }
}

interface Note {
  installationId: number;
  repositoryId: number;
  trust: string;
}

/** Written when the tree is complete: a job without it is half made. Its time is that of the last use. */
async function writeNote(directory: string, { installationId, repositoryId, trust }: RepositoryRef): Promise<void> {
  await replaceFile(
    join(directory, "job.json"),
    JSON.stringify({ installationId, repositoryId, trust } satisfies Note),
  );
}

async function readNote(directory: string): Promise<Note | undefined> {
  try {
    return JSON.parse(await readFile(join(directory, "job.json"), "utf8")) as Note;
  } catch {
    return undefined;
  }
}

function isSame(note: Note | undefined, repository: RepositoryRef): boolean {
  return (
    note?.installationId === repository.installationId &&
    note.repositoryId === repository.repositoryId &&
    note.trust === repository.trust
  );
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

function localJob(job: Job): LocalJob {
  if (job instanceof LocalJob) return job;
  throw new TypeError("Environments are kept for jobs that `open` returned");
}
