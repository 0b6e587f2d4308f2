import { execFile, spawnSync } from "node:child_process";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { reportsVariable } from "../../src/checks/commands.ts";
import { detectCommands } from "../../src/checks/detect-commands.ts";
import { parseResults } from "../../src/checks/parse-results.ts";
import { verdictOf } from "../../src/checks/verdict.ts";

const folders: string[] = [];
afterAll(() => Promise.all(folders.map((folder) => rm(folder, { recursive: true, force: true }))));

const samples: { name: string; program: string; args: string[]; source: string; files: Record<string, string> }[] = [
  {
    name: "node:test",
    program: "node",
    args: ["--version"],
    source: "junit",
    files: {
      "package.json": '{"type":"module","scripts":{"test":"node --test"}}',
      "a.test.js":
        'import test from "node:test"; test("adds", () => {}); test("breaks", () => { if (BROKEN) throw new Error("boom"); });',
    },
  },
  {
    name: "Go",
    program: "go",
    args: ["version"],
    source: "go-test-json",
    files: {
      "go.mod": "module example.org/sample\n\ngo 1.20\n",
      "a_test.go":
        'package a\n\nimport "testing"\n\nfunc TestAdds(t *testing.T) {}\nfunc TestBreaks(t *testing.T) {\n\tif BROKEN {\n\t\tt.Fatal("boom")\n\t}\n}\n',
    },
  },
  {
    name: "Python's unittest",
    program: "python3",
    args: ["--version"],
    source: "unittest",
    files: {
      "tox.ini": "",
      "tests/test_a.py":
        "import unittest\nclass T(unittest.TestCase):\n    def test_adds(self): pass\n    def test_breaks(self):\n        if BROKEN: raise ValueError('boom')\n",
    },
  },
  {
    name: "Rust",
    program: "cargo",
    args: ["--version"],
    source: "cargo",
    files: {
      "Cargo.toml": '[package]\nname = "sample"\nversion = "0.1.0"\nedition = "2021"\n',
      "src/lib.rs":
        '#[test]\nfn adds() {}\n#[test]\nfn breaks() {\n    if BROKEN {\n        panic!("boom");\n    }\n}\n',
    },
  },
];

for (const { name, program, args, source, files } of samples) {
  const available = spawnSync(program, args).status === 0;
  const needed = process.env.CI === "true" || available;
  it.skipIf(!needed)(
    `detectCommands finds a test command of ${name} that runs, passes and fails (needs ${program})`,
    async () => {
      for (const broken of [false, true]) {
        const report = await runDetected(
          files,
          name.startsWith("Python") ? (broken ? "True" : "False") : String(broken),
        );
        expect(report.parsed).toMatchObject({
          source,
          trustworthy: true,
          counts: { passed: broken ? 1 : 2, failed: broken ? 1 : 0 },
        });
        expect(report.verdict.kind).toBe(broken ? "failed" : "passed");
      }
    },
  );
}

async function runDetected(files: Record<string, string>, broken: string) {
  const folder = await mkdtemp(join(tmpdir(), "millwright-checks-"));
  folders.push(folder);
  const [tree, reports] = [join(folder, "tree"), join(folder, "reports")];
  await mkdir(reports);
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(tree, path)), { recursive: true });
    await writeFile(join(tree, path), text.replaceAll("BROKEN", broken));
  }
  const read = async (path: string) => (files[path] === undefined ? undefined : readFile(join(tree, path), "utf8"));
  const { test } = await detectCommands({ files: Object.keys(files), read });
  expect(test).toHaveLength(1);
  const command = test[0]!;
  // Inside of vitest, node:test would take itself for a child of another test run.
  const { NODE_TEST_CONTEXT: _, NODE_OPTIONS: __, ...inherited } = process.env;
  const env = { ...inherited, ...command.environment, [reportsVariable]: reports };
  const ended = await new Promise<{ exitCode: number; stdout: string; stderr: string }>((resolve) => {
    execFile("sh", ["-c", command.run], { cwd: join(tree, command.directory), env }, (error, stdout, stderr) =>
      resolve({ exitCode: error === null ? 0 : Number(error.code), stdout, stderr }),
    );
  });
  const texts = await Promise.all((await readdir(reports)).map((file) => readFile(join(reports, file), "utf8")));
  const kind = command.reports?.kind;
  const parsed = parseResults({ ...ended, reports: kind === undefined ? [] : texts.map((text) => ({ kind, text })) });
  return { parsed, verdict: verdictOf({ exitCode: ended.exitCode, timedOut: false, killed: false }, parsed) };
}
