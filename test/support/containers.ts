import { type ChildProcess, execFileSync, spawn, spawnSync } from "node:child_process";
import { randomUUID } from "node:crypto";
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import type { Readable } from "node:stream";

const engine = spawnSync("docker", ["info"], { stdio: "ignore" }).status === 0 ? "docker" : "podman";

/** Whether images can be built and run here, and what is missing. */
export const containersMissing = missing();
export const containersAvailable = containersMissing === undefined;

function missing(): string | undefined {
  if (engine === "docker") return undefined;
  if (process.getuid?.() !== 0) return "needs docker, or root with podman";
  const absent = ["podman", "crun", "debootstrap"].filter(
    (program) => !["/usr/bin", "/usr/sbin", "/usr/local/bin"].some((folder) => existsSync(`${folder}/${program}`)),
  );
  return absent.length === 0 ? undefined : `needs docker, or ${absent.join(", ")}`;
}

const inEngine = '. .ci/containers && containers "$@"';

type Target = "server" | "lambda-worker" | "lambda-sandbox" | "coder";

/** Builds every target of the Dockerfile from this tree; what did not change is taken from the last build. */
export function buildImages(): void {
  execFileSync(resolve(".ci/images"), { stdio: ["ignore", "ignore", "inherit"] });
}

/** A container of an image that `buildImages` made, on the network of this machine, so that loopback is the same. */
export interface Container {
  name: string;
  process: ChildProcess & { stdout: Readable; stderr: Readable };
  /** Ends it as a crash does, and waits until it is gone. */
  remove(): void;
}

export interface ContainerOptions {
  command?: readonly string[];
  environment?: Record<string, string>;
  /** Lets bubblewrap make namespaces and mount a /proc inside, as docs/sandbox.md says. */
  sandbox?: boolean;
}

/** Limits that podman can set where control groups are not usable. */
const onThisMachine = {
  docker: [],
  podman: [
    ...["--cgroups=disabled", "--ulimit", "nofile=4096:4096", "--ulimit", "nproc=2000:2000"],
    ...["--ulimit", "memlock=8388608:8388608"],
  ],
};
const forSandbox = {
  docker: ["seccomp=unconfined", "apparmor=unconfined", "systempaths=unconfined"].flatMap((it) => [
    "--security-opt",
    it,
  ]),
  podman: ["seccomp=unconfined", "unmask=ALL"].flatMap((it) => ["--security-opt", it]),
};

export function runContainer(target: Target, options: ContainerOptions = {}): Container {
  const name = `millwright-test-${randomUUID().slice(0, 8)}`;
  const { command = [], environment = {}, sandbox = false } = options;
  const args = [
    ...["run", "--rm", "--name", name, "--network", "host", ...onThisMachine[engine]],
    ...["--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--read-only", "--tmpfs", "/tmp:rw,exec,mode=1777"],
    ...(sandbox ? forSandbox[engine] : []),
    ...Object.keys(environment).flatMap((variable) => ["--env", variable]),
    `localhost/millwright-${target}:test`,
    ...command,
  ];
  const child = spawn("bash", ["-c", inEngine, "containers", ...args], {
    env: { PATH: process.env["PATH"], HOME: process.env["HOME"], ...environment },
    stdio: ["ignore", "pipe", "pipe"],
  });
  return {
    name,
    process: child,
    remove: () => {
      spawnSync("bash", ["-c", inEngine, "containers", "rm", "--force", name], { stdio: "ignore" });
      child.kill("SIGKILL");
    },
  };
}
