import { execFile } from "node:child_process";
import { createHash, randomUUID } from "node:crypto";
import { lstat, mkdir, readdir, readFile, realpath, rename, rm, stat, utimes, writeFile } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { promisify } from "node:util";
import { sizeOf } from "./disk.ts";
import type { LocalJob } from "./job.ts";
import type { EnvironmentPaths } from "./workspace.ts";

/** All environments of all repositories together; the least recently used go first. */
const defaultMaxBytes = 20_000_000_000;

/** Where environments are kept besides this disk, for workers whose disk does not last. */
export interface EnvironmentArchives {
  /** Fills the empty folder; false when nothing is kept under that name. */
  fetch(owner: EnvironmentOwner, folder: string): Promise<boolean>;
  store(owner: EnvironmentOwner, folder: string): Promise<void>;
}

/** As the directories of the cache are named; `name` is the key's hash. */
interface EnvironmentOwner {
  installationId: number;
  repositoryId: number;
  trust: string;
  name: string;
}

/** Directories that setup made (`node_modules`, `.venv`, `target` …), kept for each repository, trust and key (rule 14). */
export class EnvironmentCache {
  readonly #directory: string;
  readonly #maxBytes: number;
  readonly #archives: EnvironmentArchives | undefined;

  constructor(directory: string, options: { maxBytes?: number; archives?: EnvironmentArchives } = {}) {
    this.#directory = directory;
    this.#maxBytes = options.maxBytes ?? defaultMaxBytes;
    this.#archives = options.archives;
  }

