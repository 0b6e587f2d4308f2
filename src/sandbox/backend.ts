import type { BackendName, Command, CommandResult, InsidePaths, Limits, Tree } from "./sandbox.ts";
import type { Slot } from "./slots.ts";

/** What differs between the ways of isolating; everything else (slots, limits, output, self-test) is shared. */
export type Backend = LocalBackend | RemoteBackend;

interface AnyBackend {
  name: BackendName;
  describe(): string;
  /** Why the backend cannot be used here and what to install, or undefined. Cheap, runs nothing untrusted. */
  unusable(): Promise<string | undefined>;
  paths(at: Tree): InsidePaths;
  close(): Promise<void>;
}

/** Commands run on this machine, below a trusted program. */
export interface LocalBackend extends AnyBackend {
  /** Makes everything ready and says which trusted program to start. Throws {@link Refusal}. */
  prepare(command: Command, at: Tree, limits: Limits, slot: Slot): Promise<Launch>;
}

/** Commands run on another machine, which isolates them; the tree travels there and back. */
export interface RemoteBackend extends AnyBackend {
  /** As `Sandbox.run`. Throws {@link Refusal}, and what keeps it from reaching the machine. */
  run(command: Command, at: Tree, limits: Limits, signal?: AbortSignal): Promise<CommandResult>;
}

/** One start of a trusted program which in turn starts the command. */
export interface Launch {
  file: string;
  args: readonly string[];
  /** The whole environment of the trusted program. */
  env: Record<string, string>;
  cwd: string;
  /**
   * What bubblewrap reads from file descriptors 3 (its arguments) and 5 (the system call filter). With it, the program
   * reports on file descriptor 4 which process holds all others, as `--info-fd` does.
   */
  inputs?: { 3: string; 5: Uint8Array | string };
  /** Ends what killing the program's process group does not; awaited after the command, however it ended. */
  release(): Promise<void>;
}

/** Thrown by `prepare` when a command must not run; the message becomes the result's reason. */
export class Refusal extends Error {
  override name = "Refusal";
}
