import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Change, type FileChange, type GuardPolicy, guardChange } from "../../src/policy/guard.ts";
import { createRedactor } from "../../src/policy/redact.ts";

const ours = "ourOwn-Secret.Value/0123456789abc";
const redactor = createRedactor([{ name: "ANTHROPIC_API_KEY", value: ours }]);
const policy: GuardPolicy = { protectedPaths: ["infra/**"], maxFiles: 3, maxLines: 20, redactor, ownRepository: false };
// Put together so that this file contains nothing that looks like a token.
const token = `ghp_${"aB3dE5gH7jK9mN1pQ2rS4tU6vW8xYz0cFiLo"}`;

const base: Change = {
  baseSha: "a".repeat(40),
  headSha: "b".repeat(40),
  branch: "millwright/issue-7-abc",
  commits: [{ message: "fix: add numbers", author: "Octocat <o@example.com>" }],
  files: [file({ path: "src/sum.ts", oldText: "export const a = 1;\n", newText: "export const a = 2;\n" })],
  texts: [{ name: "title", text: "Add numbers" }],
};

function file(change: Partial<FileChange> & { path: string }): FileChange {
  return {
    status: change.oldText === undefined ? "added" : "modified",
    kind: "file",
    newMode: "100644",
    sizeBytes: 10,
    ...change,
  };
}

function judge(change: Partial<Change>, overrides: Partial<GuardPolicy> = {}) {
  return guardChange({ ...base, ...change }, { ...policy, ...overrides });
}

const blocking: [rule: string, what: string, change: Partial<Change>][] = [
  ["secret", "our secret in a file", { files: [file({ path: "a.ts", newText: `x = "${ours}"` })] }],
  [
    "secret",
    "our secret in base64",
    { files: [file({ path: "a.ts", newText: Buffer.from(`ab${ours}`).toString("base64") })] },
  ],
  ["secret", "our secret reversed", { files: [file({ path: "a.ts", newText: [...ours].reverse().join("") })] }],
  [
    "secret",
    "our secret in two strings",
    { files: [file({ path: "a.ts", newText: `"${ours.slice(0, 15)}" + "${ours.slice(15)}"` })] },
  ],
  [
    "secret",
    "our secret in two files",
    { files: [file({ path: "a.txt", newText: ours.slice(0, 15) }), file({ path: "b.txt", newText: ours.slice(15) })] },
  ],
  [
    "secret",
    "our secret at the base already",
    { files: [file({ path: "a.ts", oldText: `${ours}\n`, newText: `${ours}\nmore\n` })] },
  ],
  ["secret", "our secret in the branch's name", { branch: `millwright/${ours}` }],
  ["secret", "our secret in a commit message", { commits: [{ message: Buffer.from(ours).toString("hex") }] }],
  ["secret", "our secret as an author", { commits: [{ message: "fix: a", author: ours }] }],
  ["secret", "our secret in the pull request", { texts: [{ name: "body", text: encodeURIComponent(ours) }] }],
  [
    "secret",
    "our secret in a path",
    { files: [file({ path: `a/${Buffer.from(ours).toString("hex")}.txt`, newText: "" })] },
  ],
  [
    "secret",
    "our secret as a link's target",
    { files: [file({ path: "a", kind: "symlink", newMode: "120000", symlinkTarget: ours })] },
  ],
  ["secret", "a token in a file", { files: [file({ path: "a.ts", newText: token })] }],
  ["secret", "a token in a test", { files: [file({ path: "test/a.test.ts", newText: token })] }],
  ["secret", "a token in a commit message", { commits: [{ message: token }] }],
  ["secret", "a token in the branch's name", { branch: `millwright/${token}` }],
  ["secret", "a token in the pull request", { texts: [{ name: "body", text: token }] }],
  ["protected-ci", "a workflow", { files: [file({ path: ".github/workflows/ci.yml", newText: "" })] }],
  ["protected-ci", "a workflow in other letters", { files: [file({ path: ".GitHub/WORKFLOWS/ci.yml", newText: "" })] }],
  [
    "protected-ci",
    "a deleted workflow",
    { files: [file({ path: ".github/workflows/ci.yml", status: "deleted", oldText: "" })] },
  ],
  [
    "protected-ci",
    "a workflow that is renamed away",
    {
      files: [
        file({
          path: "old.yml",
          previousPath: ".github/workflows/ci.yml",
          status: "renamed",
          oldText: "",
          newText: "",
        }),
      ],
    },
  ],
  ["protected-ci", "a pipeline of another CI", { files: [file({ path: ".circleci/config.yml", newText: "" })] }],
  ["protected-codeowners", "CODEOWNERS", { files: [file({ path: "docs/CODEOWNERS", newText: "" })] }],
  ["protected-configuration", "our configuration", { files: [file({ path: ".github/millwright.yml", newText: "" })] }],
  ["protected-environment-file", "an environment file", { files: [file({ path: "app/.env.local", newText: "A=1" })] }],
  ["protected-configured", "a configured path", { files: [file({ path: "infra/main.tf", newText: "" })] }],
  ["protected-git", "submodule settings", { files: [file({ path: ".gitmodules", newText: "" })] }],
  ["protected-git", "a nested repository", { files: [file({ path: "sub/.git/config", newText: "" })] }],
  ["submodule", "a submodule", { files: [file({ path: "lib", kind: "submodule", newMode: "160000" })] }],
  [
    "symlink",
    "a link out of the tree",
    { files: [file({ path: "a/b", kind: "symlink", newMode: "120000", symlinkTarget: "../../etc/passwd" })] },
  ],
  [
    "symlink",
    "an absolute link",
    { files: [file({ path: "a", kind: "symlink", newMode: "120000", symlinkTarget: "/etc/passwd" })] },
  ],
  [
    "symlink",
    "a link that leaves and comes back",
    { files: [file({ path: "a", kind: "symlink", newMode: "120000", symlinkTarget: "../repo/x" })] },
  ],
  [
    "symlink",
    "a link into .git",
    { files: [file({ path: "a", kind: "symlink", newMode: "120000", symlinkTarget: ".Git/config" })] },
  ],
  ["symlink", "a link without a known target", { files: [file({ path: "a", kind: "symlink", newMode: "120000" })] }],
  [
    "mode",
    "a script made executable",
    { files: [file({ path: "run.sh", oldText: "a", newText: "a", oldMode: "100644", newMode: "100755" })] },
  ],
  [
    "mode",
    "a file that became a link",
    {
      files: [
        file({
          path: "a",
          kind: "symlink",
          status: "modified",
          oldMode: "100644",
          newMode: "120000",
          symlinkTarget: "b",
        }),
      ],
    },
  ],
  [
    "path-collision",
    "two cases of one name",
    { files: [file({ path: "src/a.ts", newText: "" }), file({ path: "src/A.ts", newText: "" })] },
  ],
  [
    "path-collision",
    "two cases of one folder",
    { files: [file({ path: "src/a.ts", newText: "" }), file({ path: "SRC/b.ts", newText: "" })] },
  ],
  [
    "path-collision",
    "two Unicode forms",
    { files: [file({ path: "caf\u00e9", newText: "" }), file({ path: "cafe\u0301", newText: "" })] },
  ],
  [
    "path-collision",
    "the other case of a file that is there",
    { basePaths: ["README.md"], files: [file({ path: "readme.md", newText: "" })] },
  ],
  ["path-characters", "a line end in a path", { files: [file({ path: "a\nb", newText: "" })] }],
  ["path-characters", "a zero-width space in a path", { files: [file({ path: "a\u200bb", newText: "" })] }],
  ["path-characters", "a backslash in a path", { files: [file({ path: "a\\..\\b", newText: "" })] }],
  ["path-characters", "a path like an option", { files: [file({ path: "--upload-pack=x", newText: "" })] }],
  ["path-outside", "a path that climbs", { files: [file({ path: "../a", newText: "" })] }],
  ["gitattributes", "a filter", { files: [file({ path: ".gitattributes", newText: "*.c filter=evil" })] }],
  [
    "gitattributes",
    "a diff driver in a folder",
    { files: [file({ path: "a/.gitattributes", oldText: "* text", newText: "* text\n*.c diff=evil" })] },
  ],
];

