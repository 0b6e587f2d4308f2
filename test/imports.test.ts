import { globSync, readFileSync } from "node:fs";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, describe, expect, test } from "vitest";
import { steps } from "../src/pipeline/steps/index.ts";
import { checkImports, pipelineFiles } from "./support/import-rules.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
const sources = globSync("src/**/*.ts", { cwd: root }).map((path) => ({
  path,
  text: readFileSync(join(root, path), "utf8"),
}));
const pipelines = sources.filter(({ path }) => pipelineFiles.includes(path.replace("src/", "")));

describe("imports point one way", () => {
  test("in src/, without a cycle", { timeout: 60_000 }, async () => {
    const { moduleCount, violations } = await checkImports(root);
    expect(violations).toEqual([]);
    expect(moduleCount).toBe(sources.length);
  });

  const policy = { "src/policy/redact.ts": "export const redact = 1;\nexport type Redact = 1;" };
  const graphs: [string, Record<string, string>, string[]][] = [
    [
      "what everyone may use",
      { ...policy, "src/checks/a.ts": 'import { redact } from "../policy/redact.ts";\nredact;' },
      [],
    ],
    [
      "a cycle",
      {
        "src/policy/a.ts": 'import { b } from "./b.ts";\nexport const a = () => b;',
        "src/policy/b.ts": 'import { a } from "./a.ts";\nexport const b = () => a;',
      },
      [
        "cycle: src/policy/a.ts → src/policy/b.ts → src/policy/a.ts",
        "cycle of types: src/policy/a.ts → src/policy/b.ts → src/policy/a.ts",
      ],
    ],
    [
      "a cycle of types",
      {
        "src/policy/a.ts": 'import type { B } from "./b.ts";\nexport type A = B;',
        "src/policy/b.ts": 'import type { A } from "./a.ts";\nexport type B = A;',
      },
      ["cycle of types: src/policy/a.ts → src/policy/b.ts → src/policy/a.ts"],
    ],
    [
      "the cycle of types through Deps, which is how steps are given their parts",
      {
        "src/pipeline/step.ts": 'import type { Deps } from "./deps.ts";\nexport type Step = Deps;',
        "src/pipeline/deps.ts": 'import type { Engine } from "../engine/engine.ts";\nexport type Deps = Engine;',
        "src/engine/engine.ts": 'import type { Step } from "../pipeline/step.ts";\nexport type Engine = Step;',
      },
      [],
    ],
    [
      "a pipeline that imports a step's value",
      {
        "src/pipeline/issue-to-pr.ts": 'import { shape } from "./steps/shapes.ts";\nshape;',
        "src/pipeline/steps/shapes.ts": "export const shape = 1;",
      },
      [
        "pipeline/answer-command.ts and its like may not import: src/pipeline/issue-to-pr.ts → src/pipeline/steps/shapes.ts",
      ],
    ],
    [
      "a pipeline that imports a step's type",
      {
        "src/pipeline/issue-to-pr.ts": 'import type { Shape } from "./steps/shapes.ts";\nexport type Used = Shape;',
        "src/pipeline/steps/shapes.ts": "export type Shape = 1;",
      },
      [],
    ],
    ...wrongArrows([
      ["handlers", "github"],
      ["handlers", "store"],
      ["agent", "workspace"],
      ["agent", "sandbox"],
      ["workspace", "agent"],
      ["sandbox", "workspace"],
      ["checks", "sandbox"],
      ["review", "github"],
      ["policy", "github"],
      ["github", "store"],
      ["engine", "run"],
      ["engine", "github"],
      ["store", "github"],
      ["status", "engine"],
      ["config", "policy"],
      ["pipeline/steps", "run"],
      ["pipeline/steps", "handlers"],
      ["telemetry", "store"],
    ]),
    [
      "a folder without a rule",
      { "src/magic/a.ts": "export const a = 1;" },
      ["no rule says what src/magic/a.ts may import"],
    ],
    [
      "a test in the product",
      { "src/policy/a.ts": 'import { b } from "../../test/b.ts";\nb;', "test/b.ts": "export const b = 1;" },
      ["src/ stands alone: src/policy/a.ts → test/b.ts"],
    ],
    [
      "a package through another door",
      {
        "src/workspace/a.ts":
          'import { execa } from "execa";\nimport { simpleGit } from "simple-git";\nexeca; simpleGit;',
        "src/sandbox/a.ts":
          'import { execa } from "execa";\nimport type { SimpleGit } from "simple-git";\nexeca;\nexport type G = SimpleGit;',
        "src/run/a.ts": 'import { betaZodTool } from "@anthropic-ai/sdk/helpers/beta/zod";\nbetaZodTool;',
      },
      [
        "only src/agent/ imports @anthropic-ai/sdk: src/run/a.ts → @anthropic-ai/sdk/helpers/beta/zod",
        "only src/sandbox/ imports execa: src/workspace/a.ts → execa",
        "only src/workspace/ imports simple-git: src/sandbox/a.ts → simple-git",
      ],
    ],
  ];

  let folder: string | undefined;
  afterEach(async () => {
    if (folder !== undefined) await rm(folder, { recursive: true, force: true });
    folder = undefined;
  });

  test.each(graphs)("checkImports judges %s", async (_name, files, violations) => {
    folder = await mkdtemp(join(tmpdir(), "imports-"));
    await writeFile(join(folder, "package.json"), '{"type":"module"}');
    for (const [path, text] of Object.entries(files)) {
      await mkdir(dirname(join(folder, path)), { recursive: true });
      await writeFile(join(folder, path), text);
    }
    const seen = await checkImports(folder);
    expect(new Set(seen.violations)).toEqual(new Set(violations));
    expect(seen.moduleCount).toBe(Object.keys(files).filter((path) => path.startsWith("src/")).length);
  });
});

