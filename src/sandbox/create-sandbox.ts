import { existsSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { isAbsolute, join } from "node:path";
import { type Backend, Refusal } from "./backend.ts";
import { bubblewrap } from "./bubblewrap.ts";
import { container } from "./container.ts";
import type { LambdaOptions } from "./lambda/lambda.ts";
import { none } from "./none.ts";
import { createRegistryProxy } from "./registry-proxy.ts";
import { requireCommand } from "./require-command.ts";
import type { BackendName, Command, CommandResult, Limits, Sandbox, SelfTest, Tree } from "./sandbox.ts";
import { selfTest } from "./self-test.ts";
import { createSlots } from "./slots.ts";
import { supervise } from "./supervise.ts";
import { detectToolchain, isInside } from "./toolchain.ts";

export interface SandboxOptions {
  /** `auto` takes bubblewrap where it is installed, else a container engine; never `none`. */
  backend: "auto" | BackendName;
  /** Functions and bucket of the lambda backend. */
  lambda?: LambdaOptions;
  /** Container image, which must hold bash and the toolchain. Needed by the container backend. */
  image?: string;
  /** Container engine command; docker or podman is found by itself when absent. */
  containerEngine?: readonly string[];
  /** False where the container engine cannot use control groups: limits then hold for each process only. */
  containerControlGroups?: boolean;
  /** When given, the only hosts that any command may ask for. */
  proxyHosts?: readonly string[];
  /** Shown read-only beside the detected toolchain. */
  toolchainPaths?: readonly string[];
  /** Other files and folders shown read-only. */
  extraReadPaths?: readonly string[];
  /** The worker's PATH, on which the toolchain is looked up; by default the system's and the usual folders of the home. */
  searchPath?: string;
  /** How many commands may run at once; further ones wait. */
  slots: number;
  /** The worker's own folder; never shown to a command. */
  dataDirectory: string;
  log: { info(message: string): void; warn(message: string): void };
  /** For tests alone: lets commands ask for `127.0.0.1:port`. */
  allowLoopbackHosts?: boolean;
}

/**
 * The sandbox of this worker. Nothing is started or tried yet: call `selfTest` at start-up. Until it passed, `run` first
 * waits for it, and refuses commands when it fails. Throws when an option is wrong, or `auto` finds no backend.
 */
export async function createSandbox(options: SandboxOptions): Promise<Sandbox> {
  if (!isAbsolute(options.dataDirectory)) {
    throw new Error(`Cannot create the sandbox: dataDirectory must be absolute, it is "${options.dataDirectory}"`);
  }
  const directory = join(options.dataDirectory, "sandbox");
  await mkdir(directory, { recursive: true });
  const backend = await chooseBackend(options, directory);
  const slots = createSlots(options.slots);
  const busyTrees = new Map<string, Promise<unknown>>();
  let tested: Promise<SelfTest> | undefined;
  if (backend.name === "none") {
    options.log.warn(
      "SANDBOX IS OFF (backend none): commands of repositories and of the model run with this worker's rights, network and files. Use it only on a machine that holds nothing of value.",
    );
  }

  return {
    backend: backend.name,
    describe: backend.describe,
    paths: backend.paths,
    selfTest: test,
    run,
    close: backend.close,
  };

  function test(): Promise<SelfTest> {
    tested ??= selfTest(backend, runUnchecked, directory).then(
      (result) => {
        for (const check of result.checks.filter(({ passed }) => !passed)) {
          options.log.warn(`Sandbox self-test: ${check.name}: ${check.detail}`);
        }
        return result;
      },
      (error: unknown) => {
        // A machine that cannot be reached now was not tested: the next command tries again.
        tested = undefined;
        throw error;
      },
    );
    return tested;
  }

  async function run(command: Command, at: Tree, limits: Limits, signal?: AbortSignal): Promise<CommandResult> {
    if (backend.name !== "none") {
      const result = await test();
      if (!result.passed) return refused(`The sandbox (${backend.name}) failed its self-test. ${result.advice}`);
    }
    return await runUnchecked(command, at, limits, signal);
  }

  async function runUnchecked(
    command: Command,
    at: Tree,
    limits: Limits,
    signal?: AbortSignal,
  ): Promise<CommandResult> {
    try {
      requireCommand(command, at, limits);
    } catch (error) {
      if (error instanceof Refusal) return refused(error.message);
      throw error;
    }
    return await oneAtATime(at.directory, () => inSlot(command, at, limits, signal));
  }

  async function inSlot(command: Command, at: Tree, limits: Limits, signal?: AbortSignal): Promise<CommandResult> {
    const slot = await slots.take(signal);
    if (!slot || signal?.aborted) {
      if (slot) slots.give(slot);
      return { ...refused("stopped by its caller before it began"), kind: "killed" };
    }
    try {
      if ("run" in backend) return await backend.run(command, at, limits, signal);
      return await supervise(
        await backend.prepare(command, at, limits, slot),
        limits,
        directory,
        signal,
        command.onStdout,
      );
    } catch (error) {
      if (error instanceof Refusal) return refused(error.message);
      throw error;
    } finally {
      slots.give(slot);
    }
  }

  /** A tree changes hands while a command runs in it, so a second command on it waits. */
  async function oneAtATime<T>(tree: string, work: () => Promise<T>): Promise<T> {
    const before = busyTrees.get(tree) ?? Promise.resolve();
    const mine = before.then(work, work);
    busyTrees.set(tree, mine);
    try {
      return await mine;
    } finally {
      if (busyTrees.get(tree) === mine) busyTrees.delete(tree);
    }
  }
}

async function chooseBackend(options: SandboxOptions, directory: string): Promise<Backend> {
  const toolchain = detectToolchain({
    searchPath: options.searchPath,
    extra: options.toolchainPaths,
    hidden: [options.dataDirectory],
  });
  for (const path of options.extraReadPaths ?? []) {
    if (!isAbsolute(path) || !existsSync(path) || isInside(options.dataDirectory, path)) {
      throw new Error(
        `Cannot show path to sandboxed commands: it must be absolute, exist and not contain the data directory, it is "${path}"`,
      );
    }
  }
  const make: Record<BackendName, () => Backend | Promise<Backend>> = {
    bubblewrap: () =>
      bubblewrap({
        ...options,
        toolchain,
        extraReadPaths: options.extraReadPaths ?? [],
        directory,
        proxy: createRegistryProxy(),
      }),
    container: () =>
      container({
        image: options.image,
        engine: options.containerEngine,
        controlGroups: options.containerControlGroups,
        extraReadPaths: options.extraReadPaths ?? [],
      }),
    lambda: async () => {
      const { proxyHosts, allowLoopbackHosts, image } = options;
      if (!options.lambda)
        throw new Error("Cannot create the sandbox: the lambda backend needs its functions and bucket");
      // Loaded where it is used: a server of one's own needs nothing of AWS.
      const { lambda } = await import("./lambda/lambda.ts");
      return lambda({ image, proxyHosts, allowLoopbackHosts, ...options.lambda }, directory);
    },
    none: () => none({ toolchain }),
  };
  if (options.backend !== "auto") return await make[options.backend]();
  const reasons: string[] = [];
  for (const name of ["bubblewrap", "container"] as const) {
    const backend = await make[name]();
    const reason = await backend.unusable();
    if (reason === undefined) return backend;
    reasons.push(reason);
  }
  throw new Error(
    `Cannot find a sandbox: ${reasons.join("; ")}. Without any isolation only by choosing the backend none.`,
  );
}

function refused(reason: string): CommandResult {
  return { kind: "refused", stdout: "", stderr: "", droppedOutputBytes: 0, durationSeconds: 0, reason };
}
