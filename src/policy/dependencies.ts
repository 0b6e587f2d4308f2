import { parse as parseToml } from "smol-toml";
import type { FileChange, Finding } from "./change.ts";

/** Dependencies by name with what is asked of their version, as far as the manifest says. */
type Dependencies = Map<string, string>;

/**
 * Changed dependencies, lockfiles and install scripts, each a draft: what is installed is executed, by us and by
 * whoever merges. Names what was added, removed and changed in package.json, requirements and pyproject.toml, go.mod, Cargo.toml,
 * pom.xml and Gradle, Gemfile and composer.json. A lockfile that changed alone, and scripts that run at
 * installation, are called out by rules of their own.
 */
export function findDependencyChanges(files: readonly FileChange[]): Finding[] {
  const manifests = files.filter((file) => file.kind === "file" && readerOf(file.path) !== undefined);
  const findings = manifests.flatMap((file) => [
    ...dependencyFindings(file),
    ...scriptFindings(file),
    ...sourceFindings(file),
  ]);
  for (const file of files) {
    if (file.kind !== "file") continue;
    if (packageManagerSettings.test(baseName(file.path)))
      findings.push(
        draft(
          "package-manager",
          file.path,
          "the package manager's settings were changed: they decide where packages come from",
        ),
      );
    if (!isLockfile(file.path)) continue;
    const folder = file.path.slice(0, file.path.lastIndexOf("/") + 1);
    const withManifest = manifests.some(
      (manifest) =>
        folder.startsWith(manifest.path.slice(0, manifest.path.lastIndexOf("/") + 1)) ||
        manifest.path.startsWith(folder),
    );
    findings.push(
      withManifest
        ? draft("lockfile", file.path, "the lockfile was changed")
        : draft("lockfile-only", file.path, "the lockfile was changed, and no manifest was"),
    );
  }
  return findings.slice(0, 50);
}

const lockfile =
  /^(?:package-lock\.json|npm-shrinkwrap\.json|yarn\.lock|pnpm-lock\.yaml|bun\.lockb?|deno\.lock|Cargo\.lock|poetry\.lock|uv\.lock|pdm\.lock|pylock(?:\.\w+)?\.toml|Pipfile\.lock|Gemfile\.lock|gems\.locked|composer\.lock|go\.sum|go\.work\.sum|gradle\.lockfile|verification-metadata\.xml|packages\.lock\.json)$/i;
/** Whether a package manager wrote the file, to say exactly what is installed. */
export function isLockfile(path: string): boolean {
  return lockfile.test(baseName(path));
}

const packageManagerSettings =
  /^(?:\.npmrc|\.yarnrc(?:\.ya?ml)?|\.pnpmfile\.c?js|pnpm-workspace\.yaml|bunfig\.toml|pip\.conf|\.pypirc|nuget\.config|settings\.gradle(?:\.kts)?|gradle-wrapper\.properties|maven-wrapper\.properties|rust-toolchain(?:\.toml)?|build\.rs|setup\.py)$/i;

type Reader = (text: string) => Dependencies;

function readerOf(path: string): Reader | undefined {
  const name = baseName(path);
  if (name === "package.json") return packageJson;
  if (
    /^(?:requirements|constraints)[\w.-]*\.(?:txt|in)$/i.test(name) ||
    /(?:^|\/)requirements\/[^/]+\.(?:txt|in)$/i.test(path)
  )
    return requirements;
  if (name === "pyproject.toml" || name === "Pipfile") return pythonToml;
  if (name === "go.mod") return goMod;
  if (name === "Cargo.toml") return cargo;
  if (name === "pom.xml") return maven;
  if (/^build\.gradle(?:\.kts)?$|\.versions\.toml$/.test(name)) return gradle;
  if (name === "Gemfile" || name === "gems.rb" || name.endsWith(".gemspec")) return gemfile;
  return name === "composer.json" ? composer : undefined;
}

function dependencyFindings(file: FileChange): Finding[] {
  const read = readerOf(file.path)!;
  const before = safely(read, file.oldText);
  const after = safely(read, file.newText);
  if (before === undefined || after === undefined)
    return [draft("dependencies", file.path, "the manifest was changed and cannot be read")];
  const changes = [
    ...[...after]
      .filter(([name]) => !before.has(name))
      .map(([name, version]) => `${show(name)}${version === "" ? "" : ` ${show(version)}`} added`),
    ...[...before].filter(([name]) => !after.has(name)).map(([name]) => `${show(name)} removed`),
    ...[...after]
      .filter(([name, version]) => before.has(name) && before.get(name) !== version)
      .map(([name, version]) => `${show(name)} ${show(before.get(name)!)} → ${show(version)}`),
  ];
  if (changes.length === 0) return [];
  const more = changes.length > 12 ? ` and ${changes.length - 12} more` : "";
  return [draft("dependencies", file.path, `dependencies changed: ${changes.slice(0, 12).join(", ")}${more}`)];
}

