import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { estimateTokens } from "../src/policy/tokens.ts";
import {
  actionsLog,
  failedPull,
  failureAnalysis,
  fixEnded,
  fixes,
  fixing,
  underscores,
} from "../test/e2e/failed-checks.ts";
import { finish, type Scenario, startScenario } from "../test/support/scenario.ts";
import type { RawRequest } from "../test/support/scripted-model.ts";
import { writeLog } from "./distil.ts";
import { type Figure, median, say, scale, smallerIsBetter } from "./figure.ts";

const rounds = 5;
const maxReproducedMs = 3_000;
const maxRequests = 25;
const maxInputTokens = 12_000;
const logBytes = 50_000_000;

/**
 * Fixes on the real App with a local GitHub in the same process, the sandbox and a scripted model. `fix.requests` counts what
 * GitHub is asked for one whole fix of a failed job, from the webhook to the end of the check run; tokens that are minted and
 * git are counted apart. `fix.reproduced` is from the moment when the job fails to the end of the step that has seen it fail
 * in the sandbox, with a command that takes no time of its own and a mirror that is there.
 */
export async function fixFigures(): Promise<Figure[]> {
  const requests = await withScenario(fixing(underscores.mended), requestsOfFix);
  const reproduced = await withScenario(({ stage }) => (stage === "analyse-failure" ? forPeople : finish("")), timesOf);
  say(`fix: reproduced after ${reproduced.map((time) => Math.round(time)).join(", ")} ms`);
  return [
    smallerIsBetter("fix.requests", requests, "requests", { limit: maxRequests }),
    smallerIsBetter("fix.reproduced", median(reproduced), "ms", { limit: maxReproducedMs }),
  ];
}

/** Everything that the model is sent to analyse a failure whose job left a log of 50 MB, as it comes over the wire. */
export async function fixInputFigure(): Promise<Figure[]> {
  const directory = await mkdtemp(join(tmpdir(), "millwright-bench-"));
  try {
    const file = join(directory, "job.log");
    await writeLog(file, logBytes * scale());
    const log = await readFile(file, "utf8");
    const sent = await withScenario(
      () => forPeople,
      async (scenario) => {
        const { number } = await failedPull(scenario, { files: largeChange(), log });
        const { outcome } = await fixEnded(scenario, number);
        if (outcome?.kind !== "escalated") throw new Error(`The failure ended as ${JSON.stringify(outcome)}`);
        return scenario.sentToModel();
      },
    );
    const tokens = sent.map(tokensOf);
    say(`fix: ${sent.length} requests to the model, of ${tokens.join(", ")} tokens`);
    return [smallerIsBetter("fix.input", Math.max(...tokens), "tokens", { limit: maxInputTokens })];
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

const forPeople = failureAnalysis({ category: "infrastructure", fixable: false, evidence: ["exit code 1"] });

async function withScenario<T>(
  model: NonNullable<Parameters<typeof startScenario>[0]["model"]>,
  measure: (scenario: Scenario) => Promise<T>,
): Promise<T> {
  const scenario = await startScenario({ config: fixes("perDay: 50"), model });
  try {
    return await measure(scenario);
  } finally {
    await scenario.close();
  }
}

async function requestsOfFix(scenario: Scenario): Promise<number> {
  const { github } = scenario;
  github.requests.length = 0;
  const { number } = await failedPull(scenario, underscores);
  const run = await fixEnded(scenario, number);
  if (run.outcome?.kind !== "fixed") throw new Error(`The fix ended as ${JSON.stringify(run.outcome)}`);
  const asked = github.requests.filter(({ path }) => !/\.git\/|\.git\?|\/info\/refs/.test(path));
  const tokens = asked.filter(({ path }) => path.endsWith("/access_tokens"));
  const others = asked.filter((request) => !tokens.includes(request));
  say(`fix: ${tokens.length} tokens minted, ${github.requests.length - asked.length} requests of git, and:`);
  for (const { method, path } of others) say(`  ${method} ${path}`);
  return others.length;
}

/** Milliseconds of each round but the first, which makes the mirror. */
async function timesOf(scenario: Scenario): Promise<number[]> {
  const times: number[] = [];
  for (let round = 0; round <= rounds; round += 1) {
    const { number, run } = await failedPull(scenario, {
      ...{ files: { [`notes/${round}.md`]: "mine\n" }, branch: `feature-${round}` },
      log: actionsLog(`test -e mended-${round}`, "It is not mended."),
    });
    const { runKey } = await fixEnded(scenario, number);
    const steps = await scenario.app.worker.store.runs.steps(runKey);
    const step = steps.find(({ name }) => name === "reproduce-failure");
    if (step?.endedAt === undefined || !JSON.stringify(step.output).includes('"reproduced"'))
      throw new Error(`Round ${round} reproduced nothing: ${JSON.stringify(step)}`);
    if (round > 0) times.push(Date.parse(step.endedAt) - run.jobs[0]!.completedAt!.getTime());
  }
  return times;
}

/** A pull request that is large too: so much of a change as the model is shown. */
function largeChange(): Record<string, string> {
  const lines = Array.from({ length: 2_000 }, (_, at) => `export const value${at} = ${at} * factor(${at % 7});`);
  return { "src/values.js": `${lines.join("\n")}\n`, "src/slugify.js": String(underscores.files["src/slugify.js"]) };
}

function tokensOf({ body }: RawRequest): number {
  return estimateTokens(JSON.stringify(body));
}
