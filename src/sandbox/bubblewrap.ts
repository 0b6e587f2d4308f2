import { constants, existsSync } from "node:fs";
import { access, lstat, mkdir, readdir, readFile, readlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type Launch, type LocalBackend, Refusal } from "./backend.ts";
import { certificateVariables, commandEnvironment } from "./command-environment.ts";
import { GATEWAY_SOCKET, gatewayAddress, gatewayRelay, relay } from "./gateway.ts";
import { allowedDestinations, type HostRules } from "./hosts.ts";
import { limitedShell } from "./limits-prologue.ts";
import { giveTo, makeReadable } from "./ownership.ts";
import { proxyVariables } from "./proxy-variables.ts";
import { PROXY_PORT, type RegistryProxy } from "./registry-proxy.ts";
import type { InsidePaths, Tree } from "./sandbox.ts";
import { systemCallFilter } from "./seccomp.ts";
import type { Slot } from "./slots.ts";
import { systemDirectories, type Toolchain } from "./toolchain.ts";

const BWRAP = "/usr/bin/bwrap";
const TRUSTED_PATH = "/usr/sbin:/usr/bin:/sbin:/bin";
const SHARED_MEMORY_BYTES = 256 * 1024 * 1024;
const PROXY_SOCKET = "/run/registry-proxy.sock";
/** The user that a command sees itself as when the worker is not root. */
const INSIDE_UID = 1000;
/** What programs need of /etc: certificates, the loader's and the alternatives' tables, settings of language packages. */
const ETC =
  /^(alternatives|ca-certificates|crypto-policies|java.*|ld\.so\.(cache|conf|conf\.d)|localtime|maven|mime\.types|protocols|services)$/;
/** Folders of /etc that hold private keys too are shown in part. */
const ETC_PARTS = [
  "ssl/certs",
  "ssl/openssl.cnf",
  "pki/ca-trust",
  "pki/java",
  "pki/tls/cert.pem",
  "pki/tls/certs",
  "pki/tls/openssl.cnf",
];

export interface BubblewrapOptions extends HostRules {
  toolchain: Toolchain;
  extraReadPaths: readonly string[];
  /** Trusted folder for the generated user tables. */
  directory: string;
  proxy: RegistryProxy;
}

/**
 * Commands in namespaces of their own, with a file tree built from nothing: what is not listed here does not exist
 * inside. A worker that is root gives each slot a user id without any capability; otherwise a user namespace is used.
 * https://github.com/containers/bubblewrap
 */
