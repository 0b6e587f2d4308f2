import { spawn } from "node:child_process";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { insideEffect } from "../../src/github/effect-scope.ts";
import type { Credential, Job, Person, RepositoryRef } from "../../src/workspace/workspace.ts";
import { createWorkspaces, type LocalWorkspaces, type WorkspacesOptions } from "../../src/workspace/workspaces.ts";
import { type GitServer, startGitServer } from "../support/git-server.ts";

export const token = "ghs_0123456789abcdefghijklmnopqrstuvwxyz";
export const credential: Credential = async () => token;
export const person: Person = { name: "Test Person", email: "person@example.com" };
export const own: RepositoryRef = { installationId: 7, repositoryId: 42, owner: "octo", repo: "sample", trust: "own" };

/** A repository behind a real git server, a checkout of it to change it with, and workspaces on a disk of their own. */
export interface World {
  directory: string;
  server: GitServer;
  workspaces: LocalWorkspaces;
  dataDirectory: string;
  /** What was logged as a warning. */
  warnings: unknown[];
  signal: AbortSignal;
  /** Writes files (undefined deletes) to the checkout, commits and pushes them; returns the commit. */
  commitUpstream(files: Record<string, string | undefined>, branch?: string): Promise<string>;
  upstream(...args: string[]): Promise<string>;
  /** Other workspaces, for example after a restart (same directory) or on another machine (another one). */
  more(options?: Partial<WorkspacesOptions>): LocalWorkspaces;
  /** Fetches and opens the newest commit of main. */
  openMain(runKey?: string): Promise<Job>;
  push(job: Job, branch: string, sha: string, expectedSha?: string): ReturnType<Job["push"]>;
  end(): Promise<void>;
}

export async function makeWorld(
  files: Record<string, string> = { "README.md": "# Sample\n", "src/a.txt": "one\ntwo\nthree\n" },
): Promise<World> {
  const directory = await mkdtemp(join(tmpdir(), "workspace-"));
  const served = join(directory, "served");
  const bare = join(served, own.owner, `${own.repo}.git`);
  const checkout = join(directory, "checkout");
  const dataDirectory = join(directory, "data");
  await mkdir(bare, { recursive: true });
  await plainGit(bare, "init", "--quiet", "--bare", "--initial-branch=main");
  await mkdir(checkout);
  await plainGit(checkout, "init", "--quiet", "--initial-branch=main");
  await plainGit(checkout, "remote", "add", "origin", bare);
  const server = await startGitServer(served, token);
  const warnings: unknown[] = [];
  const log = {
    warn: (...words: unknown[]) => void warnings.push(words),
    debug: () => {},
  } as unknown as WorkspacesOptions["log"];
  const more = (options: Partial<WorkspacesOptions> = {}) =>
    createWorkspaces({
      dataDirectory,
      gitBaseUrl: server.url,
      diskWatermarkBytes: 0,
      maxRepositoryBytes: 1_000_000_000,
      log,
      ...options,
    });
  const workspaces = more();
  const { signal } = new AbortController();
  const world: World = {
    directory,
    server,
    workspaces,
    dataDirectory,
    warnings,
    signal,
    more,
    upstream: (...args) => plainGit(checkout, ...args),
    async commitUpstream(changed, branch = "main") {
      for (const [path, content] of Object.entries(changed)) {
        await mkdir(dirname(join(checkout, path)), { recursive: true });
        if (content === undefined) await rm(join(checkout, path));
        else await writeFile(join(checkout, path), content);
      }
      await plainGit(checkout, "add", "--all");
      await plainGit(checkout, "commit", "--quiet", "--allow-empty", "--message", "upstream");
      await plainGit(checkout, "push", "--quiet", "origin", `HEAD:refs/heads/${branch}`);
      return plainGit(checkout, "rev-parse", "HEAD");
    },
    async openMain(runKey = "run-1") {
      const { main } = await workspaces.fetch(own, ["main"], credential, signal);
      return workspaces.open(own, runKey, { baseSha: main!, sha: main! }, signal);
    },
    push: (job, branch, sha, expectedSha) => insideEffect("push", () => job.push(branch, sha, expectedSha, credential)),
    async end() {
      await server.close();
      // History may still be on its way into it.
      await rm(directory, { recursive: true, force: true, maxRetries: 10 });
    },
  };
  if (Object.keys(files).length > 0) await world.commitUpstream(files);
  return world;
}

/** Git as a person runs it, without any of our protection; `home` holds its configuration. */
export function plainGit(cwd: string, ...args: string[]): Promise<string> {
  return plainGitAt({ cwd }, ...args);
}

export async function plainGitAt(
  { cwd, home = "/nonexistent" }: { cwd: string; home?: string },
  ...args: string[]
): Promise<string> {
  const child = spawn("git", args, {
    cwd,
    stdio: ["ignore", "pipe", "pipe"],
    env: {
      PATH: process.env.PATH ?? "",
      HOME: home,
      GIT_CONFIG_NOSYSTEM: "1",
      GIT_AUTHOR_NAME: "Up Stream",
      GIT_AUTHOR_EMAIL: "up@example.com",
      GIT_COMMITTER_NAME: "Up Stream",
      GIT_COMMITTER_EMAIL: "up@example.com",
    },
  });
  let output = "";
  let complaint = "";
  child.stdout.setEncoding("utf8").on("data", (text) => {
    output += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text) => {
    complaint += text;
  });
  const code = await new Promise((resolve) => child.once("close", resolve));
  if (code !== 0) throw new Error(`git ${args.join(" ")} ended with ${code}: ${complaint}`);
  return output.trim();
}
