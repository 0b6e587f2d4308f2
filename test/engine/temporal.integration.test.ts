import { randomBytes } from "node:crypto";
import { connect, createServer } from "node:net";
import { pino } from "pino";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { priorityOf } from "../../src/engine/control.ts";
import { sandboxQueueOf } from "../../src/engine/temporal/names.ts";
import type { TemporalEngineOptions } from "../../src/engine/temporal/temporal-engine.ts";
import type { Pipeline } from "../../src/pipeline/run.ts";
import { workKeyOf } from "../../src/pipeline/run-key.ts";
import { UserFacingError } from "../../src/pipeline/step.ts";
import { addSignal, platformRuns } from "../../src/store/executions.ts";
import { readStep } from "../../src/store/journal.ts";
import { freePort, type Postgres, postgresAvailable, startPostgres } from "../support/postgres.ts";
import { startTemporal, type TemporalServer, temporalAvailable, temporalMissing } from "../support/temporal.ts";
import { historyOf, wordsOf } from "../support/temporal-history.ts";
import { type Deploy, engineSuite } from "./engine.testsuite.ts";
import { intentOf, ready, until, untilState, World } from "./scripted.ts";
import { stories } from "./stories.ts";
import { openTemporalStages, type TemporalProcess, type TemporalStage } from "./temporal-stage.ts";

/** Events after which the server suggests an execution with an empty history; 4,096 unless it is told otherwise. */
const longHistory = 30;
const available = (postgresAvailable && temporalAvailable) || process.env.CI === "true";