/** A graph for each pair: the first folder uses a value of the second, which its rule does not allow. */
function wrongArrows(pairs: [string, string][]): [string, Record<string, string>, string[]][] {
  return pairs.map(([from, to]) => [
    `${from} that uses ${to}`,
    {
      [`src/${from}/a.ts`]: `import { b } from "${"../".repeat(from.split("/").length)}${to}/b.ts";\nb;`,
      [`src/${to}/b.ts`]: "export const b = 1;",
    },
    [`${from}/ may not import: src/${from}/a.ts → src/${to}/b.ts`],
  ]);
}

describe("a pipeline replays the same way", () => {
  test("each pipeline file is a deterministic story", () => {
    expect(pipelines.map(({ path }) => path.replace("src/", "")).sort()).toEqual([...pipelineFiles].sort());
    for (const { path, text } of pipelines) expect({ path, found: surprisesIn(text) }).toEqual({ path, found: [] });
  });

  test.each([
    ['await Promise.all([run.step("a", {}), run.step("b", {})]);', ["Promise.all"]],
    ['await Promise.race([run.step("a", {})]);', ["Promise.race"]],
    ["const at = new Date();", ["new Date("]],
    ["const at = Date.now();", ["Date.now"]],
    ["const id = Math.random() + crypto.randomUUID();", ["Math.random", "crypto."]],
    ["setTimeout(() => {}, 5); await fetch(url); process.exit();", ["setTimeout", "fetch(", "process."]],
    ['import { readFileSync } from "node:fs";', ['"node:']],
    ["// Promise.all would let timing decide.\nawait run.parallel({});", []],
  ])("surprisesIn finds what breaks replay in %s", (text, found) => {
    expect(surprisesIn(text)).toEqual(found);
  });
});

