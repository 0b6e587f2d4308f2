import { spawn } from "node:child_process";
import { GitError as SimpleGitError, simpleGit } from "simple-git";
import { gitEnvironment } from "./git-environment.ts";

/** Where a git command works: a git dir outside of the tree, and the tree when the command needs one. */
export interface GitPlace {
  gitDir: string;
  tree?: string;
  signal?: AbortSignal | undefined;
  /** Further variables for one call, for example a person's name or another index. */
  environment?: Record<string, string>;
  /** Further configuration for one call; it reaches git by its environment, never by argv. */
  config?: readonly (readonly [key: string, value: string])[];
  /** Written to git's standard input. */
  input?: string | Buffer;
  timeoutSeconds?: number;
}

/** A local command that says nothing for so long is stuck, for example on a disk that does not answer. */
const quietLimitSeconds = 300;

/**
 * Runs trusted git (security.md M2) through simple-git, for short local commands; returns what it prints, trimmed. The
 * guard of simple-git refuses whatever could make git run a program unless it is named here: our configuration sets
 * those keys to nothing, so naming them is safe. Throws a GitError, or the signal's reason.
 */
export async function trustedGit(args: readonly string[], place: GitPlace): Promise<string> {
  place.signal?.throwIfAborted();
  const environment = environmentOf(place);
  const git = simpleGit({
    baseDir: place.gitDir,
    trimmed: true,
    allowEnvironment: Object.keys(environment),
    timeout: { block: (place.timeoutSeconds ?? quietLimitSeconds) * 1000 },
    ...(place.signal ? { abort: place.signal } : {}),
    ...(place.input === undefined ? {} : { input: () => place.input }),
    unsafe: {
      allowUnsafeConfigEnvCount: true,
      allowUnsafeConfigPaths: true,
      allowUnsafeHooksPath: true,
      allowUnsafeFsMonitor: true,
      allowUnsafeCredentialHelper: true,
      allowUnsafeDiffExternal: true,
      allowUnsafeFilter: true,
      allowUnsafeProtocolOverride: true,
    },
  }).env(environment);
  try {
    return await git.raw([...args]);
  } catch (error) {
    place.signal?.throwIfAborted();
    if (!(error instanceof SimpleGitError)) throw error;
    throw new GitError(args[0] ?? "", { code: 128, stdout: Buffer.alloc(0), stderr: error.message });
  }
}

export interface GitResult {
  code: number;
  stdout: Buffer;
  stderr: string;
}

export interface RunOptions extends GitPlace {
  /** Reading stops after so many bytes; what came until then is the result. */
  maxOutputBytes?: number;
  /** Removed from whatever git says. */
  secrets?: readonly string[];
}

/** Git ended with something else than 0. The message holds git's words, without secrets. */
export class GitError extends Error {
  override name = "GitError";
  readonly code: number;
  readonly stderr: string;
  constructor(what: string, result: GitResult) {
    super(`git ${what} ended with ${result.code}: ${result.stderr.trim() || "it said nothing"}`);
    this.code = result.code;
    this.stderr = result.stderr;
  }
}

/** Like `tryGit`, but throws a GitError unless git ends with 0. */
export async function runGit(args: readonly string[], options: RunOptions): Promise<Buffer> {
  const result = await tryGit(args, options);
  if (result.code !== 0) throw new GitError(args[0] ?? "", result);
  return result.stdout;
}

/**
 * Runs trusted git as a process group of its own, for bytes, exit codes and the network. The whole group is killed when
 * the signal aborts (then the signal's reason is thrown), the time is up, or enough output was read.
 */
export async function tryGit(args: readonly string[], options: RunOptions): Promise<GitResult> {
  options.signal?.throwIfAborted();
  const child = spawn("git", args, { cwd: options.gitDir, env: environmentOf(options), detached: true, stdio: "pipe" });
  const killGroup = () => {
    try {
      if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
    } catch {
      // The group ended by itself in the meantime.
    }
  };
  const timeoutSeconds = options.timeoutSeconds ?? quietLimitSeconds;
  let isLate = false;
  const timer = setTimeout(() => {
    isLate = true;
    killGroup();
  }, timeoutSeconds * 1000);
  options.signal?.addEventListener("abort", killGroup, { once: true });
  const chunks: Buffer[] = [];
  let length = 0;
  let isCut = false;
  let complaint = "";
  child.stdout.on("data", (chunk: Buffer) => {
    if (isCut) return;
    chunks.push(chunk);
    length += chunk.length;
    if (options.maxOutputBytes !== undefined && length > options.maxOutputBytes) {
      isCut = true;
      killGroup();
    }
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    complaint = (complaint + text).slice(-8_000);
  });
  // Git may end before it has read everything; then its exit code says why.
  child.stdin.on("error", () => {});
  child.stdin.end(options.input);
  try {
    const code = await new Promise<number>((resolve, reject) => {
      child.once("error", reject);
      child.once("close", (status) => resolve(isCut ? 0 : (status ?? -1)));
    });
    options.signal?.throwIfAborted();
    if (isLate) throw new Error(`git ${args[0]} was stopped after ${timeoutSeconds} s`);
    return { code, stdout: Buffer.concat(chunks), stderr: scrub(complaint, options.secrets ?? []) };
  } finally {
    clearTimeout(timer);
    options.signal?.removeEventListener("abort", killGroup);
  }
}

/** The text with every secret replaced. */
export function scrub(text: string, secrets: readonly string[]): string {
  return secrets.filter((secret) => secret !== "").reduce((rest, secret) => rest.replaceAll(secret, "***"), text);
}

function environmentOf(place: GitPlace): Record<string, string> {
  return {
    ...gitEnvironment(place.config),
    ...place.environment,
    GIT_DIR: place.gitDir,
    ...(place.tree === undefined ? {} : { GIT_WORK_TREE: place.tree }),
  };
}
