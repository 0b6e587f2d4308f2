// The contract of the sandbox: run a command that nobody trusts, at a tree, within limits. docs/sandbox.md says what
// each backend isolates and what it does not.

/** How commands are isolated. `none` isolates nothing and is only ever chosen explicitly. */
export type BackendName = "bubblewrap" | "container" | "lambda" | "none";

/** A command of the repository or of the model. */
export interface Command {
  /** Shell text, run by `bash -c`. */
  run: string;
  /** Where it starts, relative to the tree; the tree itself when absent. */
  directory?: string;
  /** Added to the allow-listed environment; nothing of the worker's own environment is ever passed on. */
  env?: Record<string, string>;
  /**
   * `hosts` are names of package registries, reached through a proxy on ports 443 and 80 (`name:port` for another).
   * `gateway` is a Unix socket of this machine: the one server that the command reaches, at the address that the variable
   * MILLWRIGHT_GATEWAY names. Backends that run commands elsewhere refuse it.
   */
  network: "none" | { hosts: readonly string[] } | { gateway: string };
  /**
   * Given stdout as it comes, also what `maxOutputBytes` drops. The memory is used again after the call. Backends that run
   * commands elsewhere do not call it.
   */
  onStdout?(chunk: Uint8Array): void;
}

/** Directories of the host, all absolute. Inside, the command sees them at the places `Sandbox.paths` names. */
export interface Tree {
  /** The writable work tree, without `.git`. */
  directory: string;
  /** Kept between commands: HOME of the command, with its package caches. Without it HOME is the temporary folder. */
  environment?: { directory: string; readOnly?: boolean };
  /** Writable temporary folder, emptied by its owner. */
  temporary: string;
  /** Whose tree it is: backends that run elsewhere give a machine to one job, and keep what is a repository's together. */
  job?: { repositoryId: number; name: string };
}

export interface Limits {
  timeoutSeconds: number;
  /** Kept of stdout and of stderr each; the rest is counted and dropped. */
  maxOutputBytes: number;
  /** Address space of each process. */
  maxMemoryBytes: number;
  maxProcesses: number;
  /** Size of each written file. */
  maxFileBytes: number;
  /** Processor time of each process. */
  maxCpuSeconds: number;
}

/**
 * - `ok`: exit code 0. `failed`: another exit code.
 * - `timed-out`: stopped at `timeoutSeconds`.
 * - `killed`: stopped by the caller's signal, or by the kernel at a limit; `reason` says which.
 * - `refused`: nothing was run; `reason` says why and what to change.
 */
export interface CommandResult {
  kind: "ok" | "failed" | "timed-out" | "killed" | "refused";
  exitCode?: number;
  signal?: NodeJS.Signals;
  stdout: string;
  stderr: string;
  droppedOutputBytes: number;
  durationSeconds: number;
  reason?: string;
}

export interface SelfTest {
  passed: boolean;
  /** One entry for each thing that was tried from inside. */
  checks: { name: string; passed: boolean; detail: string }[];
  /** What to install or change; absent when the self-test passed. */
  advice?: string;
}

/** Where a command sees the directories of its tree. */
export interface InsidePaths {
  tree: string;
  home: string;
  temporary: string;
}

export interface Sandbox {
  backend: BackendName;
  /** One line for operators: backend, user, what is visible. */
  describe(): string;
  /** Tries, from inside, what must not be possible. The result is kept: only the first call runs commands. */
  selfTest(): Promise<SelfTest>;
  /** Where commands see the tree; absolute paths in a command's output begin with these. */
  paths(at: Tree): InsidePaths;
  /** Never throws for what the command does. No process of the command is left when it settles. */
  run(command: Command, at: Tree, limits: Limits, signal?: AbortSignal): Promise<CommandResult>;
  /** Ends the registry proxy. Running commands are not stopped: abort them first. */
  close(): Promise<void>;
}
