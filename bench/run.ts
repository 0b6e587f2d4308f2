import { existsSync } from "node:fs";
import { parseArgs } from "node:util";
import { type Figure, say } from "./figure.ts";

/** Makes some figures that are measured together. Loaded when it is asked for: each brings a lot with it. */
interface Group {
  names: readonly string[];
  make(repositories: readonly string[]): Promise<readonly Figure[]>;
}

const groups: readonly Group[] = [
  {
    names: ["acknowledge.p99", "acknowledge.p50"],
    make: async () => (await import("./acknowledge.ts")).acknowledgeFigures(),
  },
  { names: ["first-step.p50"], make: async () => (await import("./acknowledge.ts")).firstStepFigures() },
  {
    names: ["workspace.warm", "workspace.cold", "history.cold"],
    make: async () => (await import("./workspace.ts")).workspaceFigures(),
  },
  { names: ["pipeline.overhead"], make: async () => (await import("./pipeline-overhead.ts")).pipelineFigures() },
  {
    names: ["memory.idle.postgres", "memory.idle.pglite", "memory.jobs"],
    make: async () => (await import("./memory.ts")).memoryFigures(),
  },
  { names: ["retrieval.cold", "retrieval.warm"], make: async () => (await import("./retrieval.ts")).speedFigures() },
  {
    names: ["retrieval.recall1", "retrieval.recall5", "retrieval.recall10", "retrieval.mrr"],
    make: async (repositories) => (await import("./retrieval.ts")).retrievalFigures(repositories),
  },
  {
    names: ["lambda.bundle", "lambda.init", "lambda.memory"],
    make: async () => (await import("./lambda.ts")).webhookFigures(),
  },
  { names: ["lambda.event"], make: async () => (await import("./lambda.ts")).eventFigures() },
  { names: ["lambda.result"], make: async () => (await import("./lambda.ts")).resultFigures() },
  {
    names: [
      ...["engine.local.runs.1", "engine.local.runs.2", "engine.local.runs.4"],
      ...["engine.temporal.runs.1", "engine.temporal.runs.2", "engine.temporal.runs.4"],
      ...["engine.local.step", "engine.temporal.step", "engine.temporal.waiting"],
    ],
    make: async () => (await import("./engine.ts")).engineFigures(),
  },
  {
    names: ["memory.worker.idle", "memory.worker.waiting"],
    make: async () => (await import("./worker-memory.ts")).workerMemoryFigures(),
  },
  {
    names: ["distill.time", "distill.memory"],
    make: async () => (await import("./distil.ts")).distilFigures(),
  },
  { names: ["fix.requests", "fix.reproduced"], make: async () => (await import("./fix.ts")).fixFigures() },
  { names: ["fix.input"], make: async () => (await import("./fix.ts")).fixInputFigure() },
  { names: ["review.anchor"], make: async () => (await import("./review.ts")).anchorFigures() },
  {
    names: ["review.requests", "review.cached"],
    make: async () => (await import("./review-run.ts")).reviewRunFigures(),
  },
  {
    names: ["coder.start", "gateway.added", "gateway.first-byte", "coder.cached.agent", "coder.cached.claude-code"],
    make: async () => (await import("./coder.ts")).coderFigures(),
  },
  { names: ["queue.pglite", "queue.postgres"], make: async () => (await import("./queue.ts")).queueFigures() },
];

const help = `Measures the figures of docs/benchmarks.md and prints one line of JSON for each.

  npm run -s bench                                    every figure
  npm run -s bench -- acknowledge memory.idle         those whose names begin like this
  npm run -s bench -- retrieval --repo DIR [--repo DIR …]   with the quality on these git clones

Figures:
${groups.flatMap(({ names }) => names.map((name) => `  ${name}\n`)).join("")}
Environment:
  BENCH_SCALE=0.1    shorter, to see whether it runs; not a measurement
  BENCH_PROFILE=DIR  CPU profiles of the measured servers
  BENCH_SANDBOX=…    the sandbox of pipeline.overhead (default: none)

Exits with 1 when a figure is not ok, and with 2 when it was asked wrongly.
`;

/** Runs what is asked for and resolves to the exit code. */
async function main(): Promise<number> {
  const asked = readArguments();
  if ("message" in asked) {
    say(asked.message);
    return 2;
  }
  if (asked.help) {
    process.stdout.write(help);
    return 0;
  }
  let allOk = true;
  for (const group of groups) {
    const wanted = group.names.filter((name) => isWanted(name, asked.names));
    if (wanted.length === 0 || (needsRepositories(group) && asked.repositories.length === 0)) continue;
    say(`— ${wanted.join(", ")}`);
    try {
      const figures = await group.make(asked.repositories);
      const absent = wanted.filter((name) => !figures.some((figure) => figure.name === name));
      if (absent.length > 0) say(`${absent.join(", ")}: left out, because it cannot be measured here`);
      for (const figure of figures) {
        if (!isWanted(figure.name, asked.names)) continue;
        process.stdout.write(`${JSON.stringify(figure)}\n`);
        allOk &&= figure.ok;
      }
    } catch (error) {
      say(`${wanted.join(", ")} could not be measured: ${(error as Error).stack ?? String(error)}`);
      allOk = false;
    }
  }
  return allOk ? 0 : 1;
}

type Asked = { help: boolean; names: string[]; repositories: string[] };

function readArguments(): Asked | { message: string } {
  let parsed: { values: { help: boolean; repo: string[] }; positionals: string[] };
  try {
    parsed = parseArgs({
      allowPositionals: true,
      options: { help: { type: "boolean", default: false }, repo: { type: "string", multiple: true, default: [] } },
    });
  } catch (error) {
    return { message: `${(error as Error).message}\n\n${help}` };
  }
  const { values, positionals: names } = parsed;
  const all = groups.flatMap((group) => group.names);
  const unknown = names.find((name) => !all.some((known) => isWanted(known, [name])));
  if (unknown !== undefined)
    return { message: `There is no figure ${JSON.stringify(unknown)}. The figures are:\n  ${all.join("\n  ")}` };
  const missing = values.repo.find((directory) => !existsSync(directory));
  if (missing !== undefined)
    return { message: `--repo must be the directory of a git clone, but there is no ${missing}` };
  const quality = groups.filter(needsRepositories).flatMap((group) => group.names);
  const onlyQuality = names.find((name) =>
    all.filter((known) => isWanted(known, [name])).every((known) => quality.includes(known)),
  );
  if (onlyQuality !== undefined && values.repo.length === 0)
    return { message: `${onlyQuality} needs --repo DIR: a git clone whose history is asked` };
  return { help: values.help, names, repositories: values.repo };
}

/** A name asks for all figures that begin with it: `memory.idle` for both databases. */
function isWanted(name: string, asked: readonly string[]): boolean {
  return asked.length === 0 || asked.some((prefix) => name.startsWith(prefix));
}

function needsRepositories({ names }: Group): boolean {
  return names.includes("retrieval.mrr");
}

const exitCode = await main();
// Written to a pipe, a line may still be on its way; and no helper of a benchmark may keep the process alive.
process.stdout.write("", () => process.exit(exitCode));
