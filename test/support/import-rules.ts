import { cruise, type ICruiseResult, type IForbiddenRuleType } from "dependency-cruiser";

/** The words that everything about a run is said in: shapes, names and errors, without a story and without I/O. */
const vocabulary = ["intent", "limits", "outcome", "run", "run-key", "step"].map((name) => `pipeline/${name}.ts`);

/** The stories themselves, which every engine must be able to bundle: types only, and one another. */
export const pipelineFiles = [
  "answer-command",
  "apply-fix",
  "fix-check",
  "forget-data",
  "issue-to-pr",
  "iterate-pr",
  "review-pr",
].map((name) => `pipeline/${name}.ts`);

/**
 * Who may import what in src/, besides its own folder and `everyone`; AGENTS.md has the same table in words.
 * `values` are imported to be used, `types` vanish before the program runs. The first area that a file is in counts.
 */
const arrows: { area: string[]; values: string[]; types?: string[] }[] = [
  { area: ["index.ts", "run/"], values: [""] },
  {
    area: ["handlers/"],
    values: ["engine/engine.ts", "pipeline/intent.ts", "pipeline/run-key.ts"],
    types: ["config/"],
  },
  { area: pipelineFiles, values: pipelineFiles, types: [...vocabulary, "pipeline/steps/", "policy/", "config/"] },
  { area: ["pipeline/index.ts"], values: pipelineFiles, types: vocabulary },
  { area: ["pipeline/run.ts"], values: [], types: [...vocabulary, "pipeline/steps/index.ts"] },
  // All that a step is given; it names every part by its type.
  { area: ["pipeline/deps.ts"], values: [], types: [""] },
  { area: vocabulary, values: vocabulary, types: ["pipeline/deps.ts"] },
  {
    area: ["pipeline/steps/"],
    values: [
      ...vocabulary,
      "agent/",
      "coder/",
      "checks/",
      "workspace/",
      "sandbox/",
      "github/",
      "notify/",
      "review/",
      "store/",
      "status/",
    ],
    types: ["pipeline/deps.ts", "engine/engine.ts"],
  },
  // A thread gets the address of a tree, not the tree: it opens it itself.
  { area: ["agent/context/select-thread.ts"], values: ["workspace/source-tree.ts", "agent/"], types: ["workspace/"] },
  { area: ["agent/"], values: [], types: ["workspace/"] },
  { area: ["coder/"], values: ["agent/"], types: ["sandbox/"] },
  // Errors that are shown to people, and the guard of ctx.effect around a push.
  { area: ["workspace/"], values: ["pipeline/step.ts", "github/effect-scope.ts"] },
  { area: ["github/"], values: [], types: vocabulary },
  // What Temporal's workers bundle: the stories, told by the engine.
  { area: ["engine/temporal/workflow.ts"], values: ["engine/", "pipeline/index.ts"] },
  { area: ["engine/"], values: [...vocabulary, "store/"] },
  { area: ["store/"], values: ["pipeline/intent.ts"], types: [...vocabulary, "agent/model.ts"] },
  { area: ["notify/"], values: [], types: ["store/", "telemetry/"] },
  { area: ["status/"], values: ["store/", "github/", "pipeline/outcome.ts"], types: ["agent/model.ts"] },
  // Pure; what a file is for is said by one table of names.
  { area: ["review/"], values: ["agent/context/file-kind.ts"] },
  { area: ["sandbox/"], values: [] },
  { area: ["checks/"], values: [] },
  { area: ["telemetry/"], values: [] },
  { area: ["policy/"], values: [] },
  { area: ["config/"], values: [] },
];

/** What is pure enough for everyone, policy and config themselves apart. */
const everyone = ["policy/", "config/"];

/** A package that one folder alone may import, so that what it can do has one door. */
const doors = {
  execa: "sandbox/",
  "@temporalio": "engine/temporal/",
  nodemailer: "notify/",
  "simple-git": "workspace/",
  "@anthropic-ai/sdk": "agent/",
  openai: "agent/",
  "@anthropic-ai/sandbox-runtime": "sandbox/",
};

