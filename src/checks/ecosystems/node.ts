import { z } from "zod";
import { type Command, type FormatCommand, reportPath } from "../commands.ts";
import type { Ecosystem } from "../registry-hosts.ts";
import { buildTimeoutSeconds, type FoundCommands, foreign, type Project, testTimeoutSeconds } from "./project.ts";

const Manifest = z.object({
  packageManager: z.string().optional().catch(undefined),
  scripts: z.record(z.string(), z.string().catch("")).optional().catch(undefined),
  dependencies: z.record(z.string(), z.unknown()).optional().catch(undefined),
  devDependencies: z.record(z.string(), z.unknown()).optional().catch(undefined),
  optionalDependencies: z.record(z.string(), z.unknown()).optional().catch(undefined),
  workspaces: z.unknown().optional(),
  prettier: z.unknown().optional(),
  eslintConfig: z.unknown().optional(),
});
type Manifest = z.infer<typeof Manifest>;

interface Manager {
  ecosystem: Ecosystem;
  berry: boolean;
  /** Runs a script of package.json. */
  script(name: string, extra?: string): string;
  /** Runs a program of a dependency, without ever downloading it. */
  program(command: string): string;
}

const sources = [".js", ".cjs", ".mjs", ".jsx", ".ts", ".cts", ".mts", ".tsx"];
const prettierExtensions = [...sources, ".json", ".css", ".scss", ".less", ".html", ".vue", ".md", ".yml", ".yaml"];

/** Detects npm, pnpm, yarn (classic and berry) and bun projects by package.json; the scripts come first. */
export async function detectNode(project: Project): Promise<FoundCommands | undefined> {
  const manifest = await manifestOf(project);
  if (manifest === undefined) return undefined;
  const manager = await managerOf(project, manifest);
  const { ecosystem } = manager;
  const packages = project.files
    .filter((path) => /(?:^|\/)package\.json$/.test(path) && !foreign.test(path))
    .slice(0, 500);
  const found = project.found(ecosystem, {
    environmentPaths: packages.map((path) => path.replace(/package\.json$/, "node_modules")),
    homeCaches: caches[ecosystem] ?? [],
  });
  found.setup.push(...(await setupOf(project, manifest, manager)));
  found.format.push(...(await formatOf(project, manifest, manager)));
  found.lint.push(...lintOf(project, manifest, manager));
  const build = scriptNamed(manifest, ["build", "compile"]);
  if (build !== undefined) {
    const more = { timeoutSeconds: buildTimeoutSeconds };
    found.build.push(project.command(ecosystem, `${ecosystem} run ${build}`, manager.script(build), more));
  }
  found.test.push(...(await testOf(project, manifest, manager)));
  return found;
}

const caches: Partial<Record<Ecosystem, string[]>> = {
  npm: [".npm"],
  pnpm: [".local/share/pnpm/store", ".cache/pnpm"],
  yarn: [".cache/yarn", ".yarn/berry"],
  bun: [".bun/install/cache"],
};

async function manifestOf(project: Project): Promise<Manifest | undefined> {
  if (!project.has("package.json")) return undefined;
  try {
    const parsed = Manifest.safeParse(JSON.parse((await project.text("package.json")).replace(/^\ufeff/, "")));
    return parsed.success ? parsed.data : undefined;
  } catch {
    return undefined;
  }
}

async function managerOf(project: Project, manifest: Manifest): Promise<Manager> {
  const declared = /^(npm|pnpm|yarn|bun)@(\d{1,4})/.exec(manifest.packageManager ?? "");
  const locked = project.has("pnpm-lock.yaml")
    ? "pnpm"
    : project.has("yarn.lock")
      ? "yarn"
      : project.firstOf("bun.lock", "bun.lockb")
        ? "bun"
        : "npm";
  const ecosystem = (declared?.[1] ?? locked) as "npm" | "pnpm" | "yarn" | "bun";
  const berry =
    ecosystem === "yarn" &&
    (declared !== null
      ? Number(declared[2]) > 1
      : project.has(".yarnrc.yml") || /^__metadata:/m.test(await project.text("yarn.lock")));
  const extraAfter = (run: string, extra: string | undefined, separator = "") =>
    extra ? `${run}${separator} ${extra}` : run;
  const scripts = {
    npm: (name: string, extra?: string) =>
      extraAfter(name === "test" ? "npm test --silent" : `npm run --silent ${name}`, extra, " --"),
    pnpm: (name: string, extra?: string) => extraAfter(`pnpm --silent run ${name}`, extra),
    yarn: (name: string, extra?: string) => extraAfter(berry ? `yarn run ${name}` : `yarn --silent run ${name}`, extra),
    bun: (name: string, extra?: string) => extraAfter(`bun run --silent ${name}`, extra),
  };
  const programs = {
    npm: (command: string) => `npx --no-install ${command}`,
    pnpm: (command: string) => `pnpm exec ${command}`,
    yarn: (command: string) => (berry ? `yarn run ${command}` : `yarn --silent run ${command}`),
    bun: (command: string) => `bun run --silent ${command}`,
  };
  return { ecosystem, berry, script: scripts[ecosystem], program: programs[ecosystem] };
}