/** Scripts that npm and composer run without being asked. */
function scriptFindings(file: FileChange): Finding[] {
  const name = baseName(file.path);
  if (name !== "package.json" && name !== "composer.json") return [];
  const lifecycle =
    name === "package.json"
      ? /^(?:pre|post)?(?:install|prepare|pack|publish|uninstall|version|dependencies)$|^prepublishOnly$/
      : /^(?:pre|post)-/;
  const [before, after] = [scripts(file.oldText), scripts(file.newText)];
  return [...new Set([...before.keys(), ...after.keys()])]
    .filter((script) => lifecycle.test(script) && before.get(script) !== after.get(script) && after.has(script))
    .map((script) =>
      draft(
        "lifecycle-script",
        file.path,
        `the script \`${show(script)}\` runs at installation and was ${before.has(script) ? "changed" : "added"}`,
      ),
    );
}

/** A dependency that does not come from the registry. */
function sourceFindings(file: FileChange): Finding[] {
  const read = readerOf(file.path)!;
  const before = safely(read, file.oldText) ?? new Map<string, string>();
  const after = safely(read, file.newText) ?? new Map<string, string>();
  return [...after]
    .filter(
      ([name, version]) =>
        before.get(name) !== version &&
        /^(?:git|https?|ssh|file|link|github|gitlab|bitbucket)[+:]|git\+|\bgit\b\s*[=:]|\.git\b|^[\w-]+\/[\w.-]+(?:#|$)|=>|@\s*(?:git\+|https?:|file:)/i.test(
          version,
        ),
    )
    .map(([name]) => draft("dependency-source", file.path, `\`${show(name)}\` does not come from the registry`));
}

function safely(read: Reader, text: string | undefined): Dependencies | undefined {
  if (text === undefined || text.trim() === "") return new Map();
  try {
    return read(text.slice(0, 1_000_000));
  } catch {
    return undefined;
  }
}

function packageJson(text: string): Dependencies {
  const manifest = object(JSON.parse(text));
  const found: Dependencies = new Map();
  for (const field of [
    "dependencies",
    "devDependencies",
    "optionalDependencies",
    "peerDependencies",
    "bundledDependencies",
    "bundleDependencies",
    "overrides",
    "resolutions",
    "pnpm",
    "packageManager",
    "workspaces",
  ]) {
    const value = manifest[field];
    if (field === "packageManager" && typeof value === "string") found.set(field, value);
    for (const [name, version] of Object.entries(object(value)))
      found.set(
        name,
        `${found.has(name) ? `${found.get(name)} ` : ""}${typeof version === "string" ? version : JSON.stringify(version)}`,
      );
  }
  return found;
}

function composer(text: string): Dependencies {
  const manifest = object(JSON.parse(text));
  return new Map(
    ["require", "require-dev", "repositories"].flatMap((field) =>
      Object.entries(object(manifest[field])).map(([name, version]): [string, string] => [
        name,
        typeof version === "string" ? version : JSON.stringify(version),
      ]),
    ),
  );
}

function scripts(text: string | undefined): Map<string, string> {
  try {
    return new Map(
      Object.entries(object(object(JSON.parse(text ?? "{}")).scripts)).map(([name, command]) => [
        name,
        JSON.stringify(command),
      ]),
    );
  } catch {
    return new Map();
  }
}

function requirements(text: string): Dependencies {
  const found: Dependencies = new Map();
  for (const raw of text.replace(/\\\n/g, " ").split("\n")) {
    const line = raw
      .replace(/(?:^|\s)#.*$/, "")
      .replace(/\s--hash=\S+/g, "")
      .trim();
    if (line === "") continue;
    addPython(found, line);
  }
  return found;
}

function addPython(found: Dependencies, line: string): void {
  const match = /^([A-Za-z0-9][\w.-]*)(?:\[[^\]]*\])?\s*(.*)$/.exec(line);
  if (match === null) found.set(line.slice(0, 80), "");
  else found.set(match[1]!.toLowerCase().replace(/[._]/g, "-"), match[2]!);
}

function pythonToml(text: string): Dependencies {
  const root = object(parseToml(text));
  const found: Dependencies = new Map();
  const project = object(root.project);
  const lists = [
    project.dependencies,
    ...Object.values(object(project["optional-dependencies"])),
    ...Object.values(object(root["dependency-groups"])),
    object(root["build-system"]).requires,
  ];
  for (const list of lists)
    if (Array.isArray(list)) for (const line of list) if (typeof line === "string") addPython(found, line);
  const poetry = object(object(root.tool).poetry);
  const groups = Object.values(object(poetry.group)).map((group) => object(group).dependencies);
  for (const table of [
    poetry.dependencies,
    poetry["dev-dependencies"],
    ...groups,
    root.packages,
    root["dev-packages"],
    object(object(root.tool).uv).sources,
  ])
    addTable(found, table);
  return found;
}

