import {
  CancellationScope,
  condition,
  continueAsNew,
  scheduleActivity,
  setHandler,
  upsertSearchAttributes,
  workflowInfo,
} from "@temporalio/workflow";
import { limitsOf, sandboxedSteps } from "../../pipeline/limits.ts";
import type { Pipeline } from "../../pipeline/run.ts";
import type { ActName, Acts, Asleep, Platform } from "../durable/platform.ts";
import { tellRun } from "../durable/tell-run.ts";
import { activityTypes, type RunArguments, sandboxQueueOf, searchAttributes, wake } from "./names.ts";

/** What a worker must not change while runs are under way, and what tests shorten. */
export interface TellingOptions {
  /** An activity that was not heard of for this long is given to another worker; a cancel arrives as late as this. */
  heartbeatSeconds?: number;
}

/** What every branch of one telling shares. */
interface Telling {
  args: RunArguments;
  execution: string;
  taskQueue: string;
  heartbeatSeconds: number;
  wakeUps: number;
  /** Goes on in an execution with an empty history. */
  goOnAnew(): void;
}

/** Tells a run inside a Temporal workflow, to its end. */
export async function tellOnTemporal(
  args: RunArguments,
  pipelines: Readonly<Record<string, Pipeline>>,
  { heartbeatSeconds = 5 }: TellingOptions = {},
): Promise<void> {
  const { firstExecutionRunId, taskQueue } = workflowInfo();
  const telling: Telling = {
    args,
    execution: firstExecutionRunId,
    taskQueue,
    heartbeatSeconds,
    wakeUps: 0,
    goOnAnew: () => undefined,
  };
  const anew = new Promise<void>((resolve) => {
    telling.goOnAnew = resolve;
  });
  setHandler(wake, () => {
    telling.wakeUps += 1;
  });
  // A cancel in Temporal is one of ours: the step learns it from the store, and the run ends as cancelled by its report.
  const root = CancellationScope.current();
  root.cancelRequested.catch(() =>
    CancellationScope.nonCancellable(async () => {
      await activity(telling, activityTypes.requestCancel, {}, { minutes: 1, summary: "cancelled in Temporal" });
      telling.wakeUps += 1;
    }),
  );
  await CancellationScope.nonCancellable(() =>
    Promise.race([
      tellRun(new TemporalPlatform(telling, true), pipelines),
      anew.then(() => continueAsNew<(args: RunArguments) => Promise<void>>(args)),
    ]),
  );
}

class TemporalPlatform implements Platform {
  /** From the attribute that the run was started with, where the namespace has it. */
  readonly pipeline = pipelineAttribute();
  readonly #telling: Telling;
  readonly #isRoot: boolean;
  /** Wake-ups before the latest act began: whatever came since, it may not have seen. */
  #seen = 0;

  constructor(telling: Telling, isRoot: boolean) {
    this.#telling = telling;
    this.#isRoot = isRoot;
  }

  async act<N extends ActName>(name: N, given: Acts[N]["given"], label: string): Promise<Acts[N]["answer"]> {
    this.#seen = this.#telling.wakeUps;
    const step = name === "step" ? (given as Acts["step"]["given"]).name : undefined;
    const type = step ?? activityTypes[name as Exclude<ActName, "step">];
    const answer = await activity<Acts[N]["answer"]>(this.#telling, type, given, {
      // A minute more than the step's own limit, which is the one that ends it.
      minutes: limitsOf(type).minutes + 1,
      summary: label,
      sandboxed: step !== undefined && sandboxedSteps.has(step),
    });
    if (answer.kind === "ended") showEnding(answer.ending);
    return answer;
  }

  /** A wake-up ends it early: what was woken for, such as a cancel, is in the store. */
  async pause(seconds: number): Promise<void> {
    if (seconds > 0) await condition(() => this.#telling.wakeUps > this.#seen, Math.ceil(seconds * 1000));
  }

  async sleep({ seconds }: Asleep): Promise<void> {
    await this.pause(seconds);
    if (!this.#isRoot || !workflowInfo().continueAsNewSuggested) return;
    this.#telling.goOnAnew();
    await new Promise(() => undefined);
  }

  branches<T>(names: readonly string[], tell: (platform: Platform, index: number) => Promise<T>): Promise<T[]> {
    return Promise.all(
      names.map((_, index) =>
        CancellationScope.nonCancellable(() => tell(new TemporalPlatform(this.#telling, false), index)),
      ),
    );
  }
}

function activity<T>(
  { args, execution, taskQueue, heartbeatSeconds }: Telling,
  type: string,
  given: unknown,
  options: { minutes: number; summary: string; sandboxed?: boolean },
): Promise<T> {
  return scheduleActivity<T>(type, [{ ...args, execution, given }], {
    startToCloseTimeout: options.minutes * 60_000,
    heartbeatTimeout: heartbeatSeconds * 1000,
    // Only the trouble of platform, worker and database: attempts at steps are counted in the store.
    retry: { initialInterval: 250, backoffCoefficient: 2, maximumInterval: 60_000 },
    summary: options.summary,
    ...(options.sandboxed === true ? { taskQueue: sandboxQueueOf(taskQueue) } : {}),
  });
}

function pipelineAttribute(): string | undefined {
  return workflowInfo().typedSearchAttributes.get(searchAttributes.pipeline);
}

/** Only where whoever started the run could set attributes at all: the server refuses those that it does not know. */
function showEnding(ending: string): void {
  if (pipelineAttribute() === undefined) return;
  upsertSearchAttributes([{ key: searchAttributes.ending, value: ending }]);
}