export function bubblewrap(options: BubblewrapOptions): LocalBackend {
  const isRoot = process.getuid?.() === 0;
  return {
    name: "bubblewrap",
    describe: () =>
      `bubblewrap, commands run as ${isRoot ? "a user of their own per slot" : "an unprivileged user in a user namespace"}; ` +
      `readable: system directories${options.toolchain.directories.map((path) => `, ${path}`).join("")}`,
    unusable,
    paths,
    prepare,
    close: () => options.proxy.close(),
  };

  async function unusable(): Promise<string | undefined> {
    if (process.platform !== "linux") return `bubblewrap needs Linux, this is ${process.platform}`;
    if (!systemCallFilter(process.arch))
      return `bubblewrap needs a system call filter, which there is not for ${process.arch}`;
    const needed = [BWRAP, "/bin/bash", "/usr/bin/env", "/usr/bin/mkfifo", ...(isRoot ? ["/usr/bin/setpriv"] : [])];
    for (const file of needed) {
      if (!(await isExecutable(file))) {
        return `${file} is missing: install bubblewrap (Debian, Ubuntu: apt-get install bubblewrap socat ripgrep)`;
      }
    }
    return undefined;
  }

  async function prepare(...[command, at, limits, slot]: Parameters<LocalBackend["prepare"]>): Promise<Launch> {
    const inside = paths(at);
    const network = command.network === "none" ? { hosts: [] } : command.network;
    const hosts = "hosts" in network ? allowedDestinations(network.hosts, options) : [];
    const gateway = "gateway" in network ? network.gateway : undefined;
    if (gateway !== undefined && !existsSync("/usr/bin/socat"))
      throw new Refusal("A command's way to the gateway needs socat (apt-get install socat)");
    const session = hosts.length > 0 ? await openProxy(hosts) : undefined;
    const env = commandEnvironment(inside, options.toolchain, {
      readOnlyHome: at.environment?.readOnly ?? false,
      extra: {
        ...(session && { ...certificateVariables(), ...proxyVariables(`http://127.0.0.1:${PROXY_PORT}`) }),
        ...(gateway && gatewayAddress),
        ...command.env,
      },
    });
    const shell = limitedShell(command.run, {
      limits,
      countsProcesses: true,
      env,
      helpers: session ? relay(PROXY_PORT, PROXY_SOCKET) : gateway && gatewayRelay,
    });
    const owned = [
      at.directory,
      at.temporary,
      ...(at.environment && !at.environment.readOnly ? [at.environment.directory] : []),
    ];
    const words = [
      ...(await mounts(at, slot)),
      ...(session ? ["--bind", session.socket, PROXY_SOCKET] : []),
      ...(gateway === undefined ? [] : ["--bind", gateway, GATEWAY_SOCKET]),
      ...["--remount-ro", "/", "--chdir", join(inside.tree, command.directory ?? ".")],
    ];
    const release = async () => {
      session?.close();
      if (!isRoot) return;
      await giveTo(0, owned);
      if (at.environment && !at.environment.readOnly) await makeReadable(at.environment.directory);
    };
    try {
      if (isRoot) await giveTo(slot.uid, owned);
    } catch (error) {
      await release();
      throw error;
    }
    return {
      file: BWRAP,
      // setpriv starts without the command's variables: with privileges it must load nothing that they name.
      args: ["--args", "3", "--", ...(isRoot ? withoutPrivileges(slot) : []), ...shell],
      env: { PATH: TRUSTED_PATH },
      cwd: "/",
      inputs: {
        3: [...namespaces(), ...words].map((word) => `${word}\0`).join(""),
        5: systemCallFilter(process.arch) ?? "",
      },
      release,
    };
  }

  async function openProxy(hosts: readonly string[]) {
    try {
      return await options.proxy.open(hosts);
    } catch (error) {
      const why = error instanceof Error ? error.message : `${error}`;
      throw new Refusal(`${why} Network for commands needs socat and ripgrep (apt-get install socat ripgrep).`);
    }
  }

  function namespaces(): string[] {
    return [
      ...["--die-with-parent", "--new-session", "--info-fd", "4", "--clearenv", "--setenv", "PATH", TRUSTED_PATH],
      ...[
        "--unshare-pid",
        "--unshare-net",
        "--unshare-ipc",
        "--unshare-uts",
        "--unshare-cgroup-try",
        "--hostname",
        "sandbox",
      ],
      ...["--cap-drop", "ALL", "--seccomp", "5"],
      ...(isRoot
        ? // Used by setpriv alone, which drops them with the rest; a root worker needs no user namespace.
          ["--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID", "--cap-add", "CAP_SETPCAP"]
        : ["--unshare-user", "--disable-userns", "--uid", `${INSIDE_UID}`, "--gid", `${INSIDE_UID}`]),
    ];
  }

  async function mounts(at: Tree, slot: Slot): Promise<string[]> {
    const inside = paths(at);
    return [
      ...(await systemMounts()),
      ...["/etc", "/var", "/run"].flatMap((folder) => ["--dir", folder]),
      ...(await etcMounts(slot)),
      ...[
        "--proc",
        "/proc",
        "--dev",
        "/dev",
        "--size",
        `${SHARED_MEMORY_BYTES}`,
        "--perms",
        "1777",
        "--tmpfs",
        "/dev/shm",
      ],
      ...["--remount-ro", "/dev"],
      ...readOnly([...options.toolchain.directories, ...options.extraReadPaths]),
      ...[
        "--bind",
        at.directory,
        inside.tree,
        "--bind",
        at.temporary,
        inside.temporary,
        "--symlink",
        "../tmp",
        "/var/tmp",
      ],
      ...(at.environment
        ? [at.environment.readOnly ? "--ro-bind" : "--bind", at.environment.directory, inside.home]
        : []),
    ];
  }

  async function etcMounts(slot: Slot): Promise<string[]> {
    const uid = isRoot ? slot.uid : INSIDE_UID;
    const folder = join(options.directory, `etc-${uid}`);
    await mkdir(folder, { recursive: true, mode: 0o755 });
    const generated: Record<string, string> = {
      passwd: `root:x:0:0:root:/:/bin/false\nmillwright:x:${uid}:${uid}::${inside.home}:/bin/bash\nnobody:x:65534:65534::/:/bin/false\n`,
      group: `root:x:0:\nmillwright:x:${uid}:\nnogroup:x:65534:\n`,
      hosts: "127.0.0.1 localhost sandbox\n::1 localhost\n",
      "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
    };
    const words: string[] = [];
    for (const [name, text] of Object.entries(generated)) {
      const file = join(folder, name);
      if ((await readFile(file, "utf8").catch(() => undefined)) !== text) await writeFile(file, text, { mode: 0o644 });
      words.push("--ro-bind", file, `/etc/${name}`);
    }
    const parts = ETC_PARTS.map((name) => `/etc/${name}`).filter(existsSync);
    const whole = (await readdir("/etc")).filter((name) => ETC.test(name)).map((name) => `/etc/${name}`);
    return [...words, ...readOnly([...whole, ...parts])];
  }
}

const inside = { tree: "/workspace", home: "/environment", temporary: "/tmp" };

/** The same places for every job: caches that hold absolute paths stay valid. */
function paths(at: Tree): InsidePaths {
  return at.environment ? inside : { ...inside, home: inside.temporary };
}

async function systemMounts(): Promise<string[]> {
  const words: string[] = [];
  for (const directory of systemDirectories()) {
    if ((await lstat(directory)).isSymbolicLink()) words.push("--symlink", await readlink(directory), directory);
    else words.push("--ro-bind", directory, directory);
  }
  return words;
}

/** The folders above are made first: those that bubblewrap makes by itself are closed to other users. */
function readOnly(places: readonly string[]): string[] {
  const above = new Set(places.flatMap(foldersAbove));
  return [
    ...[...above].flatMap((folder) => ["--dir", folder]),
    ...places.flatMap((place) => ["--ro-bind", place, place]),
  ];
}

function foldersAbove(place: string): string[] {
  const names = place.split("/").slice(1, -1);
  return names.map((_, index) => `/${names.slice(0, index + 1).join("/")}`);
}

function withoutPrivileges(slot: Slot): string[] {
  const id = `${slot.uid}`;
  return [
    ...["/usr/bin/setpriv", "--reuid", id, "--regid", id, "--clear-groups"],
    ...["--inh-caps=-all", "--bounding-set=-all", "--no-new-privs", "--"],
  ];
}

async function isExecutable(file: string): Promise<boolean> {
  return access(file, constants.X_OK).then(
    () => true,
    () => false,
  );
}
