import { StopDurableExecutionCommand } from "@aws-sdk/client-lambda";
import { sql } from "drizzle-orm";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createExecutionStarter } from "../../src/engine/lambda/start-execution.ts";
import { foundDelivery, workKeyOf } from "../../src/pipeline/intent.ts";
import { backoffSecondsBefore, limitsOf } from "../../src/pipeline/limits.ts";
import type { Pipeline } from "../../src/pipeline/run.ts";
import { addSignal, requestCancel } from "../../src/store/executions.ts";
import { type LambdaProcess, type LambdaStage, workerFunction } from "./lambda-stage.ts";
import { intentOf, pipeline, ready, until, untilState, World } from "./scripted.ts";

const paths = ["authorise-trigger#1", "first#1", "second#1", "report-outcome#1"];
const twoSteps = pipeline(async (run) => {
  await run.step("authorise-trigger");
  await run.step("first");
  await run.step("second");
  return ready;
});
const asking = pipeline(async (run) => {
  await run.step("authorise-trigger");
  const decision = await run.waitFor("decision", 60);
  await run.step("after-wait", { decision });
  return ready;
});

/** What holds for the engine on AWS durable functions alone. */
export function lambdaSuite(openStage: () => Promise<LambdaStage>): void {
  describe("lambdaEngine", () => {
    let stage: LambdaStage;
    let world: World;
    const alive: LambdaProcess[] = [];
    const boot = async (pipelines: Record<string, Pipeline>, over: Parameters<LambdaStage["boot"]>[1] = {}) => {
      const started = await stage.boot({ pipelines, executeStep: world.executeStep }, over);
      alive.push(started);
      return started;
    };
    const executionsOf = (runKey: string) =>
      stage.aws.lambda.executions.all().filter(({ name }) => name.startsWith(runKey));
    beforeEach(async () => {
      stage = await openStage();
      world = new World();
    });
    afterEach(async () => {
      for (const one of alive.splice(0)) await one.end();
      await stage.close();
    });

    test("start of one name twice is one execution, and another input counts as started already", async () => {
      const { engine } = await boot({ "issue-to-pr": twoSteps });
      const webhook = createExecutionStarter({ lambda: stage.lambda, functionName: `${workerFunction}:live` });
      const intent = intentOf();
      const [one, two] = await Promise.all([webhook.start(intent), webhook.start({ ...intent })]);
      expect(two.runKey).toBe(one.runKey);
      const other = await webhook.start({ ...intent, deliveryId: "redelivered" });
      expect(await other.repeated).toBe(true);
      await untilState(engine, one.runKey, "ended");
      expect(executionsOf(one.runKey)).toHaveLength(1);
      expect(world.effects).toEqual(paths);
    });

    test("handler ends without any effect when another execution has the run's row", async () => {
      const { engine, store } = await boot({ "issue-to-pr": twoSteps });
      const intent = intentOf();
      await store.runs.file([intent], () => 0, "lambda");
      await stage.lines.database.db.execute(sql`UPDATE runs SET platform_execution = 'another'`);
      const { runKey } = await engine.start(intent);
      const [execution] = executionsOf(runKey);
      expect(await execution?.ended).toHaveProperty("result");
      expect(world.calls).toEqual([]);
      expect((await engine.status(runKey))?.state).toBe("queued");
    });

    test("handler ends when another run stands for the same labelling", async () => {
      const { engine } = await boot({ "issue-to-pr": twoSteps });
      const found = intentOf({ id: "label:millwright:2026-11-21T12:00:00Z" });
      const byWebhook = { ...found, trigger: { kind: "label" as const, label: "millwright", labelledAt: found.at } };
      const at = "2026-11-21T12:00:02Z";
      const byReconciler = { ...byWebhook, id: `label:millwright:${at}`, at, deliveryId: foundDelivery(found.id) };
      const { runKey } = await engine.start(byWebhook as never);
      await untilState(engine, runKey, "ended");
      const twin = await engine.start(byReconciler as never);
      const [execution] = executionsOf(twin.runKey);
      await execution?.ended;
      expect(execution?.begun).toBe(1);
      expect(await engine.status(twin.runKey)).toBeUndefined();
      expect(world.effects).toEqual(paths);
    });

    test("step is left to the next invocation when this one has less time than the step's limit", async () => {
      const minutes = 2;
      const limits = { limitsOf: (name: string) => ({ ...limitsOf(name), minutes }), backoffSecondsBefore };
      const invocations: number[] = [];
      for (const timeoutSeconds of [minutes * 60 + 10, 900]) {
        world = new World();
        stage.timeoutSeconds = timeoutSeconds;
        const { engine } = await boot({ "issue-to-pr": twoSteps }, { limits });
        const { runKey } = await engine.start(intentOf());
        await untilState(engine, runKey, "ended");
        const [execution] = executionsOf(runKey);
        await execution?.ended;
        invocations.push(execution?.invocations ?? 0);
        expect(world.effects).toEqual(paths);
        expect(world.calls.map(({ attempt }) => attempt)).toEqual([1, 1, 1, 1]);
      }
      // The first act of an invocation is always done: one for the beginning, one for each of the four steps.
      expect(invocations).toEqual([5, 1]);
    });

    test("pause of a step that is told to slow down costs no invocation, and a cancel ends it", async () => {
      const { engine } = await boot({ "issue-to-pr": twoSteps });
      const intent = intentOf();
      world.around = (moment, call) => {
        if (moment === "before" && call.name === "first")
          throw Object.assign(new Error("rate limit"), { retryAfterSeconds: 500 });
      };
      const { runKey } = await engine.start(intent);
      await until("the run pauses", () =>
        executionsOf(runKey).some((one) => one.operations().some(({ name }) => name === "pause")),
      );
      const [execution] = executionsOf(runKey);
      const before = execution?.invocations;
      await new Promise((resolve) => setTimeout(resolve, 700));
      expect(execution?.invocations).toBe(before);
      const askedAt = Date.now();
      expect(await engine.cancel(workKeyOf(intent.work), "closed")).toBe(true);
      const status = await untilState(engine, runKey, "ended");
      expect(status.outcome).toEqual({ kind: "cancelled", reason: "closed" });
      expect(Date.now() - askedAt).toBeLessThan(5_000);
      expect(world.effects).toEqual(["authorise-trigger#1", "report-outcome#1"]);
    });

    test("cancel wakes a run that pauses in several branches", async () => {
      const beside = pipeline(async (run) => {
        await run.step("authorise-trigger");
        await run.parallel({ one: (branch) => branch.step("slow"), two: (branch) => branch.step("slow") });
        return ready;
      });
      const { engine } = await boot({ "issue-to-pr": beside });
      const intent = intentOf();
      world.around = (moment, call) => {
        if (moment === "before" && call.name === "slow")
          throw Object.assign(new Error("rate limit"), { retryAfterSeconds: 500 });
      };
      const { runKey } = await engine.start(intent);
      await until("both pause", async () => {
        const rows = await stage.lines.database.db.execute(sql`SELECT waker FROM runs WHERE run_key = ${runKey}`);
        const [row] = (rows as unknown as { rows: { waker: string | null }[] }).rows;
        return row?.waker?.split("\n").length === 2;
      });
      const askedAt = Date.now();
      await engine.cancel(workKeyOf(intent.work), "closed");
      expect((await untilState(engine, runKey, "ended")).outcome?.kind).toBe("cancelled");
      expect(Date.now() - askedAt).toBeLessThan(5_000);
    });

    test("act is done again when the database does not answer, and the run ends all the same", async () => {
      const { engine } = await boot({ "issue-to-pr": twoSteps });
      const { db } = stage.lines.database;
      let isAway = false;
      world.around = async (moment, call) => {
        if (moment !== "after" || call.name !== "first" || isAway) return;
        isAway = true;
        await db.execute(sql`ALTER TABLE steps RENAME TO steps_away`);
        setTimeout(async () => db.execute(sql`ALTER TABLE steps_away RENAME TO steps`), 1_500);
      };
      const { runKey } = await engine.start(intentOf());
      expect((await untilState(engine, runKey, "ended")).outcome).toEqual(ready);
      // Its effect took place, but nobody could record that: it is found when the step is done again.
      expect(world.effects).toEqual([paths[0], paths[1], paths[1], paths[2], paths[3]]);
      // The error holds a query with its values, which AWS would keep.
      expect(executionsOf(runKey)[0]?.kept()).toContain("first#1 failed");
      expect(executionsOf(runKey)[0]?.kept()).not.toMatch(/steps|query/i);
    });

    test("sweep wakes runs whose wake-up was lost, and leaves those alone that sleep in peace", async () => {
      const { engine, store } = await boot({ "issue-to-pr": asking });
      const [signalled, cancelled, quiet] = [intentOf(), intentOf(), intentOf()];
      const keys: string[] = [];
      for (const intent of [signalled, cancelled, quiet]) keys.push((await engine.start(intent)).runKey);
      for (const key of keys) {
        await untilState(engine, key, "waiting-decision");
        await until("it is asleep", () =>
          executionsOf(key).some((one) => one.operations().some(({ type }) => type === "CALLBACK")),
        );
      }
      await until("their wakers are armed", async () => {
        const rows = await stage.lines.database.db.execute(sql`SELECT 1 FROM runs WHERE waker IS NOT NULL`);
        return (rows as unknown as { rows: unknown[] }).rows.length === 3;
      });
      const { db } = store.database;
      const except = { pipelines: [] };
      await addSignal(db, workKeyOf(signalled.work), "decision", { kind: "approve", actor: "maintainer" }, except);
      await requestCancel(db, { workKey: workKeyOf(cancelled.work) }, "lost", except);
      expect(await engine.sweep()).toMatchObject({ runs: 3, woken: 2, restarted: 0, givenUp: 0, failed: 0 });
      expect((await untilState(engine, keys[0] as string, "ended")).outcome).toEqual(ready);
      expect((await untilState(engine, keys[1] as string, "ended")).outcome?.kind).toBe("cancelled");
      expect((await engine.status(keys[2] as string))?.state).toBe("waiting-decision");
      expect(await engine.sweep()).toMatchObject({ runs: 1, woken: 0, restarted: 0 });
    });

    test("run that waits its turn is woken when the other one ends", async () => {
      const { engine } = await boot({ "issue-to-pr": twoSteps });
      const leave = Promise.withResolvers<void>();
      world.around = (moment, call) => (moment === "before" && call.name === "first" ? leave.promise : undefined);
      const one = await engine.start(intentOf({ issue: 77, id: "comment:a" }));
      await until("the first run works", () => world.calls.some(({ name }) => name === "first"));
      const two = await engine.start(intentOf({ issue: 77, id: "comment:b" }));
      await untilState(engine, two.runKey, "waiting-turn");
      leave.resolve();
      await untilState(engine, one.runKey, "ended");
      await untilState(engine, two.runKey, "ended");
      expect(world.effects).toEqual([paths[0], paths[0], paths[1], paths[2], paths[3], paths[1], paths[2], paths[3]]);
    });

    test("sweep gives a run whose execution died another one, which repeats nothing", async () => {
      const { engine } = await boot({ "issue-to-pr": asking });
      const intent = intentOf();
      const { runKey } = await engine.start(intent);
      await untilState(engine, runKey, "waiting-decision");
      const [dead] = executionsOf(runKey);
      await stage.lambda.send(new StopDurableExecutionCommand({ DurableExecutionArn: dead?.arn }));
      expect(await engine.sweep()).toMatchObject({ restarted: 1, givenUp: 0, failed: 0 });
      expect(await engine.sweep()).toMatchObject({ failed: 0 });
      await until("its heir sleeps", () =>
        executionsOf(runKey).some(
          (one) =>
            one !== dead && one.operations().some(({ name, status }) => name === "asleep" && status === "STARTED"),
        ),
      );
      await engine.signal(workKeyOf(intent.work), "decision", { kind: "approve", actor: "maintainer" });
      expect((await untilState(engine, runKey, "ended")).outcome).toEqual(ready);
      expect(executionsOf(runKey).map(({ name }) => name)).toEqual([runKey, `${runKey}-again-1`]);
      expect(world.effects).toEqual(["authorise-trigger#1", "after-wait#1", "report-outcome#1"]);
    });

    test("sweep gives up a run whose executions died too often, and its end is reported", async () => {
      const { engine } = await boot({ "issue-to-pr": asking });
      const { runKey } = await engine.start(intentOf());
      await untilState(engine, runKey, "waiting-decision");
      const [dead] = executionsOf(runKey);
      await stage.lambda.send(new StopDurableExecutionCommand({ DurableExecutionArn: dead?.arn }));
      // As after the third heir, whose name AWS has forgotten meanwhile.
      const third = `arn:aws:lambda:x:1:function:worker:1/durable-execution/${runKey}-again-3/forgotten`;
      await stage.lines.database.db.execute(sql`UPDATE runs SET platform_execution = ${third}`);
      expect(await engine.sweep()).toMatchObject({ restarted: 0, givenUp: 1, failed: 0 });
      const status = await untilState(engine, runKey, "ended");
      expect(status.outcome?.kind).toBe("failed");
      expect(status.outcome?.reason).toContain(runKey);
      expect(world.effects).toEqual(["authorise-trigger#1", "report-outcome#1"]);
    });

    test("start files the run first, so that the sweep starts what AWS did not take", async () => {
      const { engine } = await boot({ "issue-to-pr": twoSteps }, { startedWithinSeconds: 0 });
      stage.aws.lambda.fault = () => ({ status: 429, type: "TooManyRequestsException" });
      await expect(engine.start(intentOf({ id: "comment:dropped" }))).rejects.toThrow();
      stage.aws.lambda.fault = undefined;
      expect(await engine.sweep()).toMatchObject({ runs: 1, restarted: 1, failed: 0 });
      await until("the run ends", () => world.count("report-outcome#1") === 1);
      expect(world.effects).toEqual(paths);
    });

    test("handler takes a long story up again from more operations than AWS sends at once", async () => {
      const long = pipeline(async (run) => {
        await run.step("authorise-trigger");
        for (let n = 1; n <= 110; n += 1) await run.step("turn", { n });
        await run.waitFor("decision", 0.001);
        return ready;
      });
      const { engine } = await boot({ "issue-to-pr": long });
      const { runKey } = await engine.start(intentOf());
      await untilState(engine, runKey, "ended");
      const [execution] = executionsOf(runKey);
      expect(execution?.invocations).toBeGreaterThan(1);
      expect(execution?.begun).toBeGreaterThan(110);
      expect(new Set(world.effects).size).toBe(world.effects.length);
      expect(world.effects).toHaveLength(112);
    });
  });
}