/** What a pipeline may not hold: clocks, chance, I/O, and promises whose order timing decides. */
function surprisesIn(text: string): string[] {
  const forbidden =
    /Promise\.(?:all|race|any|allSettled)\b|new Date\(|Date\.now|performance\.|Math\.random|crypto\.|set(?:Timeout|Interval|Immediate)|fetch\(|process\.|"node:/g;
  return withoutComments(text).match(forbidden) ?? [];
}

describe("the environment is read in one place", () => {
  const readsAll = ["src/config/operator.ts", "src/config/intake.ts"];
  /** Programs that we start need the PATH of this process. */
  const readsPath = ["src/workspace/environment-cache.ts", "src/workspace/git-environment.ts"];
  /** What AWS Lambda says of the machine, which no operator configures. */
  const readsMachine = ["src/run/lambda/runtime-client.ts", "src/run/lambda/sandbox.ts"];

  test("process.env is read in src/config; elsewhere PATH alone, and what AWS Lambda says of the machine", () => {
    for (const { path, text } of sources) {
      const allowed = readsAll.includes(path)
        ? /^/
        : readsPath.includes(path)
          ? /^PATH$/
          : readsMachine.includes(path)
            ? /^(AWS_LAMBDA_\w+|_X_AMZN_TRACE_ID)$/
            : /^\b$/;
      expect({ path, found: environmentReads(text).filter((name) => !allowed.test(name)) }).toEqual({
        path,
        found: [],
      });
    }
  });

  test.each([
    ["const a = process.env;", ["everything"]],
    ['const a = process.env["PATH"];', ["PATH"]],
    ["const a = process.env.HOME;", ["HOME"]],
    ["const a = process?.env?.HOME;", ["HOME"]],
    ["const { env } = process;", ["everything"]],
    ['import { env } from "node:process";', ["everything"]],
    ["// process.env is read elsewhere\nconst a = 1;", []],
  ])("environmentReads finds what is read in %s", (text, found) => {
    expect(environmentReads(text)).toEqual(found);
  });
});

/** Names of the variables that a source reads, or "everything". */
function environmentReads(text: string): string[] {
  const reads =
    /\bprocess\??\.env\b(?:\??\.(?<dotted>\w+)|(?:\?\.)?\[["'](?<quoted>\w+)["']\])?|\benv\b[^=;]*\}\s*=\s*process\b|import[^;]*\benv\b[^;]*"(?:node:)?process"/g;
  return [...withoutComments(text).matchAll(reads)].map(
    ({ groups }) => groups?.dotted ?? groups?.quoted ?? "everything",
  );
}

/** Without comments that fill a line or start after a blank; strings are left alone, as addresses hold slashes. */
function withoutComments(text: string): string {
  return text.replace(/^\s*\/\*[\s\S]*?\*\//gm, "").replace(/(^|\s)\/\/.*$/gm, "");
}

describe("a step is one file", () => {
  test("steps has every file of src/pipeline/steps by its name", () => {
    const files = globSync("src/pipeline/steps/*.ts", { cwd: root }).map((path) => basename(path, ".ts"));
    expect(stepProblems(steps, files)).toEqual([]);
  });

  test("stepProblems names files, entries and names that do not agree", () => {
    expect(stepProblems({ "a-b": { name: "a-b" } }, ["index", "shapes", "a-b"])).toEqual([]);
    expect(stepProblems({ a: { name: "b" } }, ["a"])).toEqual(["step a calls itself b"]);
    expect(stepProblems({ a: { name: "a" } }, [])).toEqual(["step a has no file a.ts"]);
    expect(stepProblems({}, ["a"])).toEqual(["a.ts is not in the list of steps"]);
  });
});

function stepProblems(listed: Record<string, { name: string }>, files: string[]): string[] {
  const stepFiles = files.filter((file) => file !== "index" && file !== "shapes");
  return [
    ...Object.entries(listed).flatMap(([key, { name }]) => (key === name ? [] : [`step ${key} calls itself ${name}`])),
    ...Object.keys(listed).flatMap((key) => (stepFiles.includes(key) ? [] : [`step ${key} has no file ${key}.ts`])),
    ...stepFiles.flatMap((file) => (file in listed ? [] : [`${file}.ts is not in the list of steps`])),
  ];
}
