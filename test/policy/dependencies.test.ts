import { describe, expect, it } from "vitest";
import type { FileChange } from "../../src/policy/change.ts";
import { findDependencyChanges } from "../../src/policy/dependencies.ts";

function file(path: string, oldText: string, newText: string): FileChange {
  return { path, status: "modified", kind: "file", oldText, newText, sizeBytes: 1 };
}

describe("findDependencyChanges", () => {
  it.each<[string, string, string, string]>([
    [
      "package.json",
      '{"dependencies":{"a":"1","b":"1"}}',
      '{"dependencies":{"b":"2","c":"3"}}',
      "c 3 added, a removed, b 1 → 2",
    ],
    ["requirements.txt", "flask==1.0\n", "Flask==2.0  # new\nnumpy\n", "numpy added, flask ==1.0 → ==2.0"],
    [
      "pyproject.toml",
      '[project]\ndependencies = ["a>=1"]\n',
      '[project]\ndependencies = ["a>=2"]\n[dependency-groups]\ntest = ["pytest"]\n',
      "pytest added, a >=1 → >=2",
    ],
    ["pyproject.toml", '[tool.poetry.dependencies]\na = "^1"\n', "[tool.poetry.dependencies]\n", "a removed"],
    [
      "go.mod",
      "module m\nrequire a.b/c v1.0.0\n",
      "module m\nrequire (\n\ta.b/c v1.1.0 // indirect\n\td.e/f v0.1.0\n)\n",
      "d.e/f v0.1.0 added, a.b/c v1.0.0 → v1.1.0",
    ],
    [
      "Cargo.toml",
      '[dependencies]\nserde = "1"\n',
      '[dependencies]\nserde = "1"\n[dev-dependencies]\ninsta = "2"\n',
      "insta 2 added",
    ],
    [
      "pom.xml",
      "<p></p>",
      "<p><dependency><groupId>g</groupId><artifactId>a</artifactId><version>1</version></dependency></p>",
      "g:a 1 added",
    ],
    ["build.gradle.kts", 'implementation("g:a:1.0")', 'implementation("g:a:1.1")', "g:a 1.0 → 1.1"],
    ["Gemfile", 'gem "rails", "~> 7"\n', 'gem "rails", "~> 8"\n# gem "x"\n', "rails ~>7 → ~>8"],
    ["composer.json", '{"require":{"a/b":"1"}}', '{"require":{"a/b":"1","c/d":"2"}}', "c/d 2 added"],
  ])("names what changed in %s", (path, before, after, expected) => {
    expect(findDependencyChanges([file(path, before, after)])).toContainEqual({
      rule: "dependencies",
      severity: "draft",
      path,
      message: `dependencies changed: ${expected}`,
    });
    expect(findDependencyChanges([file(path, after, after)])).toEqual([]);
  });

  it.each<[string, string, string, string]>([
    ["dependency-source", "package.json", "{}", '{"dependencies":{"a":"git+https://evil.example/a.git"}}'],
    ["dependency-source", "package.json", "{}", '{"dependencies":{"a":"someone/a#main"}}'],
    ["dependency-source", "requirements.txt", "", "a @ https://evil.example/a.whl\n"],
    ["dependency-source", "Cargo.toml", "", '[dependencies]\na = { git = "https://evil.example" }\n'],
    ["dependency-source", "go.mod", "", "replace a.b/c => ../c\n"],
    ["lifecycle-script", "package.json", "{}", '{"scripts":{"prepare":"node a"}}'],
    ["lifecycle-script", "composer.json", "{}", '{"scripts":{"post-install-cmd":"php a"}}'],
    ["lockfile-only", "yarn.lock", "a", "b"],
    ["package-manager", ".npmrc", "", "registry=https://evil.example"],
    ["dependencies", "package.json", "{}", "{ not json"],
  ])("finds %s in %s", (rule, path, before, after) => {
    expect(findDependencyChanges([file(path, before, after)]).map((finding) => finding.rule)).toContain(rule);
  });

  it("lets a lockfile change with its manifest, and other fields of a manifest change", () => {
    const manifest = file("app/package.json", '{"version":"1"}', '{"version":"2","scripts":{"start":"node ."}}');
    expect(findDependencyChanges([manifest])).toEqual([]);
    expect(
      findDependencyChanges([manifest, file("app/package-lock.json", "1", "2")]).map((finding) => finding.rule),
    ).toEqual(["lockfile"]);
  });
});