async function setupOf(
  project: Project,
  manifest: Manifest,
  { ecosystem, berry }: Manager,
): Promise<FoundCommands["setup"]> {
  const lockfile = project.firstOf(
    "package-lock.json",
    "npm-shrinkwrap.json",
    "pnpm-lock.yaml",
    "yarn.lock",
    "bun.lock",
    "bun.lockb",
  );
  const dependencies = { ...manifest.dependencies, ...manifest.devDependencies, ...manifest.optionalDependencies };
  if (Object.keys(dependencies).length === 0 && lockfile === undefined && manifest.workspaces === undefined) return [];
  if (ecosystem === "pnpm") {
    const run = `pnpm install${project.has("pnpm-lock.yaml") ? " --frozen-lockfile" : " --no-lockfile"}`;
    // .pnpmfile.cjs is code of the repository that runs during the installation.
    return [project.setup("pnpm", run, `${run} --ignore-scripts --ignore-pnpmfile`)];
  }
  if (ecosystem === "yarn" && berry) {
    const run = project.has("yarn.lock") ? "yarn install --immutable" : "yarn install";
    // Plugins are code of the repository and cannot be switched off.
    const plugins = /^plugins:/m.test(await project.text(".yarnrc.yml"));
    return [project.setup("yarn", run, plugins ? undefined : `YARN_ENABLE_SCRIPTS=0 YARN_IGNORE_PATH=1 ${run}`)];
  }
  if (ecosystem === "yarn") {
    const run = `yarn install --non-interactive${project.has("yarn.lock") ? " --frozen-lockfile" : " --no-lockfile"}`;
    return [project.setup("yarn", run, `${run} --ignore-scripts --no-default-rc`)];
  }
  if (ecosystem === "bun") {
    const run = `bun install${project.firstOf("bun.lock", "bun.lockb") ? " --frozen-lockfile" : " --no-save"}`;
    return [project.setup("bun", run, `${run} --ignore-scripts`)];
  }
  const locked = project.firstOf("package-lock.json", "npm-shrinkwrap.json");
  const run = `${locked ? "npm ci" : "npm install --no-package-lock"} --no-audit --no-fund`;
  return [project.setup("npm", run, `${run} --ignore-scripts`)];
}

async function formatOf(project: Project, manifest: Manifest, manager: Manager): Promise<FormatCommand[]> {
  const scripts = manifest.scripts ?? {};
  const checkNames = [
    "format:check",
    "check:format",
    "format-check",
    "check-format",
    "fmt:check",
    "prettier:check",
    "format:ci",
  ];
  const writeNames = ["format:write", "format:fix", "fix:format", "format", "fmt", "prettier:write", "prettier"];
  const isCheck = (name: string) =>
    /(?:^|\s)(?:--check|-c|--list-different|-l|--ci)(?:\s|$)|\bbiome (?:ci|format(?!.*--write))/.test(
      scripts[name] ?? "",
    );
  const checkName = scriptNamed(manifest, checkNames) ?? writeNames.find((name) => name in scripts && isCheck(name));
  const writeName = writeNames.find((name) => name in scripts && name !== checkName && !isCheck(name));
  const prettier = usesPrettier(project, manifest);
  const biome = project.firstOf("biome.json", "biome.jsonc") !== undefined && hasDependency(manifest, "@biomejs/biome");
  const run = (name: string, command: string) => project.command(manager.ecosystem, name, command);
  const script = (name: string) => run(`${manager.ecosystem} run ${name}`, manager.script(name));
  const check =
    checkName !== undefined
      ? script(checkName)
      : prettier
        ? run("prettier --check", manager.program("prettier --check ."))
        : biome
          ? run("biome format", manager.program("biome format"))
          : undefined;
  const write =
    writeName !== undefined
      ? script(writeName)
      : prettier
        ? run("prettier --write", manager.program("prettier --write ."))
        : biome
          ? run("biome format --write", manager.program("biome format --write"))
          : undefined;
  if (check === undefined && write === undefined) return [];
  const format: FormatCommand = { name: writeName ?? checkName ?? (prettier ? "prettier" : "biome") };
  if (check !== undefined) format.check = check;
  if (write !== undefined) format.write = write;
  if (prettier) {
    format.writeFiles = { run: manager.program("prettier --write --ignore-unknown"), extensions: prettierExtensions };
  } else if (biome) {
    const extensions = [...sources, ".json", ".jsonc", ".css"];
    format.writeFiles = { run: manager.program("biome format --write --no-errors-on-unmatched"), extensions };
  }
  return [format];
}

