import { mkdir, mkdtemp, readdir, readFile, realpath, rm, symlink, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { stringify } from "yaml";
import { prepareTools } from "../../../src/agent/tools/prepare-tools.ts";
import type { ReportKind } from "../../../src/checks/check-report.ts";
import { distilFailure } from "../../../src/checks/distil-failure.ts";
import { failureSignature } from "../../../src/checks/failure-signature.ts";
import { parseResults } from "../../../src/checks/parse-results.ts";
import { parseRepositoryConfig } from "../../../src/config/repository.ts";
import { guardChange } from "../../../src/policy/guard.ts";
import { estimateTokens } from "../../../src/policy/tokens.ts";
import { readChanges, readDiff } from "../../../src/workspace/changes.ts";
import { output } from "../../checks/outputs.ts";
import { type Child, deliver, startStage } from "../../run/child.ts";
import { git, writeBlob, writeCommit, writeTree } from "../../support/local-github/git.ts";
import { processorMs } from "../../support/processor-time.ts";
import { type ChaosOptions, type ChaosScenario, type Findings, sum } from "../chaos.ts";
import { forgetPeak, residentBytes } from "../support/memory.ts";

export const fuzz: ChaosScenario = {
  name: "fuzz",
  about:
    "random and mutated webhooks, configuration, outputs of tests, differences of trees and arguments of tools: no crash, no 5xx, bounded",
  databases: ["pglite"],
  async run(options) {
    return sum([
      configuration(options),
      outputsOfTests(options),
      guarded(options),
      await differences(options),
      await toolInputs(options),
      await webhooks(options),
    ]);
  },
};

const timesLong = ({ scale }: ChaosOptions, short: number, long: number) => (scale === "long" ? long : short);

/** Runs a property and says what it found in a sentence. */
function asked<T>(what: string, runs: number, seed: number, of: fc.Arbitrary<T>, check: (value: T) => void): Findings {
  const result = fc.check(fc.property(of, check), { seed, numRuns: runs });
  const problem = result.errorInstance instanceof Error ? result.errorInstance.message : String(result.errorInstance);
  const violations = result.failed
    ? [`${what}: ${problem}, given ${JSON.stringify(result.counterexample?.[0]).slice(0, 2_000)}`]
    : [];
  return { tries: result.numRuns, lost: 0, duplicated: 0, violations };
}

async function askedAsync<T>(
  what: string,
  runs: number,
  seed: number,
  of: fc.Arbitrary<T>,
  check: (value: T) => Promise<void>,
): Promise<Findings> {
  const result = await fc.check(fc.asyncProperty(of, check), { seed, numRuns: runs, interruptAfterTimeLimit: 600_000 });
  const problem = result.errorInstance instanceof Error ? result.errorInstance.message : String(result.errorInstance);
  const violations = result.failed
    ? [`${what}: ${problem}, given ${JSON.stringify(result.counterexample?.[0]).slice(0, 2_000)}`]
    : [];
  return { tries: result.numRuns, lost: 0, duplicated: 0, violations };
}

/** A text with pieces taken out, doubled, exchanged and put in. */
function mutated(texts: readonly string[]): fc.Arbitrary<string> {
  const noise = fc.oneof(
    fc.constantFrom(
      "\0",
      "\n",
      "\u001b[31m",
      "{",
      "}",
      "<",
      ">",
      "&",
      '"',
      "[",
      "]",
      "-",
      "999999999999999999999",
      "NaN",
      "\ufeff",
      "\ud800",
      "<![CDATA[",
      "<!--",
      "1..",
      "not ok ",
    ),
    fc.string({ unit: "binary", maxLength: 20 }),
  );
  const change = fc.record({
    at: fc.nat(1_000_000),
    length: fc.nat(80),
    kind: fc.constantFrom("drop", "double", "move", "insert"),
    noise,
  });
  return fc.tuple(fc.constantFrom(...texts), fc.array(change, { maxLength: 12 })).map(([text, changes]) => {
    let now = text;
    for (const { at, length, kind, noise } of changes) {
      const from = at % (now.length + 1);
      const piece = now.slice(from, from + length);
      const [before, after] = [now.slice(0, from), now.slice(from + length)];
      if (kind === "drop") now = before + after;
      else if (kind === "double") now = before + piece + piece + after;
      else if (kind === "move") now = after + piece + before;
      else now = before + noise + piece + after;
    }
    return now;
  });
}

/** `.github/millwright.yml`: a configuration, or problems with path, rule and value; never a throw, and in bounded time. */
function configuration(options: ChaosOptions): Findings {
  // In short only what grows without end is meant: a core that is shared takes a multiple of its usual time.
  const mostMs = options.scale === "long" ? 3_000 : 15_000;
  const check = (text: string): void => {
    const start = processorMs();
    const parsed = parseRepositoryConfig(text);
    const ms = processorMs() - start;
    if (ms > mostMs) throw new Error(`takes ${ms.toFixed(0)} ms`);
    if (parsed.kind === "ok") return;
    const [first] = parsed.problems;
    if (first === undefined) throw new Error("invalid without a problem");
    for (const { path, rule, value } of parsed.problems) {
      if (path === "" || rule === "" || typeof value !== "string")
        throw new Error(`incomplete problem ${JSON.stringify({ path, rule, value })}`);
      if (value.length > 1_000 || rule.length > 2_000)
        throw new Error(`a problem of ${rule.length + value.length} characters`);
    }
  };
  const key = fc.constantFrom(
    "enabled",
    "base",
    "plan",
    "planTimeoutHours",
    "instructions",
    "pullRequest",
    "publish",
    "commit",
    "checks",
    "guard",
    "limits",
    "__proto__",
    "constructor",
    "test",
    "setup",
    "commands",
    "ci",
    "openAt",
    "protectedPaths",
    "maxFiles",
  );
  const { value } = fc.letrec<{ value: unknown }>((tie) => ({
    value: fc.oneof(
      { maxDepth: 4 },
      fc.jsonValue({ maxDepth: 0 }),
      fc.constantFrom("ask", "auto", "wait", -1, Number.NaN, Number.POSITIVE_INFINITY, true),
      fc.array(tie("value"), { maxLength: 4 }),
      fc.dictionary(key, tie("value"), { maxKeys: 6 }),
    ),
  }));
  const yaml = fc.dictionary(key, value, { maxKeys: 6 }).map((config) => stringify(config));
  const sample =
    'plan: ask\nchecks:\n  test: npm test\n  setup:\n    - npm ci\nguard:\n  protectedPaths: ["src/**"]\n  maxFiles: 20\npublish:\n  ci: wait\nlimits:\n  runUsd: 2\n';
  const laughs = `a0: &a0 [x, x]\n${Array.from({ length: 30 }, (_, index) => `a${index + 1}: &a${index + 1} [*a${index}, *a${index}, *a${index}]`).join("\n")}\nbase: *a30\n`;
  const bombs = [
    laughs,
    "a: &a [*a]\n",
    "a: &a\n  <<: *a\nbase: *a\n",
    `base: ${"[".repeat(50_000)}`,
    `base: ${"[".repeat(45_000)}${"]".repeat(45_000)}`,
    `base: ${"{a: ".repeat(20_000)}`,
    Array.from({ length: 400 }, (_, index) => `${" ".repeat(index)}a:`).join("\n"),
    "- ".repeat(49_000),
    "? ".repeat(49_000),
    `${"&a ".repeat(30_000)}x`,
    `${"!!str ".repeat(15_000)}x`,
    "---\n".repeat(20_000),
    `base: "${"\\u0000".repeat(10_000)}"`,
    `base: |\n${" a\n".repeat(30_000)}`,
    Array.from({ length: 5_000 }, (_, index) => `k${index}: ${index}`).join("\n"),
    Array.from({ length: 20_000 }, () => "a: 1").join("\n"),
    `a: &a x\nbase: [${"*a,".repeat(20_000)}]`,
    "!!js/function 'function(){}'",
    "x".repeat(200_000),
    "\ufeff%YAML 9.9\n--- !<tag:x> a",
  ];
  return sum([
    ...bombs.map((bomb) => asked("configuration of bombs", 1, options.seed, fc.constant(bomb), check)),
    asked(
      "random configuration",
      timesLong(options, 300, 20_000),
      options.seed,
      fc.string({ unit: "binary", maxLength: 200 }),
      check,
    ),
    asked("configuration of random values", timesLong(options, 300, 20_000), options.seed, yaml, check),
    asked("mutated configuration", timesLong(options, 300, 20_000), options.seed, mutated([sample, laughs]), check),
  ]);
}

const outputNames = [
  "cargo",
  "dotnet",
  "go-json",
  "go-v",
  "go",
  "gradle",
  "jest-json",
  "jest-v",
  "jest",
  "minitest",
  "mocha",
  "nextest",
  "node-junit",
  "node-spec",
  "node-tap",
  "phpunit",
  "pytest-junit",
  "pytest-ra",
  "pytest-v",
  "pytest",
  "rspec-json",
  "rspec",
  "surefire-junit",
  "surefire",
  "trx",
  "unittest-v",
  "unittest",
  "vitest-json",
  "vitest-junit",
  "vitest-tap",
  "vitest-tapflat",
  "vitest-v",
  "vitest",
];
const reportKinds: readonly ReportKind[] = [
  "junit",
  "trx",
  "tap",
  "jest-json",
  "vitest-json",
  "go-test-json",
  "rspec-json",
];

/** Real outputs of 33 test runners, mutated, as printed and as each kind of report: parsed without a throw, in time that grows with the size. */
function outputsOfTests(options: ChaosOptions): Findings {
  const real = outputNames.map(output);
  const read = (text: string): void => {
    const report = parseResults({ stdout: text, stderr: text.slice(0, 500), exitCode: 1, reports: [] });
    const failed = { name: "npm test", exitCode: 1, timedOut: false, stdout: text, stderr: "", report };
    const tokens = estimateTokens(distilFailure(failed, 1_500).excerpt);
    if (tokens > 1_500) throw new Error(`${tokens} tokens instead of 1,500`);
    if (!/^[\da-f]{64}$/.test(failureSignature([failed]))) throw new Error("no signature");
  };
  const readReport = (text: string): void => {
    for (const kind of reportKinds) parseResults({ stdout: "", stderr: "", exitCode: 0, reports: [{ kind, text }] });
  };
  const pieces = [
    ...real,
    "<testsuite><testcase name='a'>",
    "<a>",
    "<!--",
    "<![CDATA[",
    "&lt;",
    "&a;",
    "{",
    "[",
    '{"testResults":[',
    "\\",
    "\u001b[",
    "\u001b]0;",
    "\r",
    "    ok 1\n",
    "not ok 1 - a\n  ---\n",
    "# Subtest: a\n",
    "1..1\n",
    "\n",
    " ",
    "error: a\n",
    "a:1:1: error\n",
    "Tests:  1 passed\n",
    "FAIL a\n",
    "--- FAIL: TestA (0.00s)\n",
    "=== RUN a\n",
    "at a (b:1:1)\n",
    "=====",
    "-----",
    "x",
  ];
  const chosen = pieces.filter((_, index) => options.scale === "long" || (index + options.seed) % 16 === 0);
  const million = (piece: string) => piece.repeat(Math.ceil(1_000_000 / piece.length)).slice(0, 1_000_000);
  const violations: string[] = [];
  let worst = { ms: 0, piece: "" };
  for (const piece of chosen) {
    for (const [what, work] of [
      ["printed", read],
      ["reported", readReport],
    ] as const) {
      const start = processorMs();
      try {
        work(million(piece));
      } catch (error) {
        violations.push(`1 MB of ${JSON.stringify(piece.slice(0, 60))}, ${what}: ${String(error)}`);
      }
      const ms = processorMs() - start;
      if (ms > worst.ms) worst = { ms, piece: `${what} ${piece.slice(0, 60)}` };
      if (ms > (options.scale === "long" ? 8_000 : 30_000))
        violations.push(`1 MB of ${JSON.stringify(piece.slice(0, 60))}, ${what}, takes ${ms.toFixed(0)} ms`);
    }
  }
  options.say(
    `the worst of ${chosen.length} outputs of 1 MB is ${JSON.stringify(worst.piece)}: ${worst.ms.toFixed(0)} ms`,
  );
  return sum([
    asked("mutated output", timesLong(options, 150, 20_000), options.seed, mutated(real), read),
    asked("mutated report", timesLong(options, 150, 20_000), options.seed, mutated(real), readReport),
    asked(
      "random output",
      timesLong(options, 200, 10_000),
      options.seed,
      fc.string({ unit: "binary", maxLength: 300 }),
      (text) => {
        read(text);
        readReport(text);
      },
    ),
    { tries: chosen.length * 2, lost: 0, duplicated: 0, violations },
  ]);
}

const sources = [
  'import { test } from "node:test";\ntest("a", () => {\n  assert.equal(1, 1);\n  expect(x).toBe(y);\n});\n',
  '{"name":"a","version":"1.0.0","scripts":{"test":"node --test","postinstall":"x"},"dependencies":{"a":"1.0.0"}}',
  "def test_a():\n    assert 1 == 1\n    with pytest.raises(ValueError):\n        pass\n",
  'func TestA(t *testing.T) {\n\tif a != b {\n\t\tt.Fatal("x")\n\t}\n}\n',
  '[package]\nname = "a"\n[dependencies]\nserde = "1"\n',
  "name: ci\non: push\njobs:\n  a:\n    steps:\n      - run: x\n",
];

/** Any change: the guard decides and never throws. */
function guarded(options: ChaosOptions): Findings {
  const path = fc.constantFrom(
    "a.test.js",
    "package.json",
    "test_a.py",
    "a_test.go",
    "Cargo.toml",
    ".github/workflows/ci.yml",
    "a/__snapshots__/a.snap",
    ".env",
    "src/\u202ea.js",
    "yarn.lock",
    "a\nb",
    "..",
    ".git/config",
    "CON",
    "a".repeat(5_000),
  );
  const text = fc.option(mutated(sources), { nil: undefined });
  const file = fc.record(
    {
      path,
      status: fc.constantFrom("added", "modified", "deleted", "renamed"),
      kind: fc.constantFrom("file", "symlink", "submodule"),
      oldText: text,
      newText: text,
      sizeBytes: fc.nat(),
      oldMode: fc.constantFrom("100644", "100755", "120000", "160000"),
      newMode: fc.constantFrom("100644", "100755", "120000", "160000"),
      symlinkTarget: fc.constantFrom("../../etc/passwd", "a", "\0", "/"),
      previousPath: path,
    },
    { requiredKeys: ["path", "status", "kind", "sizeBytes"] },
  );
  const change = fc.array(file, { maxLength: 5 });
  const policy = {
    protectedPaths: ["src/**", "[", "!(a", "**/**/**/x"],
    maxFiles: 3,
    maxLines: 20,
    redactor: { contains: () => [] },
    ownRepository: false,
  };
  return asked("change", timesLong(options, 300, 20_000), options.seed, change, (files) => {
    const sha = "a".repeat(40);
    const changed = files.map(
      (each) => Object.fromEntries(Object.entries(each).filter(([, field]) => field !== undefined)) as never,
    );
    const { decision } = guardChange(
      {
        baseSha: sha,
        headSha: sha,
        branch: "millwright/issue-1-a",
        commits: [{ message: "fix: a" }],
        files: changed,
        texts: [],
      },
      policy,
    );
    if (!["pass", "draft", "block"].includes(decision)) throw new Error(`decided ${decision}`);
  });
}

/** What git says of trees with any names that git can store: every file is told, with its name. */
async function differences(options: ChaosOptions): Promise<Findings> {
  const directory = await mkdtemp(join(tmpdir(), "millwright-fuzz-git-"));
  try {
    await git(directory, ["init", "--quiet", "--bare"]);
    const character = fc.oneof(
      fc.constantFrom(..."ab:\t\n \"'\\*?[]-é\u202e"),
      fc.constantFrom(":100644 100644", "\u{1F600}"),
    );
    const part = fc.array(character, { minLength: 1, maxLength: 8 }).map((all) => `x${all.join("")}`);
    const name = fc.array(part, { minLength: 1, maxLength: 3 }).map((parts) => parts.join("/"));
    const names = fc.uniqueArray(name, { minLength: 1, maxLength: 6 });
    const identity = { name: "a", email: "a@example.com", date: new Date(0) };
    return await askedAsync("difference", timesLong(options, 12, 500), options.seed, names, async (paths) => {
      // A file cannot be a folder too.
      const files = paths.filter((path) => !paths.some((other) => other.startsWith(`${path}/`)));
      const blob = await writeBlob(directory, `a\n${files.length}`);
      const commit = async (all: string[]) => {
        const tree = await writeTree(
          directory,
          undefined,
          all.map((path) => ({ path, mode: "100644", sha: blob })),
        );
        return writeCommit(directory, { tree, parents: [], message: "a\n", author: identity, committer: identity });
      };
      const [from, to] = [await commit(["kept"]), await commit([...files, "kept"])];
      const told = (await readChanges(directory, from, to)).map((file) => file.path).sort();
      if (JSON.stringify(told) !== JSON.stringify([...files].sort()))
        throw new Error(`${JSON.stringify(told)} instead of ${JSON.stringify(files)}`);
      const { text } = await readDiff(directory, from, to, 200);
      if (Buffer.byteLength(text) > 200) throw new Error("the diff is longer than it may be");
    });
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** The agent's file tools with any arguments and hostile paths: an answer or an error in words, and nothing outside the tree. */
async function toolInputs(options: ChaosOptions): Promise<Findings> {
  const outside = await realpath(await mkdtemp(join(tmpdir(), "millwright-fuzz-tools-")));
  const tree = join(outside, "tree");
  const canary = "CANARY-outside";
  try {
    await mkdir(join(tree, ".git"), { recursive: true });
    await mkdir(join(tree, "src"));
    await writeFile(join(outside, "secret.txt"), canary);
    await writeFile(join(tree, ".git", "config"), canary);
    await writeFile(join(tree, "src", "a.txt"), "one\ntwo\n");
    await symlink("../secret.txt", join(tree, "link"));
    await symlink("..", join(tree, "up"));
    await symlink("loop", join(tree, "loop"));
    const tools = prepareTools(tree, []);
    const path = fc.oneof(
      fc.constantFrom(
        "src/a.txt",
        "new.txt",
        "link",
        "up/secret.txt",
        "up/made.txt",
        "loop",
        "../secret.txt",
        "../made.txt",
        "src/../../secret.txt",
        ".git/config",
        ".GIT/config",
        "src/../.git/config",
        "/etc/passwd",
        join(outside, "secret.txt"),
        "",
        ".",
        "..",
        "\0",
        "src/a.txt\0",
        "a".repeat(5_000),
        "~/x",
        "file:///etc/passwd",
        "C:\\x",
        "src//a.txt",
        "./link/../secret.txt",
        "**/*",
        "../*",
        "{a,b}/../../*",
        "-rf",
        "$(id)",
      ),
      fc.string({ maxLength: 20 }),
    );
    const anything = fc.oneof(
      path,
      fc.jsonValue({ maxDepth: 2 }),
      fc.constantFrom(-1, 1e21, Number.NaN, "(", "(a+)+$", "[", ".*", canary),
    );
    const field = fc.constantFrom(
      "file_path",
      "path",
      "pattern",
      "content",
      "old_string",
      "new_string",
      "replace_all",
      "offset",
      "limit",
      "view_range",
      "glob",
      "from",
      "to",
      "source",
      "destination",
      "__proto__",
    );
    const input = fc.oneof(
      {
        arbitrary: fc.record({
          file_path: path,
          path,
          pattern: path,
          content: fc.string(),
          old_string: fc.constantFrom("one", "", "\n"),
          new_string: fc.string(),
          from: path,
          to: path,
        }),
        weight: 3,
      },
      { arbitrary: fc.dictionary(field, anything, { maxKeys: 6 }), weight: 2 },
      { arbitrary: fc.jsonValue({ maxDepth: 2 }), weight: 1 },
    );
    const call = fc.tuple(fc.nat(tools.length - 1), input);
    return await askedAsync("tool", timesLong(options, 300, 10_000), options.seed, call, async ([index, given]) => {
      const tool = tools[index]!;
      let said: string;
      try {
        const result = await tool.run(tool.parse(given) as never, { signal: AbortSignal.timeout(20_000) } as never);
        said = typeof result === "string" ? result : JSON.stringify(result);
      } catch (error) {
        if (!(error instanceof Error) || error instanceof RangeError) throw error;
        said = error.message;
      }
      const echoed = JSON.stringify(given)?.includes(canary) === true;
      if (said.includes(canary) && !echoed)
        throw new Error(`${"name" in tool ? tool.name : index} says what is outside: ${said.slice(0, 200)}`);
      if (said.includes(outside) && JSON.stringify(given)?.includes(outside) !== true)
        throw new Error(`a path of the host is told: ${said.slice(0, 200)}`);
      const around = (await readdir(outside)).sort().join();
      if (around !== "secret.txt,tree") throw new Error(`outside the tree there is ${around}`);
      if ((await readFile(join(outside, "secret.txt"), "utf8")) !== canary)
        throw new Error("a file outside the tree was changed");
      if ((await readFile(join(tree, ".git", "config"), "utf8")) !== canary)
        throw new Error("a file of git was changed");
    });
  } finally {
    await rm(outside, { recursive: true, force: true });
  }
}

interface Definition {
  name: string;
  examples: Record<string, unknown>[];
}

/** Random bytes and GitHub's own examples with fields replaced and bytes changed, signed, at a real server: it answers and lives. */
async function webhooks(options: ChaosOptions): Promise<Findings> {
  const definitions = createRequire(import.meta.url)("@octokit/webhooks-examples") as Definition[];
  const stage = await startStage("http://127.0.0.1:9");
  try {
    const child = await stage.start("npm start");
    const wide = fc.oneof(
      fc.jsonValue({ maxDepth: 2 }),
      fc.constantFrom<unknown>(
        null,
        -1,
        1e300,
        "",
        "\u202e",
        "../..",
        "x".repeat(100_000),
        [],
        {},
        { login: "maintainer", id: 1, type: "User" },
        "/code",
        "agent:builder",
        "2020-13-45T99:99:99Z",
      ),
    );
    const replacement = fc.record({ at: fc.nat(10_000), value: wide, drop: fc.boolean() });
    const example = fc.constantFrom(
      ...definitions.flatMap(({ name, examples }) =>
        examples
          .slice(0, 3)
          .map((payload) => ({ name, payload: { ...payload, installation: { id: 7, node_id: "I_7" } } })),
      ),
    );
    const replaced = fc.tuple(example, fc.array(replacement, { maxLength: 5 })).map(([{ name, payload }, changes]) => {
      const copy = structuredClone(payload);
      for (const change of changes) replaceAt(copy, change);
      return { event: name, body: JSON.stringify(copy) };
    });
    const bytes = fc
      .tuple(example, mutated(['{"action":"labeled"}']))
      .map(([{ name }, body]) => ({ event: name, body }));
    const damaged = fc
      .tuple(example, fc.nat(5_000), fc.string({ maxLength: 5 }))
      .map(([{ name, payload }, at, noise]) => {
        const body = JSON.stringify(payload);
        return {
          event: name,
          body: body.slice(0, at % body.length) + noise + body.slice((at % body.length) + noise.length),
        };
      });
    const odd = fc.record({
      event: fc.constantFrom("issues", "issue_comment", "ping", "no_such_event", "constructor", "__proto__", "*"),
      body: fc.constantFrom(
        "",
        "null",
        "[]",
        "0",
        '"a"',
        "{}",
        '{"action":"__proto__"}',
        "{".repeat(50_000),
        `${"[".repeat(50_000)}${"]".repeat(50_000)}`,
        '{"a":1,"a":2}',
        "\ufeff{}",
        '{"action":{}}',
      ),
    });
    const delivery = fc.oneof(
      { arbitrary: replaced, weight: 4 },
      { arbitrary: damaged, weight: 1 },
      { arbitrary: bytes, weight: 1 },
      { arbitrary: odd, weight: 1 },
    );
    await deliver(child, "{}", { "x-github-event": "ping" });
    forgetPeak(child.pid);
    const before = residentBytes(child.pid, "VmRSS");
    const statuses = new Map<number, number>();
    const batch = fc.array(delivery, { minLength: 8, maxLength: 8 });
    const found = await askedAsync("webhook", timesLong(options, 15, 1_000), options.seed, batch, async (all) => {
      await Promise.all(all.map((each) => answeredWell(child, each, statuses)));
    });
    const more = (residentBytes(child.pid, "VmHWM") - before) / 1_048_576;
    const alive = (await fetch(`${child.url}/livez`)).ok;
    options.say(`answers ${JSON.stringify(Object.fromEntries(statuses))}; ${more.toFixed(0)} MB more at most`);
    const violations = [
      ...(alive ? [] : ["the server does not live any more"]),
      ...(more > 256 ? [`${more.toFixed(0)} MB more of memory`] : []),
    ];
    return sum([
      { ...found, tries: found.tries * 8 },
      { tries: 0, lost: 0, duplicated: 0, violations },
    ]);
  } finally {
    await stage.close();
  }
}

async function answeredWell(
  child: Child,
  { event, body }: { event: string; body: string },
  statuses: Map<number, number>,
): Promise<void> {
  const { status } = await deliver(child, body, { "x-github-event": event });
  statuses.set(status, (statuses.get(status) ?? 0) + 1);
  if (status >= 500) throw new Error(`${event} was answered by ${status}: ${body.slice(0, 300)}`);
}

/** Replaces or takes out the n-th field of a payload, counted over all depths. */
function replaceAt(
  payload: Record<string, unknown>,
  { at, value, drop }: { at: number; value: unknown; drop: boolean },
): void {
  const places: [Record<string, unknown>, string][] = [];
  const visit = (node: unknown): void => {
    if (typeof node !== "object" || node === null) return;
    for (const key of Object.keys(node)) {
      places.push([node as Record<string, unknown>, key]);
      visit((node as Record<string, unknown>)[key]);
    }
  };
  visit(payload);
  // Earlier changes may have left nothing.
  if (places.length === 0) return;
  const [holder, key] = places[at % places.length]!;
  if (drop) delete holder[key];
  // A copy: put into itself by a later change, the one value of all payloads would have no end.
  else holder[key] = structuredClone(value);
}
