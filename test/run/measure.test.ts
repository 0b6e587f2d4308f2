import { expect, test } from "vitest";
import type { CallRecord, Model, RecordCall } from "../../src/agent/model.ts";
import type { StepCall } from "../../src/engine/execute-step.ts";
import { measureModel, measureRuns } from "../../src/run/measure.ts";
import { createMetrics } from "../../src/telemetry/metrics.ts";

test("measureModel counts tokens and dollars of every call, and passes the record on", async () => {
  const metrics = createMetrics();
  const call = {
    model: "m",
    inputTokens: 10,
    outputTokens: 2,
    cacheReadTokens: 3,
    cacheWriteTokens: 4,
    costUsd: 0.5,
  } as CallRecord;
  const recorded: CallRecord[] = [];
  const record = async (one: CallRecord) => void recorded.push(one);
  const ask = (request: { record: RecordCall }) => request.record(call);
  const model = measureModel({ object: ask, work: ask } as unknown as Model, metrics);
  await model.object({ record } as unknown as Parameters<Model["object"]>[0]);
  await model.work({ record } as unknown as Parameters<Model["work"]>[0]);
  expect(recorded).toEqual([call, call]);
  const text = await metrics.registry.metrics();
  for (const [kind, tokens] of Object.entries({ input: 20, output: 4, "cache-read": 6, "cache-write": 8 }))
    expect(text).toContain(`millwright_model_tokens_total{model="m",kind="${kind}"} ${tokens}`);
  expect(text).toContain('millwright_model_cost_usd_total{model="m"} 1');
});

test("measureRuns counts a run once while any of its steps is executed, also after a step failed", async () => {
  const metrics = createMetrics();
  const active = async () => (await metrics.runs.get()).values[0]?.value;
  const { promise, resolve } = Promise.withResolvers<void>();
  const executeStep = measureRuns(async ({ name }) => {
    if (name === "fails") throw new Error("no");
    await promise;
  }, metrics);
  const call = (runKey: string, name = "step") => executeStep({ runKey, name } as StepCall);
  const steps = [call("a"), call("a"), call("b")];
  await expect(call("b", "fails")).rejects.toThrow("no");
  expect(await active()).toBe(2);
  resolve();
  await Promise.all(steps);
  expect(await active()).toBe(0);
});
