import { createHash } from "node:crypto";
import { mkdir, readdir, rm } from "node:fs/promises";
import { join, resolve } from "node:path";
import type { Logger } from "pino";
import { readChangedPaths, readDiff } from "./changes.ts";
import { freeBytes, requireFreeDisk } from "./disk.ts";
import { type EnvironmentArchives, EnvironmentCache } from "./environment-cache.ts";
import { readFacts } from "./facts.ts";
import { LocalJob } from "./job.ts";
import { readNote } from "./job-note.ts";
import { withLock } from "./lock.ts";
import { Mirror } from "./mirror.ts";
import { JobOpener } from "./open-job.ts";
import { readTextFile } from "./read-text-file.ts";
import { openSourceTree } from "./source-tree.ts";
import { sweepDirectories } from "./sweep.ts";
import type { Job, RepositoryRef, Workspaces } from "./workspace.ts";

/** A job may need as much again as must be free when it begins. */
const roomFactor = 2;

export interface WorkspacesOptions {
  /** Mirrors, jobs and environments live below it. */
  dataDirectory: string;
  /** Where repositories are cloned from: `https://github.com`, or a GitHub Enterprise Server. */
  gitBaseUrl: string;
  /** New work is refused while the disk has less free. */
  diskWatermarkBytes: number;
  /** Of what is fetched for one commit, and of the files of one commit. */
  maxRepositoryBytes: number;
  /** Where environments are kept besides the disk. */
  environmentArchives?: EnvironmentArchives;
  log: Pick<Logger, "warn" | "debug">;
}

export interface LocalWorkspaces extends Workspaces {
  /** Resolves when nothing goes on in the background any more. */
  settled(): Promise<void>;
  /**
   * Removes trees, mirrors and caches while there is little more free than new work needs. Only between two jobs: all of
   * it can be had again, from the server and from bundles.
   */
  makeRoom(): Promise<void>;
}

/** Workspaces on the local disk (B6): one mirror for each repository and trust, one tree for each run. */
export function createWorkspaces(options: WorkspacesOptions): LocalWorkspaces {
  const root = resolve(options.dataDirectory);
  const directories = {
    mirrors: join(root, "mirrors"),
    jobs: join(root, "jobs"),
    environments: join(root, "environments"),
  };
  const environments = new EnvironmentCache(directories.environments, { archives: options.environmentArchives });
  const mirrors = new Map<string, Mirror>();
  const opener = new JobOpener({ ...options, root });
  const spares = new Set<Promise<void>>();

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
    async diff(repository, fromSha, toSha, maxBytes, signal) {
      const { treeDir } = mirrorOf(repository);
      const [diff, paths] = await Promise.all([
        readDiff(treeDir, fromSha, toSha, maxBytes, signal),
        readChangedPaths(treeDir, fromSha, toSha, signal),
      ]);
      return { ...diff, paths };
    },
    async open(repository, runKey, commit, signal) {
      await mkdir(directories.jobs, { recursive: true });
      const directory = jobDirectory(runKey);
      return withLock(`${directory}.lock`, signal, () =>
        opener.open(mirrorOf(repository), repository, directory, commit, signal),
      );
    },
    async remove(runKey) {
      const directory = jobDirectory(runKey);
      const note = await readNote(directory);
      await rm(directory, { recursive: true, force: true });
      if (note) prepareSpare(note, note.baseSha);
    },
    sweep: () => sweepDirectories(directories),
    async forget(repositoryId) {
      for (const [path, mirror] of mirrors) {
        if (path.split("/").at(-2) !== String(repositoryId)) continue;
        mirror.abandon();
        mirrors.delete(path);
      }
      await Promise.all(spares);
      for (const installation of await readdir(directories.mirrors).catch(() => [])) {
        const path = join(directories.mirrors, installation, String(repositoryId));
        // History may be on its way into it: then it is tried again.
        await rm(path, { recursive: true, force: true, maxRetries: 10 });
      }
      for (const name of await readdir(directories.jobs).catch(() => [])) {
        const path = join(directories.jobs, name);
        if ((await readNote(path))?.repositoryId === repositoryId) await rm(path, { recursive: true, force: true });
      }
      await environments.forget(repositoryId);
    },
    environments: {
      restore: (key, job, paths) => environments.restore(key, localJob(job), paths),
      save: (key, job, paths) => environments.save(key, localJob(job), paths),
    },
    async makeRoom() {
      for (const directory of [directories.jobs, directories.mirrors, directories.environments]) {
        if ((await freeBytes(root)) >= roomFactor * options.diskWatermarkBytes) return;
        await rm(directory, { recursive: true, force: true, maxRetries: 3 });
      }
    },
    async settled() {
      await Promise.all(spares);
      await Promise.all([...mirrors.values()].map((mirror) => mirror.historyArrived()));
    },
  };

  function prepareSpare(repository: RepositoryRef, sha: string): void {
    const preparing = opener.prepareSpare(mirrorOf(repository), repository, sha).catch((error: unknown) => {
      // The next job makes its tree itself.
      options.log.debug({ err: error, repositoryId: repository.repositoryId }, "no spare tree");
    });
    spares.add(preparing);
    void preparing.then(() => spares.delete(preparing));
  }

  function mirrorOf({ installationId, repositoryId, trust }: RepositoryRef): Mirror {
    const directory = join(directories.mirrors, String(installationId), String(repositoryId), trust);
    let mirror = mirrors.get(directory);
    if (!mirror) {
      mirror = new Mirror({ ...options, directory });
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

function localJob(job: Job): LocalJob {
  if (job instanceof LocalJob) return job;
  throw new TypeError("Environments are kept for jobs that `open` returned");
}