const drafting: [rule: string, what: string, change: Partial<Change>][] = [
  ["size-files", "many files", { files: ["a", "b", "c", "d"].map((path) => file({ path, newText: "" })) }],
  ["size-lines", "many lines", { files: [file({ path: "a.ts", newText: "line\n".repeat(21) })] }],
  [
    "dependencies",
    "a dependency",
    { files: [file({ path: "package.json", oldText: "{}", newText: '{"dependencies":{"a":"1"}}' })] },
  ],
  [
    "lifecycle-script",
    "an install script",
    { files: [file({ path: "package.json", oldText: "{}", newText: '{"scripts":{"postinstall":"node a"}}' })] },
  ],
  [
    "lockfile-only",
    "a lockfile alone",
    { files: [file({ path: "package-lock.json", oldText: "{}", newText: "{ }" })] },
  ],
  [
    "test-skipped",
    "a skipped test",
    {
      files: [
        file({
          path: "a.test.ts",
          oldText: 'it("a", () => { expect(f()).toBe(1); });',
          newText: 'it.skip("a", () => { expect(f()).toBe(1); });',
        }),
      ],
    },
  ],
  ["binary", "a binary file", { files: [file({ path: "logo.png", newText: undefined })] }],
];

const passing: [what: string, change: Partial<Change>][] = [
  ["an ordinary change", {}],
  [
    "a token that stood there before",
    { files: [file({ path: "a.ts", oldText: `${token}\n`, newText: `${token}\nmore\n` })] },
  ],
  [
    "a deleted file with a token",
    { files: [file({ path: "a.ts", status: "deleted", oldText: token, newMode: undefined })] },
  ],
  ["an example environment file", { files: [file({ path: ".env.example", newText: "API_KEY=\n" })] }],
  [
    "a link within the tree",
    { files: [file({ path: "a/b", kind: "symlink", newMode: "120000", symlinkTarget: "../c" })] },
  ],
  ["a new script", { files: [file({ path: "run.sh", newText: "#!/bin/sh\n", newMode: "100755" })] }],
  [
    "a mode change that was asked for",
    {
      requestedPaths: ["run.sh"],
      files: [file({ path: "run.sh", oldText: "a", newText: "a", oldMode: "100644", newMode: "100755" })],
    },
  ],
  [
    "a rename in other letters",
    {
      basePaths: ["readme.md", "src/a.ts"],
      files: [file({ path: "README.md", previousPath: "readme.md", status: "renamed", oldText: "", newText: "" })],
    },
  ],
  [
    "attributes without programs",
    {
      files: [
        file({
          path: ".gitattributes",
          newText: "* text=auto\n*.png binary\n*.md merge=union\n*.bin filter=lfs diff=lfs",
        }),
      ],
    },
  ],
  [
    "a filter that stood there before",
    { files: [file({ path: ".gitattributes", oldText: "*.c filter=x", newText: "*.c filter=x\n* text" })] },
  ],
  ["a deleted binary", { files: [file({ path: "logo.png", status: "deleted", newMode: undefined })] }],
  [
    "a longer lockfile with its manifest's own version",
    { files: [file({ path: "package.json", oldText: '{"version":"1"}', newText: '{"version":"2"}' })] },
  ],
];