/**
 * Draws the graph of src/ below `baseDir` with dependency-cruiser.
 * Returns how many of our modules it saw, the areas that no rule covers and one line for each import that breaks a rule.
 */
export async function checkImports(baseDir: string): Promise<{ moduleCount: number; violations: string[] }> {
  const { output } = await cruise(["src"], {
    baseDir,
    // The parser of TypeScript itself is one that dependency-cruiser does not know yet: it would see no module at all.
    parser: "swc",
    tsPreCompilationDeps: true,
    doNotFollow: { path: "node_modules" },
    validate: true,
    ruleSet: { forbidden: [...arrowRules(), ...doorRules(), ...cycleRules, outsideRule] },
  });
  const { modules, summary } = output as ICruiseResult;
  const ours = modules.map(({ source }) => source).filter((source) => source.startsWith("src/"));
  const strangers = ours.filter((source) => !arrows.some(({ area }) => new RegExp(`^${below(area)}`).test(source)));
  return {
    moduleCount: ours.length,
    violations: [
      ...strangers.map((source) => `no rule says what ${source} may import`),
      ...summary.violations.map(({ rule, from, to, cycle }) =>
        cycle === undefined
          ? `${rule.name}: ${from} → ${to}`
          : `${rule.name}: ${[from, ...cycle.map(({ name }) => name)].join(" → ")}`,
      ),
    ],
  };
}

function arrowRules(): IForbiddenRuleType[] {
  return arrows.flatMap(({ area, values, types = [] }, index) => {
    const earlier = arrows.slice(0, index).flatMap((arrow) => arrow.area);
    const from = { path: `^${below(area)}`, ...(earlier.length > 0 ? { pathNot: `^${below(earlier)}` } : {}) };
    const own = area.filter((path) => path.endsWith("/"));
    const allowed = [...values, ...own, ...(own.some((path) => everyone.includes(path)) ? [] : everyone)];
    const name = area.length === 1 ? `${area[0]} may not import` : `${area[0]} and its like may not import`;
    return [
      {
        name,
        severity: "error",
        from,
        to: { path: "^src/", pathNot: allowedPattern(allowed), dependencyTypesNot: ["type-only"] },
      },
      {
        name: `${name}, even as a type,`,
        severity: "error",
        from,
        to: { path: "^src/", pathNot: allowedPattern([...allowed, ...types]), dependencyTypes: ["type-only"] },
      },
    ] satisfies IForbiddenRuleType[];
  });
}

function doorRules(): IForbiddenRuleType[] {
  return Object.entries(doors).map(([name, folder]) => ({
    name: `only src/${folder} imports ${name}`,
    severity: "error",
    from: { path: "^src/", pathNot: `^src/${folder}` },
    to: { path: `(^|node_modules/)${name}(/|$)` },
  }));
}

const cycleRules: IForbiddenRuleType[] = [
  {
    name: "cycle",
    severity: "error",
    from: {},
    to: { circular: true, viaOnly: { dependencyTypesNot: ["type-only"] } },
  },
  // A step is given Deps, whose parts speak of steps: by type alone, and through these two files alone.
  {
    name: "cycle of types",
    severity: "error",
    from: {},
    to: { circular: true, viaOnly: { pathNot: "^src/pipeline/(deps|run)\\.ts$" } },
  },
];

const outsideRule: IForbiddenRuleType = {
  name: "src/ stands alone",
  severity: "error",
  from: { path: "^src/" },
  to: { path: "^(test|demo|bench)/" },
};

function below(paths: string[]): string {
  return `src/(${paths.map(escaped).join("|")})`;
}

function allowedPattern(paths: string[]): string {
  return paths.length === 0 ? "^$" : `^${below(paths)}`;
}

function escaped(path: string): string {
  return path.endsWith(".ts") ? `${path.replaceAll(".", "\\.")}$` : path;
}
