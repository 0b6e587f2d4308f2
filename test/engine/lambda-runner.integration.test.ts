import { LocalDurableTestRunner } from "@aws/durable-execution-sdk-js-testing";
import { LambdaClient } from "@aws-sdk/client-lambda";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { createLambdaEngine } from "../../src/engine/lambda/lambda-engine.ts";
import { runKeyOf, workKeyOf } from "../../src/pipeline/intent.ts";
import type { Pipeline } from "../../src/pipeline/run.ts";
import { createStore } from "../../src/store/open-store.ts";
import { type LocalAws, startLocalAws } from "../support/local-aws/local-aws.ts";
import { empty, type Lines, openPgliteLines, silent } from "./local-stage.ts";
import { intentOf, pipeline, ready, untilState, World } from "./scripted.ts";

/**
 * The engine in AWS's own local runner, whose waits, retries and callbacks are AWS's and not ours. It knows neither kills nor
 * names: these are tried on our stand-in (`lambda.integration.test.ts`). Time is real: the runner's own skipping replaces
 * the timers of the whole process, by which holds are renewed.
 */
describe("lambdaEngine in AWS's LocalDurableTestRunner", () => {
  let lines: Lines;
  let aws: LocalAws;
  let lambda: LambdaClient;
  let world: World;
  beforeAll(async () => {
    lines = await openPgliteLines();
    await LocalDurableTestRunner.setupTestEnvironment({ skipTime: false });
  });
  afterAll(async () => {
    await LocalDurableTestRunner.teardownTestEnvironment();
    await lines.close();
  });
  beforeEach(async () => {
    await empty(lines.database.db);
    aws = await startLocalAws();
    lambda = new LambdaClient({ ...aws.client, maxAttempts: 1 });
    world = new World();
  });
  afterEach(async () => {
    lambda.destroy();
    await aws.close();
  });

  function open(story: Pipeline) {
    const engine = createLambdaEngine({
      lambda,
      functionName: "worker:live",
      store: createStore(lines.database),
      log: silent,
      pipelines: { "issue-to-pr": story },
      executeStep: world.executeStep,
      perRepositoryConcurrency: 4,
    });
    const runner = new LocalDurableTestRunner({ handlerFunction: engine.handler });
    // The runner's id of a callback says which operation it is.
    aws.lambda.onCallback = async ({ callbackId }) => {
      const { operationId } = JSON.parse(Buffer.from(callbackId, "base64").toString()) as { operationId: string };
      await runner.getOperationById(operationId).sendCallbackSuccess("");
    };
    return { engine, runner };
  }

  test("handler tells a story with branches, a pause, a decision and a wait that times out", async () => {
    let slowedDown = false;
    world.around = (moment, call) => {
      if (call.path !== "one/check#1" || moment !== "before" || slowedDown) return;
      slowedDown = true;
      throw Object.assign(new Error("rate limit"), { retryAfterSeconds: 1 });
    };
    const { engine, runner } = open(
      pipeline(async (run) => {
        await run.step("authorise-trigger");
        const checked = await run.parallel({
          one: (branch) => branch.step("check", { of: "one" }),
          two: (branch) => branch.step("check", { of: "two" }),
        });
        const decision = await run.waitFor("decision", 60);
        const late = await run.waitFor("decision", 0.01);
        await run.step("sum-up", { checked, decision, late });
        return ready;
      }),
    );
    const intent = intentOf();
    const running = runner.run({ payload: { intent } });
    await untilState(engine, runKeyOf(intent), "waiting-decision");
    await engine.signal(workKeyOf(intent.work), "decision", { kind: "approve", actor: "maintainer" });
    const result = await running;
    expect(result.getStatus()).toBe("SUCCEEDED");
    expect((await engine.status(runKeyOf(intent)))?.outcome).toEqual(ready);
    expect(world.calls.find(({ name }) => name === "sum-up")?.input).toEqual({
      checked: { one: { from: "check" }, two: { from: "check" } },
      decision: { kind: "approve", actor: "maintainer" },
      late: "timed-out",
    });
    expect(new Set(world.effects).size).toBe(world.effects.length);
    expect(result.getInvocations().length).toBeGreaterThan(1);
  });

  test("handler ends a run that is cancelled while it waits", async () => {
    const { engine, runner } = open(
      pipeline(async (run) => {
        await run.step("authorise-trigger");
        await run.waitFor("decision", 60);
        await run.step("never");
        return ready;
      }),
    );
    const intent = intentOf();
    const running = runner.run({ payload: { intent } });
    await untilState(engine, runKeyOf(intent), "waiting-decision");
    expect(await engine.cancel(workKeyOf(intent.work), "closed")).toBe(true);
    expect((await running).getStatus()).toBe("SUCCEEDED");
    expect((await engine.status(runKeyOf(intent)))?.outcome).toEqual({ kind: "cancelled", reason: "closed" });
    expect(world.effects).toEqual(["authorise-trigger#1", "report-outcome#1"]);
  });
});