describe.skipIf(!available)(`Temporal (${temporalMissing})`, () => {
  let postgres: Postgres;
  let server: TemporalServer;
  let stages: Awaited<ReturnType<typeof openTemporalStages>>;
  beforeAll(async () => {
    const settings = [
      `limit.historyCount.suggestContinueAsNew=${longHistory}`,
      // A queue's order is that of each of its partitions, of which it has four.
      "matching.numTaskqueueReadPartitions=1",
      "matching.numTaskqueueWritePartitions=1",
      // What waits in a queue is counted when it is asked for, not every five seconds.
      'matching.TaskQueueInfoByBuildIdTTL="1ms"',
    ];
    [postgres, server] = await Promise.all([startPostgres(), startTemporal([], settings)]);
    stages = await openTemporalStages(server, await postgres.createDatabase());
  });
  afterAll(async () => {
    await stages?.close();
    await Promise.all([server?.stop(), postgres?.stop()]);
  });
  const openStage = (): Promise<TemporalStage> => stages.openStage();
  engineSuite("temporalEngine", openStage);

  describe("temporalEngine, besides", () => {
    let stage: TemporalStage;
    let world: World;
    const alive: TemporalProcess[] = [];
    const boot = async (story: Pipeline, over: Partial<TemporalEngineOptions> = {}, onEvent?: Deploy["onEvent"]) => {
      const deploy = {
        pipelines: { "issue-to-pr": story },
        executeStep: world.executeStep,
        ...(onEvent ? { onEvent } : {}),
      };
      const started = await stage.boot(deploy, over);
      alive.push(started);
      return started;
    };
    beforeEach(async () => {
      stage = await stages.openStage();
      world = new World();
    });
    afterEach(async () => {
      for (const one of alive.splice(0)) await one.end();
    });
    const handle = (runKey: string) => stage.client.workflow.getHandle(runKey);
    /** Holds a step until it is let go, and tells when it runs. */
    const holdAt = (name: string) => {
      const held = Promise.withResolvers<void>();
      world.around = (moment, call) => (moment === "before" && call.name === name ? held.promise : undefined);
      return {
        runs: () => until(`${name} runs`, () => world.calls.some((call) => call.name === name)),
        release: () => held.resolve(),
      };
    };

    test("cancel in Temporal itself ends the run as cancelled, by its report", async () => {
      const { engine } = await boot(stories.askingForAnHour);
      const { runKey } = await engine.start(intentOf());
      await untilState(engine, runKey, "waiting-decision");
      await handle(runKey).cancel();
      const { outcome } = await untilState(engine, runKey, "ended");
      expect(outcome).toEqual({ kind: "cancelled", reason: "It was cancelled in Temporal." });
      expect(world.effects.at(-1)).toBe("report-outcome#1");
    });

    test("run that was terminated in Temporal ends as cancelled, by its report", async () => {
      const { engine } = await boot(stories.askingForAnHour);
      const { runKey } = await engine.start(intentOf());
      await untilState(engine, runKey, "waiting-decision");
      await handle(runKey).terminate("by an operator");
      const { outcome } = await untilState(engine, runKey, "ended");
      expect(outcome).toEqual({ kind: "cancelled", reason: "It was terminated in Temporal." });
      expect(world.effects.filter((path) => path === "report-outcome#1")).toHaveLength(1);
    });

    test("start keeps runs while Temporal is away, and starts them when it is back", async () => {
      const { engine } = await boot(stories.threeSteps);
      const away = server.restart(2_000);
      const { runKey } = await engine.start(intentOf());
      await away;
      expect((await untilState(engine, runKey, "ended")).outcome).toEqual(ready);
    });

    test("run that was filed by a process which died before it started it is started by another's sweep", async () => {
      const { engine, store } = await boot(stories.threeSteps);
      const [filed] = await store.runs.file([intentOf()], priorityOf, "temporal");
      expect((await untilState(engine, filed?.runKey ?? "", "ended")).outcome).toEqual(ready);
    });

    test("step that no version has fails its run with its name, and leaves others alone", async () => {
      world.around = (_, call) => {
        if (call.name === "second")
          throw new UserFacingError(`This version of Millwright has no step named ${call.name}.`);
      };
      const { engine } = await boot(stories.threeSteps);
      const failing = await engine.start(intentOf());
      expect((await untilState(engine, failing.runKey, "ended")).outcome).toMatchObject({
        kind: "failed",
        reason: expect.stringContaining("second"),
      });
      world.around = () => undefined;
      const fine = await engine.start(intentOf());
      expect((await untilState(engine, fine.runKey, "ended")).outcome).toEqual(ready);
    });

    test("pipeline that no version has fails its run with its name, and leaves others alone", async () => {
      const { engine } = await boot(stories.threeSteps);
      const unknown = await engine.start(intentOf({ pipeline: "review-pr" }));
      const fine = await engine.start(intentOf());
      expect((await untilState(engine, unknown.runKey, "ended")).outcome).toMatchObject({
        kind: "failed",
        reason: expect.stringContaining("review-pr"),
      });
      expect((await untilState(engine, fine.runKey, "ended")).outcome).toEqual(ready);
    });

    test("run with a long history goes on in an execution with an empty one, and repeats nothing", async () => {
      const { engine } = await boot(stories.askingFourTimes);
      const intent = intentOf();
      const { runKey } = await engine.start(intent);
      const actors = ["one", "two", "three", "four"];
      for (const [index, actor] of actors.entries()) {
        await until(`the run sleeps until the decision of ${actor}`, async () => {
          const begun = await readStep(stage.database.db, runKey, `wait:decision#${index + 1}`);
          const [run] = await platformRuns(stage.database.db, "temporal");
          return begun !== undefined && run?.held === false;
        });
        await engine.signal(workKeyOf(intent.work), "decision", { kind: "edit", actor });
      }
      expect((await untilState(engine, runKey, "ended")).outcome).toEqual(ready);
      expect(world.calls.find((call) => call.name === "after-wait")?.input).toEqual({ actors });
      expect(world.effects).toEqual(["authorise-trigger#1", "after-wait#1", "report-outcome#1"]);
      const [begun] = (await historyOf(handle(runKey))).events ?? [];
      expect(begun?.workflowExecutionStartedEventAttributes?.continuedExecutionRunId).toMatch(/./);
    });

    test("decision whose wake-up was lost wakes its run by a sweep", async () => {
      const { engine } = await boot(stories.askingForAnHour);
      const intent = intentOf();
      const { runKey } = await engine.start(intent);
      await untilState(engine, runKey, "waiting-decision");
      // As by a server that ends between the store and Temporal.
      const decision = { kind: "approve", actor: "maintainer" } as const;
      await addSignal(stage.database.db, workKeyOf(intent.work), "decision", decision, { pipelines: [] });
      expect((await untilState(engine, runKey, "ended")).outcome).toEqual(ready);
      expect(world.calls.find((call) => call.name === "after-wait")?.input).toEqual({ decision });
    });

    test("steps that wait in Temporal's queue are taken by the priority of their pipeline, then by age", async () => {
      const { engine } = await boot(stories.sandboxed, {
        takes: () => Promise.resolve({ ordinary: true, sandboxed: false }),
      });
      const runKeys: string[] = [];
      for (const [n, pipeline] of (["issue-to-pr", "issue-to-pr", "iterate-pr"] as const).entries()) {
        const { runKey } = await engine.start(intentOf({ pipeline, repositoryId: 60 + n }));
        runKeys.push(runKey);
        await until("its step waits in the queue", async () => {
          const { stats } = await stage.client.workflowService.describeTaskQueue({
            namespace: "default",
            taskQueue: { name: sandboxQueueOf(stage.taskQueue) },
            // TASK_QUEUE_TYPE_ACTIVITY
            taskQueueType: 2,
            reportStats: true,
          });
          return Number(stats?.approximateBacklogCount ?? 0) === runKeys.length;
        });
      }
      const takes = () => Promise.resolve({ ordinary: false, sandboxed: true });
      await boot(stories.sandboxed, { takes, concurrency: 1 });
      for (const runKey of runKeys) await untilState(engine, runKey, "ended");
      const [first, second, third] = runKeys;
      const checked = world.calls.filter(({ name }) => name === "run-checks");
      expect(checked.map(({ runKey }) => runKey)).toEqual([third, first, second]);
    });

    test("run keeps its place from step to step while one with a higher priority waits for it", async () => {
      const held = holdAt("first");
      const { engine } = await boot(stories.threeSteps, { perRepositoryConcurrency: 1 });
      const early = await engine.start(intentOf());
      await held.runs();
      const preferred = await engine.start(intentOf({ pipeline: "iterate-pr" }));
      await untilState(engine, preferred.runKey, "waiting-turn");
      held.release();
      for (const { runKey } of [early, preferred]) await untilState(engine, runKey, "ended");
      const order = world.calls.filter(({ name }) => name === "second").map(({ runKey }) => runKey);
      expect(order).toEqual([early.runKey, preferred.runKey]);
    });

    test("versions are pinned: a run ends by the story that it began with, and new ones begin with the new one", async () => {
      const held = holdAt("old");
      const makeCurrent = (buildId: string) =>
        until(`version ${buildId} is current`, () =>
          stage.client.workflowService
            .setWorkerDeploymentCurrentVersion({ namespace: "default", deploymentName: "millwright", buildId })
            .then(
              () => true,
              () => false,
            ),
        );
      const before = await boot(stories.beforeDeploy, { buildId: "1" });
      await makeCurrent("1");
      const old = await before.engine.start(intentOf());
      await held.runs();
      const after = await boot(stories.afterDeploy, { buildId: "2" });
      await makeCurrent("2");
      const fresh = await after.engine.start(intentOf());
      expect((await untilState(after.engine, fresh.runKey, "ended")).outcome).toEqual(ready);
      held.release();
      expect((await untilState(after.engine, old.runKey, "ended")).outcome).toMatchObject({ reason: "the old story" });
      expect(world.count("old#1")).toBe(1);
    });

    test("drain gives a running step back without losing an attempt", async () => {
      world.around = (moment, call) => {
        if (moment === "after" || call.name !== "first" || world.count("first#1") > 0) return;
        return new Promise((_, reject) => {
          call.signal.addEventListener("abort", () => {
            world.around = () => undefined;
            reject(call.signal.reason);
          });
        });
      };
      const first = await boot(stories.threeSteps);
      const { runKey } = await first.engine.start(intentOf());
      await until("the step runs", () => world.calls.some((call) => call.name === "first"));
      await first.end();
      const second = await boot(stories.threeSteps);
      expect((await untilState(second.engine, runKey, "ended")).outcome).toEqual(ready);
      expect(world.calls.filter((call) => call.name === "first").map((call) => call.attempt)).toEqual([1, 1]);
    });

    test("payloads are encrypted with the key that is configured, and what lacks it says which it needs", async () => {
      const key = (id: string) => ({ id, secret: randomBytes(32) });
      const [one, two] = [key("one"), key("two")];
      const first = await boot(stories.askingForAnHour, { settings: stage.settings({ keys: [one] }) });
      const intent = intentOf();
      const { runKey } = await first.engine.start(intent);
      await untilState(first.engine, runKey, "waiting-decision");
      const words = wordsOf(await historyOf(handle(runKey)));
      expect(words).toContain(Buffer.from("binary/millwright-aes-256-gcm").toString("base64"));
      // As it stands in every payload that is not encrypted: the test of the whole App looks for it.
      expect(words).not.toContain('\\"runKey\\"');
      await first.end();
      const lines: string[] = [];
      const log = pino({ level: "warn" }, { write: (line: string) => void lines.push(line) });
      const without = await boot(stories.askingForAnHour, { log, settings: stage.settings({ keys: [two] }) });
      await without.engine.signal(workKeyOf(intent.work), "decision", { kind: "approve", actor: "maintainer" });
      await until("a worker without the key says which one is missing", () =>
        lines.some((line) => line.includes("MILLWRIGHT_TEMPORAL_KEY") && line.includes('\\"one\\"')),
      );
      await without.end();
      const both = await boot(stories.askingForAnHour, { settings: stage.settings({ keys: [two, one] }) });
      expect((await untilState(both.engine, runKey, "ended")).outcome).toEqual(ready);
    });

    test("open refuses an unknown namespace by its setting's name", async () => {
      await expect(boot(stories.threeSteps, { settings: stage.settings({ namespace: "nowhere" }) })).rejects.toThrow(
        /MILLWRIGHT_TEMPORAL_NAMESPACE.*nowhere/,
      );
    });

    test("open waits for a server that refuses, and health says so until it is there", async () => {
      const port = await freePort();
      const settings = stage.settings({ address: `127.0.0.1:${port}` });
      const { engine } = await boot(stories.threeSteps, { settings });
      expect(await engine.health()).toMatchObject({ ok: false, detail: expect.stringContaining(settings.address) });
      const { runKey } = await engine.start(intentOf());
      expect(await engine.status(runKey)).toMatchObject({ state: "queued" });
      const target = new URL(`http://${server.address}`);
      const relay = createServer((client) => {
        const upstream = connect({ host: target.hostname, port: Number(target.port) });
        for (const [from, to] of [
          [client, upstream],
          [upstream, client],
        ] as const)
          from.on("error", () => to.destroy()).pipe(to);
      });
      await new Promise<void>((resolve) => relay.listen(port, "127.0.0.1", resolve));
      expect((await untilState(engine, runKey, "ended")).outcome).toEqual(ready);
      expect(await engine.health()).toMatchObject({ ok: true });
      await alive.pop()?.end();
      relay.close();
    });

    test("steps that need a sandbox wait for a worker that has one", async () => {
      const { engine } = await boot(stories.sandboxed, {
        takes: () => Promise.resolve({ ordinary: true, sandboxed: false }),
      });
      const { runKey } = await engine.start(intentOf());
      await until("the step before it is done", () => world.count("authorise-trigger#1") === 1);
      await new Promise((resolve) => setTimeout(resolve, 1_000));
      expect(world.effects).toEqual(["authorise-trigger#1"]);
      await boot(stories.sandboxed, { takes: () => Promise.resolve({ ordinary: false, sandboxed: true }) });
      expect((await untilState(engine, runKey, "ended")).outcome).toEqual(ready);
      expect(world.effects).toEqual(["authorise-trigger#1", "run-checks#1", "report-outcome#1"]);
    });
  });
});
