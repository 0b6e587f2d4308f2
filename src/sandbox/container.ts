import { randomBytes } from "node:crypto";
import { access, constants } from "node:fs/promises";
import { join } from "node:path";
import { execa } from "execa";
import { type LocalBackend, Refusal } from "./backend.ts";
import { commandEnvironment } from "./command-environment.ts";
import { GATEWAY_SOCKET, gatewayAddress, gatewayRelay } from "./gateway.ts";
import { homeDirectory } from "./home-directory.ts";
import { limitedShell } from "./limits-prologue.ts";
import { giveTo, makeReadable } from "./ownership.ts";
import type { Command, InsidePaths, Limits, Tree } from "./sandbox.ts";
import type { Slot } from "./slots.ts";

/** Where engines are looked for; an operator's own PATH is not trusted with the worker's rights. */
const ENGINES = ["/usr/bin/docker", "/usr/local/bin/docker", "/usr/bin/podman", "/usr/local/bin/podman"];
const IMAGE_PATH = ["/usr/local/sbin", "/usr/local/bin", "/usr/local/go/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];
const SHARED_MEMORY = "256m";

export interface ContainerOptions {
  image?: string;
  extraReadPaths: readonly string[];
  /** Engine command with its leading arguments; found by itself when absent. */
  engine?: readonly string[];
  /** False where the engine cannot use control groups: then memory holds per process only. */
  controlGroups?: boolean;
}

/**
 * Each command in a container of its own, without network, capabilities or a writable file system but the tree, the
 * environment and the temporary folder. The toolchain is the image's.
 */
export function container(options: ContainerOptions): LocalBackend {
  const isRoot = process.getuid?.() === 0;
  let engine: Promise<readonly string[] | string> | undefined;
  const findEngine = () => {
    engine ??= options.engine ? Promise.resolve(options.engine) : detectEngine();
    return engine;
  };
  return {
    name: "container",
    describe: () => `container of image ${options.image ?? "(none chosen)"}, no network, read-only but for the tree`,
    unusable,
    paths,
    prepare,
    close: async () => {},
  };

  async function unusable(): Promise<string | undefined> {
    if (!options.image) return "the container backend needs an image: name one that holds bash and the toolchain";
    const found = await findEngine();
    if (typeof found === "string") return found;
    const seen = await trusted(found, ["image", "inspect", options.image]);
    return seen.exitCode === 0
      ? undefined
      : `image ${options.image} is not there: pull or build it with ${found[0]} (${seen.stderr.trim().slice(-200)})`;
  }

  async function prepare(...[command, at, limits, slot]: Parameters<LocalBackend["prepare"]>) {
    if (command.network !== "none" && "hosts" in command.network && command.network.hosts.length > 0) {
      throw new Refusal(
        "The container backend gives commands no network: set-up that downloads packages needs the bubblewrap backend, or an image that holds them",
      );
    }
    const found = await findEngine();
    if (typeof found === "string" || !options.image) throw new Refusal(`Cannot run a container: ${await unusable()}`);
    const name = `millwright-${randomBytes(8).toString("hex")}`;
    const writable = [
      at.directory,
      at.temporary,
      ...(at.environment && !at.environment.readOnly ? [at.environment.directory] : []),
    ];
    if (isRoot) await giveTo(slot.uid, writable);
    const [file = "", ...leading] = found;
    return {
      file,
      args: [...leading, ...containerArguments(options, file, name, command, at, limits, isRoot ? slot : undefined)],
      env: engineEnvironment(),
      cwd: "/",
      release: async () => {
        // Killing the engine's client leaves the container; removing one that has ended already is no error.
        await trusted(found, ["rm", "--force", name]);
        if (!isRoot) return;
        await giveTo(0, writable);
        if (at.environment && !at.environment.readOnly) await makeReadable(at.environment.directory);
      },
    };
  }
}

/** The engine's arguments for one command; a worker that is root gives the slot whose user it runs as. https://docs.docker.com/reference/cli/docker/container/run/ */
export function containerArguments(
  options: ContainerOptions,
  engine: string,
  name: string,
  command: Command,
  at: Tree,
  limits: Limits,
  slot: Slot | undefined,
): string[] {
  const inside = paths(at);
  const gateway = command.network !== "none" && "gateway" in command.network ? command.network.gateway : undefined;
  const user = slot?.uid ?? process.getuid?.();
  const group = slot?.uid ?? process.getgid?.();
  const env = commandEnvironment(
    inside,
    { searchPath: IMAGE_PATH, variables: {} },
    {
      readOnlyHome: at.environment?.readOnly ?? false,
      extra: { ...(gateway && gatewayAddress), ...command.env },
    },
  );
  const controlGroups = options.controlGroups ?? true;
  return [
    ...["run", "--rm", "--stop-timeout", "0", "--name", name, "--pull", "never", "--network", "none", "--read-only"],
    ...["--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--user", `${user}:${group}`],
    ...(controlGroups
      ? [
          "--pids-limit",
          `${limits.maxProcesses}`,
          "--memory",
          `${limits.maxMemoryBytes}`,
          "--memory-swap",
          `${limits.maxMemoryBytes}`,
        ]
      : ["--cgroups", "disabled"]),
    ...[
      "--ulimit",
      `nproc=${limits.maxProcesses}:${limits.maxProcesses}`,
      "--ulimit",
      "nofile=4096:4096",
      "--ulimit",
      "core=0:0",
    ],
    ...(slot === undefined && engine.endsWith("podman") ? ["--userns", "keep-id"] : []),
    ...["--shm-size", SHARED_MEMORY, "--hostname", "sandbox"],
    ...mount(at.directory, inside.tree),
    ...mount(at.temporary, inside.temporary),
    ...(at.environment ? mount(at.environment.directory, inside.home, at.environment.readOnly) : []),
    ...(gateway === undefined ? [] : mount(gateway, GATEWAY_SOCKET)),
    ...options.extraReadPaths.flatMap((path) => mount(path, path, true)),
    ...["--workdir", join(inside.tree, command.directory ?? "."), "--entrypoint", "/bin/bash", options.image ?? ""],
    // A shell as process 1 collects what the command leaves; engines' own --init is not installed everywhere.
    ...["-c", '"$@"; exit $?', "init"],
    ...limitedShell(command.run, { limits, countsProcesses: true, env, helpers: gateway && gatewayRelay }),
  ];
}

function mount(from: string, to: string, readOnly = false): string[] {
  if (/[,"\n]/.test(from)) throw new Refusal(`Cannot mount "${from}" in a container: its name has a comma or a quote`);
  return ["--mount", `type=bind,source=${from},target=${to}${readOnly ? ",readonly" : ""}`];
}

function paths(at: Tree): InsidePaths {
  return { tree: "/workspace", home: at.environment ? "/environment" : "/tmp", temporary: "/tmp" };
}

/** The first engine that answers; or why there is none. */
async function detectEngine(): Promise<readonly string[] | string> {
  const silent: string[] = [];
  for (const file of ENGINES) {
    if (
      !(await access(file, constants.X_OK).then(
        () => true,
        () => false,
      ))
    )
      continue;
    const answer = await trusted([file], ["info"]);
    if (answer.exitCode === 0) return [file];
    silent.push(`${file} does not answer (${answer.stderr.trim().split("\n").at(-1)?.slice(0, 200)})`);
  }
  return silent.length > 0 ? silent.join("; ") : "no container engine is installed: install docker or podman";
}

async function trusted(engine: readonly string[], args: readonly string[]) {
  const [file = "", ...leading] = engine;
  return await execa(file, [...leading, ...args], {
    env: engineEnvironment(),
    extendEnv: false,
    stdin: "ignore",
    reject: false,
    timeout: 30_000,
    maxBuffer: 1_000_000,
  });
}

/** Rootless engines keep their state below the home and the run-time directory of the worker's user. */
function engineEnvironment(): Record<string, string> {
  return {
    PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    HOME: homeDirectory() ?? "/",
    XDG_RUNTIME_DIR: `/run/user/${process.getuid?.() ?? 0}`,
  };
}
