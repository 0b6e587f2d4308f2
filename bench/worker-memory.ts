import { mkdir, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { eq } from "drizzle-orm";
import { pino } from "pino";
import { openDatabase } from "../src/store/database.ts";
import { runs, steps } from "../src/store/schema.ts";
import { startPostgres } from "../test/support/postgres.ts";
import { startTemporal, temporalAvailable, temporalMissing } from "../test/support/temporal.ts";
import { type Figure, median, say, scale, smallerIsBetter } from "./figure.ts";
import { account, startGitHubProcess } from "./support/local-github.ts";
import { startModelProcess } from "./support/model.ts";
import { startServer } from "./support/server.ts";

const waitingRuns = 1_000;
const idleSeconds = 15;
const patienceSeconds = 900;

/**
 * Resident megabytes of `npm run worker` on Temporal: idle after its start, and with 1,000 runs that wait until a plan is
 * approved. One of them is a whole one, from the label on; the others are copies of what the store has of it, whose
 * stories the worker tells to the same place, by the same acts, without calling GitHub and the model again.
 */
export async function workerMemoryFigures(): Promise<Figure[]> {
  if (!temporalAvailable) {
    say(`memory.worker: nothing is measured: ${temporalMissing}`);
    return [];
  }
  const directory = await mkdtemp(join(tmpdir(), "millwright-bench-"));
  const stops: (() => Promise<unknown>)[] = [() => rm(directory, { recursive: true, force: true, maxRetries: 5 })];
  const opened = async <T>(opening: Promise<T>, stop: (one: T) => Promise<unknown>): Promise<T> => {
    const one = await opening;
    stops.push(() => stop(one));
    return one;
  };
  try {
    const postgres = await opened(startPostgres(), (one) => one.stop());
    const temporal = await opened(startTemporal(), (one) => one.stop());
    const github = await opened(startGitHubProcess(directory), (one) => one.stop());
    const model = await opened(startModelProcess({ story: "change", meet: 1 }), (one) => one.stop());
    const databaseUrl = await postgres.createDatabase();
    const start = async (program: "start" | "worker") => {
      await mkdir(join(directory, program));
      const environment = {
        DATABASE_URL: databaseUrl,
        MILLWRIGHT_ENGINE: "temporal",
        MILLWRIGHT_TEMPORAL_ADDRESS: temporal.address,
      };
      const options = { directory: join(directory, program), github: github.ready, modelUrl: model.ready.url };
      return opened(startServer({ ...options, environment, program }), (one) => one.stop());
    };
    const server = await start("start");
    const worker = await start("worker");
    await setTimeout(idleSeconds * scale() * 1000);
    const idle = await residentMegabytes(worker.pid);

    const files = { ".github/millwright.yml": "plan: ask\n", "README.md": "# Sample\n" };
    await github.ask({ do: "repository", repository: { owner: account, name: "sample", files } });
    await github.ask({ do: "label-issue", repository: `${account}/sample`, webhookUrl: server.webhookUrl });
    const log = pino({ level: "warn" }, pino.destination(2));
    const database = await opened(openDatabase({ databaseUrl, dataDirectory: "unused", log }), (one) => one.close());
    const { db } = database;
    const waiting = () => db.select().from(runs).where(eq(runs.state, "waiting-decision"));
    await until("a plan is asked for", async () => (await waiting()).length === 1);
    const [first] = await waiting();
    if (first === undefined) throw new Error("The run that waited has gone");
    const recorded = await db.select().from(steps).where(eq(steps.runKey, first.runKey));
    const done = recorded.filter(({ status }) => status === "done");
    const count = Math.max(20, Math.round(waitingRuns * scale()));
    for (let n = 1; n < count; n += 1) {
      const { sequence: _, statusCommentId: __, ...run } = first;
      const runKey = n.toString(16).padStart(20, "0");
      await db.insert(runs).values({
        ...run,
        runKey,
        workKey: `${first.workKey}-${n}`,
        state: "queued",
        wakeAt: null,
        wakes: 0,
        platformExecution: null,
        createdAt: new Date(Date.now() - 60_000),
      });
      if (done.length > 0)
        await db.insert(steps).values(done.map(({ sequence: ___, ...step }) => ({ ...step, runKey })));
    }
    await until(`${count} runs wait`, async () => (await waiting()).length === count);
    await setTimeout(idleSeconds * scale() * 1000);
    const full = await residentMegabytes(worker.pid);
    say(`memory.worker: ${idle.toFixed(0)} MB idle, ${full.toFixed(0)} MB with ${count} runs that wait`);
    return [
      smallerIsBetter("memory.worker.idle", idle, "MB", { limit: 320 }),
      smallerIsBetter("memory.worker.waiting", full, "MB", { limit: 650 }),
    ];
  } finally {
    for (const stop of stops.reverse()) await stop();
  }
}

async function residentMegabytes(pid: number): Promise<number> {
  const samples: number[] = [];
  for (let n = 0; n < 5; n += 1) {
    const [, kilobytes] = /VmRSS:\s+(\d+) kB/.exec(await readFile(`/proc/${pid}/status`, "utf8")) ?? [];
    samples.push(Number(kilobytes) / 1024);
    await setTimeout(200);
  }
  return median(samples);
}

async function until(what: string, condition: () => Promise<boolean>): Promise<void> {
  const end = Date.now() + patienceSeconds * 1000;
  while (!(await condition())) {
    if (Date.now() > end) throw new Error(`Waited ${patienceSeconds} s in vain until ${what}`);
    await setTimeout(200);
  }
}