describe("guardChange", () => {
  it.each(blocking)("blocks with %s for %s", (rule, _, change) => {
    const verdict = judge(change);
    expect(verdict.decision).toBe("block");
    expect(verdict.findings.filter(({ severity }) => severity === "block").map((finding) => finding.rule)).toContain(
      rule,
    );
  });

  it.each(drafting)("drafts with %s for %s", (rule, _, change) => {
    const verdict = judge(change);
    expect(verdict.findings.map((finding) => finding.rule)).toContain(rule);
    expect(verdict.decision).toBe("draft");
  });

  it.each(passing)("passes %s", (_, change) => {
    expect(judge(change)).toMatchObject({ decision: "pass" });
  });

  it("never says a secret", () => {
    for (const [, , change] of blocking) {
      const said = JSON.stringify(judge(change));
      expect(redactor.contains(said)).toEqual([]);
      expect(said).not.toContain(token);
    }
  });

  it("names path and line", () => {
    expect(judge({ files: [file({ path: "src/a.ts", newText: `one\ntwo ${ours}` })] }).findings[0]).toEqual({
      rule: "secret",
      severity: "block",
      path: "src/a.ts",
      line: 2,
      message: "the file contains the secret ANTHROPIC_API_KEY",
    });
  });

  it("protects what keeps Millwright safe in its own repository only", () => {
    const change = { files: [file({ path: "src/policy/guard.ts", oldText: "a", newText: "b" })] };
    expect(judge(change).decision).toBe("pass");
    expect(judge(change, { ownRepository: true })).toMatchObject({
      decision: "block",
      findings: [{ rule: "protected-own-repository" }],
    });
  });

  it("blocks when a rule cannot read the change, and puts what blocks first", () => {
    const broken = {
      contains: () => {
        throw new Error("broken");
      },
    };
    expect(judge({}, { redactor: broken })).toMatchObject({
      decision: "block",
      findings: [{ rule: "secret", severity: "block" }],
    });
    const verdict = judge({
      files: [file({ path: "logo.png", newText: undefined }), file({ path: ".env", newText: "" })],
    });
    expect(verdict.findings.map(({ severity }) => severity)).toEqual(["block", "draft"]);
  });

  it("finds our secret in any text in which it stands, and never throws", () => {
    fc.assert(
      fc.property(
        fc.string(),
        fc.string(),
        fc.constantFrom("utf8", "base64", "hex", "base64url"),
        (before, after, encoding) => {
          const text =
            encoding === "utf8"
              ? `${before}${ours}${after}`
              : Buffer.from(`${before}${ours}${after}`).toString(encoding as BufferEncoding);
          expect(judge({ texts: [{ name: "body", text }] }).decision).toBe("block");
          expect(() =>
            judge({ branch: before, files: [file({ path: after, newText: before, oldText: after })] }),
          ).not.toThrow();
        },
      ),
    );
  });
});

describe("guardChange and what is posted of it", () => {
  it("says names that a model chose without mentioning, closing or leaving the line", () => {
    const newText = 'test.skip("fixes #7 for @everyone ![x](https://evil.example/x)", () => { expect(1).toBe(2); });\n';
    const path = "test/a` @everyone\n\n.github/b.test.ts";
    const { findings } = judge({
      files: [file({ path, newText }), file({ path: `.env\r\r@everyone`, newText: "A=1" })],
    });
    const said = findings.map(({ message }) => message).join("\n");
    expect(said).toContain("is skipped");
    expect(said).not.toMatch(/@everyone|fixes #7|!\[|https:/);
    expect(findings.map((finding) => finding.path).join("")).not.toMatch(/[`\r\n]/);
  });
});
