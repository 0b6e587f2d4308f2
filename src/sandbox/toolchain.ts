import { existsSync, realpathSync, statSync } from "node:fs";
import { basename, delimiter, dirname, isAbsolute, join, relative, sep } from "node:path";
import { homeDirectory } from "./home-directory.ts";

/** Compilers, interpreters and package managers of the host that commands may read and start. */
export interface Toolchain {
  /** Directories outside the system's own that are shown read-only, none inside another. */
  directories: string[];
  searchPath: string[];
  /** Settings by which version managers find what they installed. */
  variables: Record<string, string>;
}

const SYSTEM = ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64"];
const SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/** Programs whose installation is looked up when they stand on the search path. */
const PROGRAMS =
  "node npm pnpm yarn bun deno python3 python pip uv poetry go cargo rustc java javac mvn gradle ruby bundle php composer dotnet".split(
    " ",
  );
/** Version managers: programs on the search path are small scripts or links that need the manager's folder. */
const MANAGERS: { folder: string; variable: string }[] = [
  { folder: ".pyenv", variable: "PYENV_ROOT" },
  { folder: ".rbenv", variable: "RBENV_ROOT" },
  { folder: ".rustup", variable: "RUSTUP_HOME" },
  { folder: ".asdf", variable: "ASDF_DATA_DIR" },
];

/**
 * Finds the toolchain on `searchPath` (the worker's PATH; by default the system's directories and the usual folders in
 * `home`). Never shows a home directory, `~/.local`, `~/.cargo` (it can hold a registry token) or a folder that contains
 * one of `hidden`; of `~/.cargo` and `~/.local` only `bin`. `extra` is shown as the operator says; throws when one of them
 * is missing or would show a hidden folder.
 */
export function detectToolchain(options: {
  searchPath?: string;
  home?: string;
  extra?: readonly string[];
  hidden: readonly string[];
}): Toolchain {
  const home = options.home ?? homeDirectory() ?? "/nonexistent";
  const hidden = [...options.hidden, home].map(real);
  const shown = (directory: string) => directory !== sep && !hidden.some((secret) => isInside(secret, directory));
  const found: string[] = [];
  const variables: Record<string, string> = {};

  for (const { folder, variable } of MANAGERS) {
    const directory = join(home, folder);
    if (existsSync(directory)) {
      found.push(directory);
      variables[variable] = directory;
    }
  }
  const searchPath = usableSearchPath(options.searchPath ?? defaultSearchPath(home), hidden);
  for (const program of PROGRAMS) {
    const file = searchPath.map((directory) => join(directory, program)).find(existsSync);
    if (!file) continue;
    found.push(dirname(file), ...installationOf(real(file), home));
  }
  for (const directory of options.extra ?? []) {
    if (!isAbsolute(directory) || !existsSync(directory) || !shown(real(directory))) {
      throw new Error(
        `Cannot show toolchain path to sandboxed commands: it must be an absolute, existing folder that contains neither the home nor the data directory, it is "${directory}"`,
      );
    }
    found.push(directory);
  }
  const directories = found.filter((directory) => !isSystem(directory) && shown(real(directory)));
  return { directories: outermost(directories), searchPath, variables };
}

/** Directories of the system that exist here; on most systems all but `/usr` are links into it. */
export function systemDirectories(): string[] {
  return SYSTEM.filter(existsSync);
}

/** True when `path` is `directory` or lies in it. Both absolute. */
export function isInside(path: string, directory: string): boolean {
  const way = relative(directory, path);
  return way === "" || (!way.startsWith("..") && !isAbsolute(way));
}

/** Leaves out what belongs to the worker: folders of installed packages, hidden folders, folders that do not exist. */
function usableSearchPath(searchPath: string, hidden: readonly string[]): string[] {
  const entries = [...new Set(searchPath.split(delimiter))].filter(
    (entry) =>
      isAbsolute(entry) &&
      !entry.split(sep).includes("node_modules") &&
      existsSync(entry) &&
      statSync(entry).isDirectory() &&
      !hidden.includes(real(entry)),
  );
  // Where the worker's Node is the only one (installed as a package), commands get it too.
  if (!entries.some((entry) => existsSync(join(entry, "node")))) entries.push(dirname(process.execPath));
  return entries;
}

function defaultSearchPath(home: string): string {
  const own = [".pyenv/shims", ".pyenv/bin", ".rbenv/shims", ".cargo/bin", ".local/bin"].map((path) =>
    join(home, path),
  );
  return ["/usr/local/go/bin", ...own, SYSTEM_PATH].join(delimiter);
}

/** The folder that an executable was installed into: `<folder>/bin/name`, or a package's `bin` among node_modules. */
function installationOf(file: string, home: string): string[] {
  const segments = file.split(sep);
  const packages = segments.lastIndexOf("node_modules");
  if (packages > 0) return [segments.slice(0, packages + 2).join(sep)];
  const directory = dirname(file);
  const parent = dirname(directory);
  const holdsSecrets = [".local", ".cargo"].includes(basename(parent)) || parent === home;
  return basename(directory) === "bin" && !holdsSecrets ? [parent] : [directory];
}

function outermost(directories: string[]): string[] {
  const unique = [...new Set(directories)].sort();
  return unique.filter((directory) => !unique.some((other) => other !== directory && isInside(directory, other)));
}

function isSystem(directory: string): boolean {
  return (
    SYSTEM.some((system) => isInside(directory, system)) && SYSTEM.some((system) => isInside(real(directory), system))
  );
}

function real(path: string): string {
  return existsSync(path) ? realpathSync(path) : path;
}
