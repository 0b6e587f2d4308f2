import type { CallRecord, Model, RecordCall } from "../agent/model.ts";
import type { ExecuteStep } from "../engine/execute-step.ts";
import type { Metrics } from "../telemetry/metrics.ts";

/** The model, with tokens and dollars of every call counted where the call is recorded. */
export function measureModel(model: Model, metrics: Pick<Metrics, "modelTokens" | "modelCostUsd">): Model {
  const counting = (record: RecordCall): RecordCall => {
    return async (call: CallRecord) => {
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
  };
  return {
    id: model.id,
    contextWindowTokens: model.contextWindowTokens,
    priceIsKnown: model.priceIsKnown,
    object: (request) => model.object({ ...request, record: counting(request.record) }),
    work: (request) => model.work({ ...request, record: counting(request.record) }),
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