  /** Copies the environment into the job's tree and home; false, with both unchanged, when there is none for key and paths. */
  async restore(key: string, job: LocalJob, paths: EnvironmentPaths): Promise<boolean> {
    const places = placesOf(job, paths);
    await job.neverCommit(paths.tree);
    const entry = this.#entry(key, job);
    const kept = (await readKept(entry)) ?? ((await this.#fetch(key, job)) ? await readKept(entry) : undefined);
    if (kept === undefined || places.some(({ name }) => !kept.asked.includes(name))) return false;
    const wanted = places.filter(({ name }) => kept.found.includes(name));
    for (const place of wanted) await requireOwnParent(place);
    for (const { name, path } of wanted) {
      await rm(path, { recursive: true, force: true });
      await mkdir(dirname(path), { recursive: true });
      await copy(join(entry, String(kept.found.indexOf(name))), path);
    }
    const now = new Date();
    await utimes(entry, now, now);
    return true;
  }

  /** Keeps a copy of those of the paths that are there. A fork's job keeps nothing (security.md M1a). */
  async save(key: string, job: LocalJob, paths: EnvironmentPaths): Promise<void> {
    const places = placesOf(job, paths);
    await job.neverCommit(paths.tree);
    if (job.repository.trust === "fork") return;
    const entry = this.#entry(key, job);
    const next = `${entry}.${randomUUID()}`;
    await mkdir(next, { recursive: true });
    try {
      const found: string[] = [];
      for (const place of places) {
        if (!(await isThere(place.path))) continue;
        await requireOwnParent(place);
        await copy(place.path, join(next, String(found.length)));
        found.push(place.name);
      }
      await writeFile(
        join(next, "kept.json"),
        JSON.stringify({ asked: places.map(({ name }) => name), found } satisfies Kept),
      );
      await moveInto(next, entry);
    } finally {
      await rm(next, { recursive: true, force: true });
    }
    await this.#archives?.store(ownerOf(key, job), entry);
    await this.#evict(entry);
  }

  async forget(repositoryId: number): Promise<void> {
    for (const installation of await list(this.#directory)) {
      await rm(join(this.#directory, installation, String(repositoryId)), { recursive: true, force: true });
    }
  }

  #entry(key: string, job: LocalJob): string {
    const { installationId, repositoryId, trust, name } = ownerOf(key, job);
    return join(this.#directory, String(installationId), String(repositoryId), trust, name);
  }

  /** Brings the environment onto this disk, if it is kept elsewhere. */
  async #fetch(key: string, job: LocalJob): Promise<boolean> {
    if (this.#archives === undefined) return false;
    const entry = this.#entry(key, job);
    const next = `${entry}.${randomUUID()}`;
    await mkdir(next, { recursive: true });
    try {
      if (!(await this.#archives.fetch(ownerOf(key, job), next))) return false;
      await moveInto(next, entry);
    } finally {
      await rm(next, { recursive: true, force: true });
    }
    await this.#evict(entry);
    return true;
  }

  async #evict(newest: string): Promise<void> {
    const entries = await this.#entries();
    const sized = await Promise.all(
      entries.map(async (path) => ({ path, usedAt: (await stat(path)).mtimeMs, bytes: await sizeOf(path) })),
    );
    let total = sized.reduce((sum, { bytes }) => sum + bytes, 0);
    for (const { path, bytes } of sized.toSorted((a, b) => a.usedAt - b.usedAt)) {
      if (total <= this.#maxBytes) return;
      if (path === newest) continue;
      await rm(path, { recursive: true, force: true });
      total -= bytes;
    }
  }

  async #entries(): Promise<string[]> {
    let level = [this.#directory];
    for (let depth = 0; depth < 4; depth++) {
      level = (await Promise.all(level.map(async (path) => (await list(path)).map((name) => join(path, name))))).flat();
    }
    return level;
  }
}

/** One directory of an environment; `name` tells tree and home apart. */
interface Place {
  name: string;
  root: string;
  path: string;
}

/** `found` are the names whose copies lie beside this note, called by their position. */
interface Kept {
  asked: string[];
  found: string[];
}

function ownerOf(key: string, { repository }: LocalJob): EnvironmentOwner {
  const { installationId, repositoryId, trust } = repository;
  return { installationId, repositoryId, trust, name: createHash("sha256").update(key).digest("hex") };
}

async function moveInto(next: string, entry: string): Promise<void> {
  await rm(entry, { recursive: true, force: true });
  // Another job may have kept the same just now; theirs is as good.
  await rename(next, entry).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== "ENOTEMPTY" && error.code !== "EEXIST") throw error;
  });
}

function placesOf(job: LocalJob, paths: EnvironmentPaths): Place[] {
  [...paths.tree, ...paths.home].forEach(requireInside);
  return [
    ...paths.tree.map((path) => ({ name: `tree/${path}`, root: job.tree, path: join(job.tree, path) })),
    ...paths.home.map((path) => ({ name: `home/${path}`, root: job.home, path: join(job.home, path) })),
  ];
}

async function readKept(entry: string): Promise<Kept | undefined> {
  try {
    return JSON.parse(await readFile(join(entry, "kept.json"), "utf8")) as Kept;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

/** Links are copied as links, and blocks are shared where the file system can do that. */
async function copy(from: string, to: string): Promise<void> {
  await promisify(execFile)("cp", ["-a", "--reflink=auto", "--no-target-directory", "--", from, to], {
    env: { PATH: process.env["PATH"] ?? "/usr/bin:/bin", LC_ALL: "C" },
    maxBuffer: 1_000_000,
  });
}

function requireInside(path: string): void {
  const parts = path.split("/");
  if (path === "" || path.includes("\0") || parts.some((part) => part === "" || part === "." || part === "..")) {
    throw new TypeError(`An environment path must be relative and stay below, but is ${JSON.stringify(path)}`);
  }
}

/** A link that untrusted code put in place of a parent directory would lead the copy out of tree or home. */
async function requireOwnParent({ name, root, path }: Place): Promise<void> {
  let parent = dirname(path);
  while (!(await isThere(parent))) parent = dirname(parent);
  const real = await realpath(parent);
  if (real === join(await realpath(root), relative(root, parent))) return;
  throw new Error(`Cannot keep or restore ${name}: a parent directory is a link to ${real}`);
}

async function isThere(path: string): Promise<boolean> {
  return lstat(path).then(
    () => true,
    () => false,
  );
}

async function list(directory: string): Promise<string[]> {
  return readdir(directory).catch(() => []);
}
