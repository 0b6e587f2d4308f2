import { spawnSync } from "node:child_process";
import { describe, expect } from "vitest";
import { workKeyOf } from "../../src/pipeline/run-key.ts";
import { repliesOf, type Scenario } from "../support/scenario.ts";
import {
  actionsLog,
  eachAnswerLostOnce,
  type FailedPull,
  failedPull,
  fixCheckRun,
  fixEnded,
  fixes,
  fixing,
  pushedOn,
  underscores,
} from "./failed-checks.ts";
import { test } from "./fixture.ts";

const mustRun = process.env["CI"] === "true";
const has = (program: string, argument = "--version") => spawnSync(program, [argument]).status === 0;

/** What every verified fix leaves behind, whatever the language. */
async function expectFixed(s: Scenario, failed: FailedPull, subject: string, command: string): Promise<void> {
  const run = await fixEnded(s, failed.number);
  expect(run.outcome).toMatchObject({ kind: "fixed" });
  expect(await pushedOn(s, failed)).toBe(subject);
  const [comment, ...others] = repliesOf(s, failed.number);
  expect(others).toEqual([]);
  expect(comment).toContain(`\`${command}\`: red before, passed`);
  expect(fixCheckRun(s, failed.headSha)).toMatchObject({ status: "completed", conclusion: "success", actions: [] });
}

