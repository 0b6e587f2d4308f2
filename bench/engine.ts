import { type ChildProcess, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { intentOf } from "../test/engine/scripted.ts";
import { startPostgres } from "../test/support/postgres.ts";
import { startTemporal, temporalAvailable, temporalMissing } from "../test/support/temporal.ts";
import { type Figure, median, say, scale, smallerIsBetter } from "./figure.ts";
import { type EngineOrder, openEngine } from "./support/engine-process.ts";

const runsAtOnce = 400;
const waitingRuns = 1_000;
const processCounts = [1, 2, 4];
const patienceSeconds = 600;

type Open = Awaited<ReturnType<typeof openEngine>>;

/**
 * Both engines on the same PostgreSQL, one after the other: runs per second (an authorisation, one trivial step, the
 * report, each recorded) by 1, 2 and 4 worker processes, milliseconds that each of 20 steps in one run takes, and, on
 * Temporal, what a run takes beside 1,000 that wait for a person.
 */
export async function engineFigures(): Promise<Figure[]> {
  if (!temporalAvailable) {
    say(`engine: nothing is measured: ${temporalMissing}`);
    return [];
  }
  const [postgres, server] = await Promise.all([startPostgres({ durable: true }), startTemporal()]);
  try {
    const measure = async (engine: EngineOrder["engine"]) =>
      measureEngine({ engine, databaseUrl: await postgres.createDatabase(), address: server.address, concurrency: 8 });
    const local = await measure("local");
    const temporal = await measure("temporal");
    return [
      ...processCounts.flatMap((count, index) => [
        rate(`engine.local.runs.${count}`, local.rates[index] as number, null),
        rate(`engine.temporal.runs.${count}`, temporal.rates[index] as number, local.rates[index] as number),
      ]),
      smallerIsBetter("engine.local.step", local.stepMs, "ms", {}),
      smallerIsBetter("engine.temporal.step", temporal.stepMs, "ms", { baseline: local.stepMs, limit: 100 }),
      smallerIsBetter("engine.temporal.waiting", temporal.waiting.besideMs, "ms", {
        baseline: temporal.waiting.aloneMs,
        ratioLimit: 3,
      }),
    ];
  } finally {
    await Promise.all([server.stop(), postgres.stop()]);
  }
}

async function measureEngine(order: EngineOrder) {
  const open = await openEngine(order, false);
  const workers: ChildProcess[] = [];
  try {
    const rates: number[] = [];
    for (const count of processCounts) {
      while (workers.length < count) workers.push(await startWorker(order));
      rates.push(await runsPerSecond(open));
      say(`engine: ${order.engine}, ${count} workers: ${rates.at(-1)?.toFixed(1)} runs/s`);
    }
    for (const worker of workers.splice(1)) await stopWorker(worker);
    const steps = await timed(open, "iterate-pr");
    const waiting = order.engine === "temporal" ? await besideWaiting(open) : none;
    return { rates, stepMs: steps / 20, waiting };
  } finally {
    for (const worker of workers) await stopWorker(worker);
    await open.stop();
  }
}

const none = { aloneMs: 0, besideMs: 0 };

async function runsPerSecond(open: Open): Promise<number> {
  const count = Math.max(8, Math.round(runsAtOnce * scale()));
  const startedAt = performance.now();
  // Many repositories: what one of them may execute at once is not measured here.
  await Promise.all(
    Array.from({ length: count }, (_, index) => open.engine.start(intentOf({ repositoryId: 1_000 + index }))),
  );
  await settled(open, "queued", "running", "waiting-turn");
  return count / ((performance.now() - startedAt) / 1000);
}

/** Milliseconds from start to end of one run alone: the median of five. */
async function timed(open: Open, pipeline: "issue-to-pr" | "iterate-pr"): Promise<number> {
  const times: number[] = [];
  for (let n = 0; n < 5; n += 1) {
    const startedAt = performance.now();
    const { runKey } = await open.engine.start(intentOf({ pipeline, repositoryId: 10_000 + n }));
    await until(async () => (await open.engine.status(runKey))?.state === "ended");
    times.push(performance.now() - startedAt);
  }
  return median(times);
}

async function besideWaiting(open: Open) {
  const aloneMs = await timed(open, "issue-to-pr");
  const count = Math.max(20, Math.round(waitingRuns * scale()));
  for (let n = 0; n < count; n += 1)
    await open.engine.start(intentOf({ pipeline: "answer-command", repositoryId: 20_000 + n }));
  await until(async () => (await open.store.runs.waitingForDecision()).length === count);
  const besideMs = await timed(open, "issue-to-pr");
  say(`engine: a run alone ${aloneMs.toFixed(0)} ms, beside ${count} that wait ${besideMs.toFixed(0)} ms`);
  return { aloneMs, besideMs };
}

async function settled(open: Open, ...states: string[]): Promise<void> {
  await until(async () => !(await open.store.runs.active()).some(({ state }) => states.includes(state)));
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  const end = Date.now() + patienceSeconds * 1000;
  while (!(await condition())) {
    if (Date.now() > end) throw new Error(`The engine did not do within ${patienceSeconds} s what was waited for`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

async function startWorker(order: EngineOrder): Promise<ChildProcess> {
  const program = fileURLToPath(import.meta.resolve("./support/engine-process.ts"));
  const child = spawn(process.execPath, [program, JSON.stringify(order)], { stdio: ["ignore", "pipe", "inherit"] });
  await new Promise<void>((resolve, reject) => {
    child.stdout.once("data", () => resolve());
    child.once("exit", (code) => reject(new Error(`A worker ended with code ${code}`)));
  });
  return child;
}

async function stopWorker(worker: ChildProcess): Promise<void> {
  if (worker.exitCode !== null) return;
  const ended = new Promise((resolve) => worker.once("exit", resolve));
  worker.kill("SIGTERM");
  const timer = setTimeout(() => worker.kill("SIGKILL"), 20_000);
  await ended;
  clearTimeout(timer);
}

/** More is better; the baseline is the other engine. */
function rate(name: string, value: number, baseline: number | null): Figure {
  const rounded = (number: number) => Math.round(number * 1_000) / 1_000;
  return {
    name,
    value: rounded(value),
    unit: "runs/s",
    baseline: baseline === null ? null : rounded(baseline),
    ratio: baseline === null ? null : rounded(value / baseline),
    limit: null,
    ratioLimit: null,
    ok: true,
  };
}
