import { Context } from "@temporalio/activity";
import type { DoAct } from "../durable/acts.ts";
import type { ActName, Acts } from "../durable/platform.ts";
import { activityTypes, type RunArguments } from "./names.ts";

interface Call<N extends ActName> extends RunArguments {
  execution: string;
  given: Acts[N]["given"];
}

/** Acts as activities. `default` takes every name that no other has: steps, known and unknown. */
export function createActivities(options: {
  doAct: DoAct;
  requestCancel(runKey: string): Promise<void>;
  /** Aborts when this process ends. */
  draining: AbortSignal;
}): Record<string, (call: Call<never>) => Promise<unknown>> {
  const perform =
    <N extends ActName>(name: N) =>
    ({ runKey, execution, given }: Call<N>) => {
      const context = Context.current();
      return options.doAct({
        runKey,
        execution,
        name,
        given,
        signal: AbortSignal.any([options.draining, context.cancellationSignal]),
        heartbeat: () => context.heartbeat(),
      });
    };
  return {
    [activityTypes.begin]: perform("begin"),
    [activityTypes.wait]: perform("wait"),
    [activityTypes.finish]: perform("finish"),
    [activityTypes.requestCancel]: ({ runKey }) => options.requestCancel(runKey),
    default: perform("step"),
  };
}
