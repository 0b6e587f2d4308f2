import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** What of the bubblewrap backend is not installed. */
export function bubblewrapMissing(): string | undefined {
  if (process.platform !== "linux") return "Linux";
  const missing = ["bwrap", "socat", "rg"].filter((file) => !existsSync(`/usr/bin/${file}`));
  return missing.length > 0 ? missing.join(", ") : undefined;
}

export interface ContainerEngine {
  missing: string | undefined;
  image: string;
  command: readonly string[] | undefined;
  controlGroups: boolean;
}

/**
 * The container engine of this machine, and an image made of the machine's own system directories: no registry is
 * needed. Where control groups are not usable, podman runs in a mount namespace with a hierarchy of its own.
 */
export function containerEngine(): ContainerEngine {
  const image = "localhost/millwright-sandbox-test:3";
  const none = (missing: string): ContainerEngine => ({ missing, image, command: undefined, controlGroups: true });
  const usual = ["/usr/bin/docker", "/usr/local/bin/docker", "/usr/bin/podman"]
    .filter(existsSync)
    .map((file) => [file]);
  const apart = existsSync("/usr/bin/podman") && process.getuid?.() === 0 ? [podmanApart()] : [];
  for (const [command, controlGroups] of [
    ...usual.map((it) => [it, true] as const),
    ...apart.map((it) => [it, false] as const),
  ]) {
    const [file = "", ...leading] = command;
    const run = (...args: string[]) =>
      spawnSync(file, [...leading, ...args], { stdio: ["ignore", "pipe", "pipe"], timeout: 120_000 });
    if (run("info").status !== 0) continue;
    if (run("image", "inspect", image).status !== 0 && !importImage(command, image)) continue;
    const groups = controlGroups ? [] : ["--cgroups", "disabled"];
    const limits = controlGroups
      ? ["--pids-limit", "100"]
      : ["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=500:500"];
    if (run("run", "--rm", "--network", "none", ...groups, ...limits, image, "/bin/true").status !== 0) continue;
    return { missing: undefined, image, command, controlGroups };
  }
  return none("a container engine that can run an image: docker or podman");
}

function podmanApart(): string[] {
  const folder = join(tmpdir(), "millwright-test-podman");
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const file = join(folder, "podman");
  const script = 'umount -R /sys/fs/cgroup && mount -t cgroup2 none /sys/fs/cgroup && exec "$@"';
  writeFileSync(
    file,
    `#!/bin/sh\nexec unshare -m bash -c '${script}' -- /usr/bin/podman --cgroup-manager=cgroupfs "$@"\n`,
    { mode: 0o755 },
  );
  return [file];
}

/** Programs of this machine with the libraries that they load: enough to run the suite, without a download. */
function importImage([file = "", ...leading]: readonly string[], image: string): boolean {
  const programs =
    "bash cat chmod dd echo env false grep head id kill ln ls mkdir mkfifo mount mv pwd rm sed seq setsid sleep socat stat tail timeout touch tr true unshare wc"
      .split(" ")
      .map((name) => `/usr/bin/${name}`)
      .filter(existsSync);
  const script = `
    set -euo pipefail
    root=$(mktemp -d); trap 'rm -rf "$root"' EXIT
    mkdir -p "$root"/{usr/bin,usr/lib,usr/lib64,tmp,workspace,environment,etc}
    ln -s usr/bin "$root/bin"; ln -s usr/lib "$root/lib"; ln -s usr/lib64 "$root/lib64"
    cp -L ${programs.join(" ")} "$root/usr/bin/"
    for library in $(ldd ${programs.join(" ")} | grep -o '/lib[^ ]*' | sort -u); do
      mkdir -p "$root/$(dirname "$library")"; cp -L "$library" "$root/$library"
    done
    tar -C "$root" -c . | "$@"`;
  const done = spawnSync("bash", ["-c", script, "bash", file, ...leading, "import", "-", image], {
    stdio: "ignore",
    timeout: 120_000,
  });
  return done.status === 0;
}