describe("Fix: what is red in the sandbox, and green after it, is pushed to the pull request's branch", {
  timeout: 240_000,
}, () => {
  test("a failing test (JavaScript), once, although the answer to each write is lost", async ({ start }) => {
    const s = await start({
      ...{ config: fixes(), model: fixing(underscores.mended) },
      effectFault: eachAnswerLostOnce(),
    });
    const failed = await failedPull(s, underscores);
    // As if this App had opened it: what continues it goes by where we left it.
    const subject = { repositoryId: s.repository.entity.id, number: failed.number };
    const { pullRequests } = s.app.worker.store;
    const workKey = workKeyOf({ ...subject, subject: { kind: "pull-request", number: failed.number } });
    await pullRequests.put({
      ...{ ...subject, workKey, headSha: failed.headSha, branch: failed.branch, issueNumber: 1 },
      ...{ state: "open", ciWaits: false, baseRef: "main", nodeId: "PR_1", url: s.github.url },
    });
    await expectFixed(s, failed, "fix: join words with a dash", "npm test");
    const head = (await s.repository.git("rev-parse", failed.branch)).trim();
    expect(await pullRequests.byNumber(subject.repositoryId, failed.number)).toMatchObject({ headSha: head });
    expect(await s.repository.file("src/slugify.js", failed.branch)).toContain('+/g, "-")');
    // The commit names nobody who did not ask for it.
    expect(await s.repository.git("log", "-1", "--format=%an%n%B", failed.branch)).not.toMatch(/Co-authored-by/);
  });

  test("a lint-only failure (JavaScript), whose script the detection does not know", async ({ start }) => {
    const lint =
      'import { readFileSync } from "node:fs";\nconst at = readFileSync("src/slugify.js", "utf8").split("\\n").findIndex((line) => /^\\s*var /.test(line));\nif (at >= 0) {\n  console.log("src/slugify.js\\n  " + (at + 1) + ":3  error  Unexpected var, use let or const instead  no-var\\n\\n✖ 1 problem (1 error, 0 warnings)");\n  process.exit(1);\n}\n';
    const s = await start({
      config: fixes(),
      repository: { files: { ".github/millwright.yml": fixes(), "tools/lint.mjs": lint } },
      model: fixing([["edit", { file_path: "src/slugify.js", old_string: "var text", new_string: "const text" }]], {
        ...{ category: "lint", rootCause: "A var.", evidence: ["Unexpected var, use let or const instead"] },
        title: "use const",
      }),
    });
    const text =
      'export function slugify(title) {\n  var text = title.toLowerCase();\n  return text.replaceAll(/[^a-z0-9]+/g, "-").replaceAll(/^-|-$/g, "");\n}\n';
    const output =
      "src/slugify.js\n  2:3  error  Unexpected var, use let or const instead  no-var\n\n✖ 1 problem (1 error, 0 warnings)";
    const failed = await failedPull(s, {
      ...{ files: { "src/slugify.js": text }, job: "lint" },
      log: actionsLog("node tools/lint.mjs", output),
    });
    await expectFixed(s, failed, "fix: use const", "node tools/lint.mjs");
  });

  test.skipIf(!has("python3") && !mustRun)("a failing test (Python)", async ({ start }) => {
    const s = await start({
      ...{ sample: "shapes-py", config: fixes() },
      model: fixing(
        [["edit", { file_path: "shapes/area.py", old_string: "width + height", new_string: "width * height" }]],
        {
          ...{ rootCause: "The sum is taken.", evidence: ["AssertionError: 5 != 6"], files: ["shapes/area.py"] },
          title: "multiply the sides",
        },
      ),
    });
    const area = (await s.repository.file("shapes/area.py"))?.replace("width * height", "width + height") ?? "";
    const output =
      'FAIL: test_rectangle (tests.test_area.TestArea.test_rectangle)\n----------------------------------------------------------------------\nTraceback (most recent call last):\n  File "tests/test_area.py", line 8, in test_rectangle\n    self.assertEqual(rectangle(2, 3), 6)\nAssertionError: 5 != 6\n\nFAILED (failures=1)';
    const failed = await failedPull(s, {
      files: { "shapes/area.py": `${area}\n` },
      log: actionsLog("python3 -m unittest", output),
    });
    await expectFixed(s, failed, "fix: multiply the sides", "python3 -m unittest");
  });

  test.skipIf(!has("go", "version") && !mustRun)("a type error (Go)", async ({ start }) => {
    const s = await start({
      ...{ sample: "ledger-go", config: fixes() },
      model: fixing(
        [["edit", { file_path: "ledger.go", old_string: "l[to] += float64(cents)", new_string: "l[to] += cents" }]],
        {
          ...{ category: "types", rootCause: "A float64 is added to an int64.", files: ["ledger.go"] },
          ...{ evidence: ["mismatched types int64 and float64"], title: "keep cents whole" },
        },
      ),
    });
    const ledger = (await s.repository.file("ledger.go"))?.replace("l[to] += cents", "l[to] += float64(cents)") ?? "";
    const output =
      "# example.com/ledger\n./ledger.go:18:2: invalid operation: l[to] += float64(cents) (mismatched types int64 and float64)";
    const failed = await failedPull(s, {
      files: { "ledger.go": `${ledger}\n` },
      log: actionsLog("go build ./...", output),
    });
    await expectFixed(s, failed, "fix: keep cents whole", "go build ./...");
  });

  test.skipIf(!has("cargo") && !mustRun)("a compile error (Rust)", async ({ start }) => {
    const s = await start({
      repository: {
        name: "text-tools",
        fromDirectory: undefined,
        files: {
          ".github/millwright.yml": fixes(),
          "Cargo.toml": '[package]\nname = "sums"\nversion = "0.1.0"\nedition = "2021"\n',
          "Cargo.lock":
            '# This file is automatically @generated by Cargo.\nversion = 3\n\n[[package]]\nname = "sums"\nversion = "0.1.0"\n',
          ".gitignore": "/target\n",
          "src/lib.rs": "pub fn double(n: i64) -> i64 {\n    n * 2\n}\n",
        },
      },
      model: fixing([["edit", { file_path: "src/lib.rs", old_string: "n * two", new_string: "n * 2" }]], {
        ...{ category: "compilation", rootCause: "A name that is not there.", files: ["src/lib.rs"] },
        ...{ evidence: ["cannot find value `two` in this scope"], title: "double by two" },
      }),
    });
    const output =
      "error[E0425]: cannot find value `two` in this scope\n --> src/lib.rs:2:9\n  |\n2 |     n * two\n  |         ^^^ not found in this scope\n\nerror: could not compile `sums` (lib) due to 1 previous error";
    const failed = await failedPull(s, {
      files: { "src/lib.rs": "pub fn double(n: i64) -> i64 {\n    n * two\n}\n" },
      log: actionsLog("cargo check --offline", output, 101),
    });
    await expectFixed(s, failed, "fix: double by two", "cargo check --offline");
  });

  test("a dependency install that fails is mended, and offered, because what is installed changes", async ({
    start,
  }) => {
    const manifest = {
      name: "text-tools",
      version: "1.2.0",
      type: "module",
      exports: "./src/index.js",
      scripts: { test: "node --test" },
    };
    const lock = {
      name: "text-tools",
      version: "1.2.0",
      lockfileVersion: 3,
      requires: true,
      packages: { "": { name: "text-tools", version: "1.2.0" } },
    };
    const json = (value: unknown) => `${JSON.stringify(value, null, 2)}\n`;
    const s = await start({
      repository: {
        files: { ".github/millwright.yml": fixes(), "package.json": json(manifest), "package-lock.json": json(lock) },
      },
      model: fixing([["edit", { file_path: "package.json", old_string: '"left-pad": "^1.3.0"', new_string: "" }]], {
        ...{ category: "dependency", rootCause: "The lock file does not have left-pad.", files: ["package.json"] },
        ...{ evidence: ["Missing: left-pad@1.3.0 from lock file"], title: "drop a dependency that is not used" },
      }),
    });
    const failed = await failedPull(s, {
      files: { "package.json": json({ ...manifest, dependencies: { "left-pad": "^1.3.0" } }) },
      log: actionsLog(
        "npm ci",
        "npm error `npm ci` can only install packages when your package.json and package-lock.json are in sync.\nnpm error Missing: left-pad@1.3.0 from lock file",
      ),
    });
    const run = await fixEnded(s, failed.number);
    expect(run.outcome).toMatchObject({ kind: "offered", reason: "The guard asks for a person." });
    expect(await pushedOn(s, failed)).toBe("");
    const check = fixCheckRun(s, failed.headSha);
    expect(check).toMatchObject({ conclusion: "action_required" });
    s.github.as("maintainer").pressButton(check, "apply-fix");
    expect((await fixEnded(s, failed.number, 2)).outcome).toMatchObject({ kind: "fixed" });
    expect(await pushedOn(s, failed)).toBe("fix: drop a dependency that is not used");
  });
});
