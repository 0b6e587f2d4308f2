import { createHash } from "node:crypto";
import type { RepositoryView } from "./repository-view.ts";

export interface EnvironmentParts {
  installationId: number;
  repositoryId: number;
  /** Whose commit it is: a fork's never shares an environment with the repository's own branches (security.md M14). */
  trust: "own" | "fork";
  /** The setup commands in their order, with the directory in which each runs. */
  setup: readonly { run: string; directory: string }[];
  /** What setup installs from, with the blob of each at the commit. */
  lockfiles: readonly { path: string; blobSha: string }[];
  /** Name and versions of what runs the commands, such as an image digest or "node 24.21.0 linux-x64". */
  toolchain: string;
}

/**
 * Returns the name of an environment cache entry: the SHA-256, in hex, of everything that decides what setup installs
 * (architecture.md rule 14). Lockfiles count as a set, setup commands as a list.
 */
export function environmentKey(parts: EnvironmentParts): string {
  const lockfiles = parts.lockfiles.map(({ path, blobSha }) => [path, blobSha]).sort((a, b) => compare(a[0]!, b[0]!));
  const setup = parts.setup.map(({ run, directory }) => [directory, run]);
  // JSON keeps the parts apart: no text in one can look like another.
  const text = JSON.stringify([
    "environment/1",
    parts.installationId,
    parts.repositoryId,
    parts.trust,
    setup,
    lockfiles,
    parts.toolchain,
  ]);
  return createHash("sha256").update(text).digest("hex");
}

/**
 * Returns the paths, sorted, of the manifests and lockfiles that setup installs from, those of nested packages
 * included; vendored and fixture directories are left out.
 */
export function lockfilesOf(view: Pick<RepositoryView, "files">): string[] {
  return view.files.filter((path) => isManifest(path) && !skippedDirectory.test(path)).sort(compare);
}

const skippedDirectory = /(?:^|\/)(?:node_modules|vendor|third_party|testdata|fixtures|__fixtures__)\//;

const manifestNames = new Set([
  "package.json",
  "package-lock.json",
  "npm-shrinkwrap.json",
  "pnpm-lock.yaml",
  "pnpm-workspace.yaml",
  ".pnpmfile.cjs",
  "yarn.lock",
  ".yarnrc.yml",
  ".yarnrc",
  ".npmrc",
  "bun.lock",
  "bun.lockb",
  "bunfig.toml",
  ".node-version",
  ".nvmrc",
  "pyproject.toml",
  "setup.py",
  "setup.cfg",
  "uv.lock",
  "uv.toml",
  "poetry.lock",
  "poetry.toml",
  "Pipfile",
  "Pipfile.lock",
  "tox.ini",
  ".python-version",
  "pip.conf",
  "go.mod",
  "go.sum",
  "go.work",
  "go.work.sum",
  "Cargo.toml",
  "Cargo.lock",
  "rust-toolchain",
  "rust-toolchain.toml",
  "pom.xml",
  "maven-wrapper.properties",
  "extensions.xml",
  "maven.config",
  "build.gradle",
  "build.gradle.kts",
  "settings.gradle",
  "settings.gradle.kts",
  "gradle.properties",
  "gradle.lockfile",
  "gradle-wrapper.properties",
  "libs.versions.toml",
  "global.json",
  "packages.lock.json",
  "Directory.Build.props",
  "Directory.Build.targets",
  "Directory.Packages.props",
  "nuget.config",
  "NuGet.Config",
  "paket.lock",
  "Gemfile",
  "Gemfile.lock",
  "gems.rb",
  "gems.locked",
  ".ruby-version",
  "composer.json",
  "composer.lock",
]);
const manifestPatterns =
  /(?:\.(?:csproj|fsproj|vbproj|sln|slnx|gemspec)|(?:^|[-_/])requirements[^/]*\.(?:txt|in)|(?:^|\/)requirements\/[^/]+\.(?:txt|in)|(?:^|\/)\.cargo\/config(?:\.toml)?)$/;

function isManifest(path: string): boolean {
  return manifestNames.has(path.slice(path.lastIndexOf("/") + 1)) || manifestPatterns.test(path);
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