function cargo(text: string): Dependencies {
  const root = object(parseToml(text));
  const found: Dependencies = new Map();
  const tables = (from: Record<string, unknown>) =>
    ["dependencies", "dev-dependencies", "build-dependencies"].map((field) => from[field]);
  const targets = Object.values(object(root.target)).flatMap((target) => tables(object(target)));
  for (const table of [
    ...tables(root),
    ...tables(object(root.workspace)),
    ...targets,
    ...Object.values(object(root.patch)),
  ])
    addTable(found, table);
  const build = object(root.package).build;
  if (build !== undefined) found.set("(build script)", String(build));
  return found;
}

function addTable(found: Dependencies, table: unknown): void {
  for (const [name, version] of Object.entries(object(table)))
    found.set(name, typeof version === "string" ? version : JSON.stringify(version).replaceAll('"', " ").trim());
}

function goMod(text: string): Dependencies {
  const found: Dependencies = new Map();
  let block = "";
  for (const raw of text.split("\n")) {
    const line = raw.replace(/\/\/.*$/, "").trim();
    const open = /^(require|replace|exclude|tool)\s*\($/.exec(line);
    if (open !== null) block = open[1]!;
    else if (line === ")") block = "";
    else {
      const [, word = "", rest = ""] = /^(?:(require|replace|exclude|toolchain|tool)\s+)?(.*)$/.exec(line) ?? [];
      const kind = word || block;
      const [name, ...version] = rest.split(/\s+/);
      if (kind !== "" && name) found.set(kind === "require" ? name : `${kind} ${name}`, version.join(" "));
    }
  }
  return found;
}

function maven(text: string): Dependencies {
  const found: Dependencies = new Map();
  const clean = text.replace(/<!--[\s\S]*?(?:-->|$)/g, "");
  for (const [, tag, body] of clean.matchAll(
    /<(dependency|plugin|parent|extension|repository|pluginRepository)>((?:(?!<\/?\1>)[\s\S]){0,5000})<\/\1>/g,
  )) {
    const field = (name: string) => new RegExp(`<${name}>\\s*([^<]*?)\\s*</${name}>`).exec(body!)?.[1] ?? "";
    if (/epository/.test(tag!)) found.set(`repository ${field("id")}`, field("url"));
    else found.set(`${field("groupId")}:${field("artifactId")}`, field("version"));
  }
  for (const [, name, value] of clean.matchAll(/<([\w.-]+[.-]version)>\s*([^<]*?)\s*<\//g)) found.set(name!, value!);
  return found;
}

function gradle(text: string): Dependencies {
  const found: Dependencies = new Map();
  const clean = text.replace(/\/\*[\s\S]*?(?:\*\/|$)/g, "").replace(/(^|\s)(?:\/\/|#).*/g, "$1");
  for (const [, name, version] of clean.matchAll(/["']([\w.-]+:[\w.-]+)(?::([^"'@]*))?(?:@\w+)?["']/g))
    found.set(name!, version ?? "");
  for (const [, id, version] of clean.matchAll(
    /\bid\s*\(?\s*["']([\w.-]+)["']\s*\)?(?:\s*version\s*\(?\s*["']([^"']+)["'])?/g,
  ))
    found.set(`plugin ${id}`, version ?? "");
  for (const [, name, version] of clean.matchAll(/^\s*([\w-]+)\s*=\s*["']([\w.+-]+)["']\s*$/gm))
    if (/^\d/.test(version!)) found.set(name!, version!);
  for (const [, url] of clean.matchAll(/\b(?:url|uri)\s*[=(]?\s*(?:uri\s*\()?\s*["']([^"']+)["']/g))
    found.set(`repository ${url}`, "");
  return found;
}

function gemfile(text: string): Dependencies {
  const found: Dependencies = new Map();
  for (const raw of text.split("\n")) {
    const match =
      /^\s*(?:\w+\.)?(gem|add_(?:runtime_|development_)?dependency|source)[\s(]+["']([^"']+)["']\s*,?\s*(.*)$/.exec(
        raw.replace(/(^|\s)#.*$/, "$1"),
      );
    if (match !== null)
      found.set(match[1] === "source" ? `source ${match[2]}` : match[2]!, match[3]!.replace(/["')\s]/g, ""));
  }
  return found;
}

function object(value: unknown): Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {};
}

function baseName(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}

function show(text: string): string {
  return text.replace(/[^\x20-\x7e]|`/g, "?").slice(0, 60);
}

function draft(rule: string, path: string, message: string): Finding {
  return { rule, severity: "draft", path, message };
}
