import type { CallRecord, Model, RecordCall } from "../agent/model.ts";
import type { Coder } from "../coder/coder.ts";
import type { ExecuteStep } from "../engine/execute-step.ts";
import type { Metrics } from "../telemetry/metrics.ts";

type CallMetrics = Pick<Metrics, "modelTokens" | "modelCostUsd">;

/** The model, with tokens and dollars of every call counted where the call is recorded. */
export function measureModel(model: Model, metrics: CallMetrics): Model {
  const counting = countingIn(metrics);
  return {
    ...model,
    object: (request) => model.object({ ...request, record: counting(request.record) }),
    work: (request) => model.work({ ...request, record: counting(request.record) }),
  };
}

/** The same for a coder. What the agent asks is counted by its model. */
export function measureCoder(coder: Coder, metrics: CallMetrics): Coder {
  if (coder.name === "agent") return coder;
  const counting = countingIn(metrics);
  return { name: coder.name, code: (request) => coder.code({ ...request, record: counting(request.record) }) };
}

function countingIn(metrics: CallMetrics): (record: RecordCall) => RecordCall {
  return (record) => async (call: CallRecord) => {
    const kinds = {
      input: call.inputTokens,
      output: call.outputTokens,
      "cache-read": call.cacheReadTokens,
      "cache-write": call.cacheWriteTokens,
    };
    for (const [kind, tokens] of Object.entries(kinds)) metrics.modelTokens.inc({ model: call.model, kind }, tokens);
    metrics.modelCostUsd.inc({ model: call.model }, call.costUsd);
    await record(call);
  };
}

/** The step runner, with the number of runs that have a step in execution here; parallel branches count once. */
export function measureRuns(executeStep: ExecuteStep, metrics: Pick<Metrics, "runs">): ExecuteStep {
  const steps = new Map<string, number>();
  const add = (runKey: string, change: 1 | -1) => {
    const left = (steps.get(runKey) ?? 0) + change;
    if (left === 0) steps.delete(runKey);
    else steps.set(runKey, left);
    metrics.runs.set(steps.size);
  };
  return async (call) => {
    add(call.runKey, 1);
    try {
      return await executeStep(call);
    } finally {
      add(call.runKey, -1);
    }
  };
}
