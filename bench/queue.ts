import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PGlite } from "@electric-sql/pglite";
import { fromPglite, PgBoss } from "pg-boss";
import pino from "pino";
import { createLocalEngine } from "../src/engine/local/local-engine.ts";
import type { Intent } from "../src/pipeline/intent.ts";
import type { Pipeline } from "../src/pipeline/run.ts";
import { openStore } from "../src/store/open-store.ts";
import { postgresAvailable, startPostgres } from "../test/support/postgres.ts";

/** One line of the benchmark's output; a limit that there is not is null. */
export interface Figure {
  name: string;
  value: number;
  unit: string;
  baseline: number | null;
  ratio: number | null;
  limit: number | null;
  ratioLimit: number | null;
  ok: boolean;
}

const jobs = 500;
const slots = 8;
const log = pino({ level: "silent" });

/**
 * Jobs per second from the first start to the last end: through the engine (a run with an authorisation, one trivial
 * step and the report, each recorded, with turn and lease), and as a baseline through bare pg-boss (send, work) on the
 * same kind of database in the same process.
 */
export async function queueFigures(): Promise<Figure[]> {
  const figures = [await onPglite()];
  if (postgresAvailable) figures.push(await onPostgres());
  return figures;
}

async function onPglite(): Promise<Figure> {
  const directory = await mkdtemp(join(tmpdir(), "millwright-bench-"));
  try {
    const pglite = await PGlite.create({ dataDir: join(directory, "bare") });
    const baseline = await bare(new PgBoss({ db: fromPglite(pglite), backend: "pglite", useListenNotify: true }));
    await pglite.close();
    return figure("queue.pglite", await throughEngine({ dataDirectory: directory }), baseline);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

async function onPostgres(): Promise<Figure> {
  const postgres = await startPostgres({ durable: true });
  try {
    const bareUrl = await postgres.createDatabase();
    const baseline = await bare(new PgBoss({ connectionString: bareUrl, useListenNotify: true }));
    const databaseUrl = await postgres.createDatabase();
    return figure("queue.postgres", await throughEngine({ databaseUrl, dataDirectory: tmpdir() }), baseline);
  } finally {
    await postgres.stop();
  }
}

async function throughEngine(database: { databaseUrl?: string; dataDirectory: string }): Promise<number> {
  const store = await openStore({ ...database, log });
  let ended = 0;
  const all = Promise.withResolvers<void>();
  const story = async (run: { step(name: string, input: object): Promise<unknown> }) => {
    await run.step("authorise-trigger", {});
    await run.step("trivial", {});
    return { kind: "ready", reason: "done" };
  };
  const engine = createLocalEngine({
    store,
    log,
    concurrency: slots,
    pipelines: { "issue-to-pr": story as unknown as Pipeline },
    executeStep: async () => ({}),
    onEvent: (event) => {
      if (event.kind === "run" && event.state === "ended" && ++ended === jobs) all.resolve();
    },
  });
  await engine.open();
  await engine.work();
  const begun = performance.now();
  await Promise.all(Array.from({ length: jobs }, (_, n) => engine.start(intentNumber(n))));
  await all.promise;
  const perSecond = (jobs / (performance.now() - begun)) * 1000;
  await engine.drain(5);
  await store.close();
  return perSecond;
}

/** As pg-boss's documentation shows it: one `send` per job, `work` with as many slots, woken by NOTIFY. */
async function bare(boss: PgBoss): Promise<number> {
  boss.on("error", () => undefined);
  await boss.start();
  await boss.createQueue("bare", { notify: true });
  let done = 0;
  const all = Promise.withResolvers<void>();
  const begun = performance.now();
  await boss.work(
    "bare",
    { batchSize: slots, burstWhenBatchFull: true, pollingIntervalSeconds: 0.5 },
    async (batch) => {
      done += batch.length;
      if (done === jobs) all.resolve();
    },
  );
  await Promise.all(Array.from({ length: jobs }, (_, n) => boss.send("bare", { n })));
  await all.promise;
  const perSecond = (jobs / (performance.now() - begun)) * 1000;
  await boss.stop({ graceful: false });
  return perSecond;
}

/** Every run has a repository of its own: the engine is measured, not its limit per repository. */
function intentNumber(n: number): Intent {
  return {
    work: {
      installationId: 1,
      repositoryId: 1_000 + n,
      owner: "bench",
      repo: `repository-${n}`,
      subject: { kind: "issue", number: 1 },
    },
    id: `comment:${n}`,
    pipeline: "issue-to-pr",
    actor: { id: 1, login: "bench", type: "User" },
    at: "2026-11-21T12:00:00Z",
    trigger: { kind: "comment", commentId: n, nodeId: `IC_${n}` },
    deliveryId: `delivery-${n}`,
    text: { title: "A title", body: "A body" },
  };
}

function figure(name: string, value: number, baseline: number): Figure {
  return {
    name,
    value: Math.round(value),
    unit: "jobs/s",
    baseline: Math.round(baseline),
    ratio: Number((value / baseline).toFixed(3)),
    limit: null,
    ratioLimit: null,
    ok: true,
  };
}
