import { describe, expect, it } from "vitest";
import { type EnvironmentParts, environmentKey, lockfilesOf } from "../../src/checks/environment-key.ts";

const parts: EnvironmentParts = {
  installationId: 1,
  repositoryId: 2,
  trust: "own",
  setup: [
    { run: "npm ci", directory: "." },
    { run: "npm run generate", directory: "." },
  ],
  lockfiles: [
    { path: "package.json", blobSha: "a1" },
    { path: "package-lock.json", blobSha: "b2" },
  ],
  toolchain: "node 24.21.0 linux-x64",
};

describe("environmentKey", () => {
  it("environmentKey is a SHA-256 in hex that does not depend on the order of the lockfiles", () => {
    expect(environmentKey(parts)).toMatch(/^[0-9a-f]{64}$/);
    expect(environmentKey({ ...parts, lockfiles: parts.lockfiles.toReversed() })).toBe(environmentKey(parts));
  });

  it.each<[string, Partial<EnvironmentParts>]>([
    ["installation", { installationId: 3 }],
    ["repository", { repositoryId: 3 }],
    ["trust level", { trust: "fork" }],
    ["setup commands", { setup: [{ run: "npm ci --ignore-scripts", directory: "." }] }],
    ["order of setup commands", { setup: parts.setup.toReversed() }],
    ["directory of a setup command", { setup: [{ run: "npm ci", directory: "web" }, parts.setup[1]!] }],
    [
      "lockfile",
      {
        lockfiles: [
          { path: "package.json", blobSha: "a1" },
          { path: "package-lock.json", blobSha: "c3" },
        ],
      },
    ],
    ["toolchain", { toolchain: "node 22.0.0 linux-x64" }],
    ["borders between parts", { setup: [], lockfiles: [], toolchain: '",[]' }],
  ])("environmentKey changes with the %s", (_name, change) => {
    expect(environmentKey({ ...parts, ...change })).not.toBe(environmentKey(parts));
  });
});

describe("lockfilesOf", () => {
  it("lockfilesOf finds manifests and lockfiles, nested ones too, but no vendored ones", () => {
    const files = [
      "package.json",
      "packages/a/package.json",
      "node_modules/x/package.json",
      "src/index.ts",
      "go.sum",
      "requirements-dev.txt",
      "requirements/test.txt",
      "test/fixtures/p/package.json",
      "App/App.csproj",
      ".cargo/config.toml",
      "docs/requirements.md",
    ];
    expect(lockfilesOf({ files })).toEqual([
      ".cargo/config.toml",
      "App/App.csproj",
      "go.sum",
      "package.json",
      "packages/a/package.json",
      "requirements-dev.txt",
      "requirements/test.txt",
    ]);
  });
});
