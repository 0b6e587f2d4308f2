import { describe, expect, it } from "vitest";
import { foldPath, protectionOf } from "../../src/policy/protected-paths.ts";

const options = { globs: ["infra/**", "*.pem", "/deploy.sh", "secrets/"], ownRepository: false };

describe("protectionOf", () => {
  it.each([
    [".github/workflows/ci.yml", "ci"],
    [".GitHub/Workflows/CI.yml", "ci"],
    [".g\u0131thub/workflows/ci.yml", "ci"],
    [".github\u200b/workflows/ci.yml", "ci"],
    ["\uff0egithub/workflows/ci.yml", "ci"],
    [".git\u210cub/workflows/ci.yml", "ci"],
    [".github./workflows /ci.yml", "ci"],
    [".github/actions/setup/action.yml", "ci"],
    [".gitlab-ci.yml", "ci"],
    [".circleci/config.yml", "ci"],
    ["azure-pipelines.yml", "ci"],
    ["Jenkinsfile", "ci"],
    ["services/api/Jenkinsfile.release", "ci"],
    [".travis.yml", "ci"],
    ["bitbucket-pipelines.yml", "ci"],
    [".buildkite/pipeline.yml", "ci"],
    ["cloudbuild.yaml", "ci"],
    ["CODEOWNERS", "codeowners"],
    [".github/CODEOWNERS", "codeowners"],
    [".github/millwright.yml", "configuration"],
    [".env", "environment-file"],
    ["apps/web/.env.production", "environment-file"],
    [".env.local", "environment-file"],
    [".gitmodules", "git"],
    ["sub/.git/config", "git"],
    ["sub/.GIT/hooks/pre-commit", "git"],
    ["sub/git~1/config", "git"],
    [".git::$INDEX_ALLOCATION/config", "git"],
    [".husky/pre-commit", "git"],
    [".githooks/pre-push", "git"],
    ["infra/main.tf", "configured"],
    ["Infra/Main.tf", "configured"],
    ["keys/a.pem", "configured"],
    ["deploy.sh", "configured"],
    ["secrets/a/b.txt", "configured"],
  ])("protects %j as %s", (path, rule) => {
    expect(protectionOf(path, options)?.rule).toBe(rule);
  });

  it.each([
    ".env.example",
    ".env.sample",
    "apps/web/.env.template",
    ".env.local.example",
    "src/environment.ts",
    "env/main.ts",
    ".github/ISSUE_TEMPLATE/bug.md",
    "docs/workflows/ci.yml",
    ".gitignore",
    "src/codeowners.ts",
    "src/github/workflows.ts",
    "other/deploy.sh",
    "src/policy/guard.ts",
    "package.json",
  ])("leaves %j alone", (path) => {
    expect(protectionOf(path, options)).toBeUndefined();
  });

  it.each([
    "src/policy/guard.ts",
    "src/agent/prompts/write-change.md",
    "src/config/repository.ts",
    "app.yml",
    "AGENTS.md",
  ])("protects %j in Millwright's own repository", (path) => {
    expect(protectionOf(path, { globs: [], ownRepository: true })?.rule).toBe("own-repository");
    expect(protectionOf(path, { globs: [], ownRepository: false })).toBeUndefined();
  });
});

describe("foldPath", () => {
  it.each([
    ["README.md", "readme.MD"],
    ["stra\u00dfe.txt", "STRASSE.txt"],
    ["caf\u00e9", "cafe\u0301"],
    ["\u017ftatus", "status"],
    ["a.txt", "a.txt. "],
    ["a/b", "a//./b"],
  ])("lets %j and %j collide", (one, other) => {
    expect(foldPath(one)).toBe(foldPath(other));
  });

  it("keeps different names apart", () => {
    expect(foldPath("src/a.ts")).not.toBe(foldPath("src/b.ts"));
    expect(foldPath("a/b")).not.toBe(foldPath("ab"));
  });
});