function usesPrettier(project: Project, manifest: Manifest): boolean {
  const configured =
    project.some(/^\.prettierrc(?:\.\w+)?$|^prettier\.config\.\w+$/) || manifest.prettier !== undefined;
  return (
    hasDependency(manifest, "prettier") &&
    (configured || /\bprettier\b/.test(Object.values(manifest.scripts ?? {}).join("\n")))
  );
}

function lintOf(project: Project, manifest: Manifest, manager: Manager): Command[] {
  const commands: Command[] = [];
  const run = (name: string, command: string) => commands.push(project.command(manager.ecosystem, name, command));
  const lint = scriptNamed(manifest, ["lint:check", "lint", "check:lint", "lint:ci", "eslint"]);
  if (lint !== undefined) {
    const script = manifest.scripts![lint]!;
    // A lint script that repairs would change files nobody asked for; a plain one also has a checking form.
    const fixes = /^(?:eslint|biome|xo|standard|stylelint)\b[^&|;<>$`]*\s--(?:fix|write|apply)(?:\s|$)/.test(script);
    const checking = manager.program(script.replace(/\s--(?:fix|write|apply)(?=\s|$)/g, ""));
    run(`${manager.ecosystem} run ${lint}`, fixes ? checking : manager.script(lint));
  } else if (
    hasDependency(manifest, "eslint") &&
    (manifest.eslintConfig !== undefined || project.some(/^(?:eslint\.config\.\w+|\.eslintrc(?:\.\w+)?)$/))
  ) {
    run("eslint", manager.program("eslint ."));
  } else if (hasDependency(manifest, "@biomejs/biome") && project.firstOf("biome.json", "biome.jsonc") !== undefined) {
    run("biome lint", manager.program("biome lint"));
  }
  const types = scriptNamed(manifest, [
    "typecheck",
    "type-check",
    "check-types",
    "check:types",
    "types:check",
    "tsc",
    "types",
  ]);
  if (types !== undefined) run(`${manager.ecosystem} run ${types}`, manager.script(types));
  else if (
    project.has("tsconfig.json") &&
    hasDependency(manifest, "typescript") &&
    !/\btsc\b/.test(manifest.scripts?.build ?? "")
  ) {
    run("tsc --noEmit", manager.program("tsc --noEmit"));
  }
  return commands;
}

async function testOf(project: Project, manifest: Manifest, manager: Manager): Promise<Command[]> {
  const { ecosystem } = manager;
  const more = { timeoutSeconds: testTimeoutSeconds };
  const names = [
    "test",
    "test:ci",
    "test:run",
    "test:unit",
    "tests",
    "unit",
    "unit-test",
    "test:node",
    "test:all",
    "mocha",
    "jest",
    "vitest",
  ];
  const name = scriptNamed(manifest, names);
  if (name !== undefined) {
    const script = manifest.scripts![name]!;
    const { extra, reports } = reportOptions(script, manager);
    const command = project.command(
      ecosystem,
      name === "test" ? `${ecosystem} test` : `${ecosystem} run ${name}`,
      manager.script(name, extra),
      more,
    );
    if (reports !== undefined) command.reports = reports;
    // These runners wait for changes unless they believe to be in CI; for others CI=true could change what is tested.
    if (/\b(?:react-scripts|craco|ng) test\b|\bvitest\b/.test(script)) command.environment = { CI: "true" };
    return [command];
  }
  if (manifest.workspaces !== undefined || project.has("pnpm-workspace.yaml")) {
    const all = {
      npm: "npm test --workspaces --if-present",
      pnpm: "pnpm --recursive --if-present run test",
      yarn: manager.berry ? "yarn workspaces foreach --all run test" : "",
      bun: "bun run --filter '*' test",
    }[ecosystem as "npm" | "pnpm" | "yarn" | "bun"];
    const nested = project.files.filter((path) => /.\/package\.json$/.test(path) && !foreign.test(path)).slice(0, 50);
    for (const path of nested) {
      if (all !== "" && /"test"\s*:/.test(await project.text(path)))
        return [project.command(ecosystem, `${ecosystem} test in workspaces`, all, more)];
    }
  }
  for (const [dependency, run] of [
    ["vitest", "vitest run"],
    ["jest", "jest"],
    ["mocha", "mocha"],
    ["ava", "ava"],
  ] as const) {
    if (!hasDependency(manifest, dependency) || !project.some(testFile)) continue;
    const { extra, reports } = reportOptions(run, manager);
    const command = project.command(
      ecosystem,
      run,
      manager.program(extra === undefined ? run : `${run} ${extra}`),
      more,
    );
    if (reports !== undefined) command.reports = reports;
    return [command];
  }
  if (await project.anyContains(testFile, /from ["']node:test["']|require\(["']node:test["']\)/)) {
    const reports = { kind: "junit", path: "node-test.xml", from: "reports" } as const;
    return [project.command(ecosystem, "node --test", `node --test ${nodeTestReport}`, { ...more, reports })];
  }
  if (ecosystem === "bun" && project.some(testFile)) return [project.command("bun", "bun test", "bun test", more)];
  return [];
}

const testFile = /(?:^|\/)(?:(?:__tests__|tests?|spec)\/.*|[^/]*[.-](?:test|spec))\.[cm]?[jt]sx?$/;
const nodeTestReport = [
  "--test-reporter=spec --test-reporter-destination=stdout",
  `--test-reporter=junit --test-reporter-destination=${reportPath("node-test.xml")}`,
].join(" ");

/** Returns options that add a report to a script which is one plain call of a known runner. */
function reportOptions(script: string, manager: Manager): { extra?: string; reports?: Command["reports"] } {
  const plain =
    /^(?:(?:cross-env\s+)?(?:[A-Z_][A-Z0-9_]*=[\w.,:/@-]*\s+)*)(?:npx\s+)?(vitest|jest|node)\b([^&|;<>$`]*)$/.exec(
      script.trim(),
    );
  if (
    plain === null ||
    /--reporter|--json|--outputFile/i.test(script) ||
    (manager.ecosystem === "npm" && / -- /.test(script))
  ) {
    return jestWithoutWatch(script);
  }
  const [, runner, rest] = plain;
  if (runner === "vitest" && !/^\s*(?:watch|dev|bench|list|init|typecheck)\b/.test(rest!)) {
    const extra = `--reporter=default --reporter=json --outputFile.json=${reportPath("vitest.json")}`;
    return { extra, reports: { kind: "vitest-json", path: "vitest.json", from: "reports" } };
  }
  if (runner === "jest") {
    const watch = /--watch/.test(rest!) ? " --watchAll=false --watch=false" : "";
    const extra = `--json --outputFile=${reportPath("jest.json")}${watch}`;
    return { extra, reports: { kind: "jest-json", path: "jest.json", from: "reports" } };
  }
  // What follows the first file belongs to the test, so options can only be added where there are no files.
  if (runner === "node" && /^(?:\s+--[\w-]+(?:=\S+)?)*\s+--test(?:\s+--[\w-]+(?:=\S+)?)*\s*$/.test(rest!)) {
    return { extra: nodeTestReport, reports: { kind: "junit", path: "node-test.xml", from: "reports" } };
  }
  return {};
}

function jestWithoutWatch(script: string): { extra?: string } {
  return /\bjest\b[^&|;]*--watch(?:All)?\b[^&|;]*$/.test(script) ? { extra: "--watchAll=false --watch=false" } : {};
}

function scriptNamed(manifest: Manifest, names: readonly string[]): string | undefined {
  return names.find((name) => {
    const script = manifest.scripts?.[name];
    return script !== undefined && script.trim() !== "" && !isPlaceholder(script);
  });
}

// What `npm init` writes, and scripts that only say that there is nothing to do.
function isPlaceholder(script: string): boolean {
  return /no test specified/i.test(script) || /^(?:echo\b[^&|;]*(?:&&\s*)?)?(?:exit [01]|true|:)?$/.test(script.trim());
}

function hasDependency(manifest: Manifest, name: string): boolean {
  return name in (manifest.devDependencies ?? {}) || name in (manifest.dependencies ?? {});
}
