import {
  type DurableContext,
  DurableExecutionApiClient,
  type DurableExecutionClient,
  type DurableLambdaHandler,
  withDurableExecution,
} from "@aws/durable-execution-sdk-js";
import type { LambdaClient } from "@aws-sdk/client-lambda";
import type { Logger } from "pino";
import { type Intent, runKeyOf } from "../../pipeline/intent.ts";
import type { Pipeline } from "../../pipeline/run.ts";
import { armWaker, succeedExecution } from "../../store/executions.ts";
import type { OpenStore } from "../../store/open-store.ts";
import { Draining } from "../attempt.ts";
import { priorityOf } from "../control.ts";
import type { DoAct } from "../durable/acts.ts";
import { giveUpRun, tellRun } from "../durable/tell-run.ts";
import { createAttempts, createLambdaPlatform, type Invocation } from "./lambda-platform.ts";
import { completeCallback } from "./wake.ts";

/** What an execution is started with: an intent, or a run that is filed and whose execution died. */
export type RunInput =
  | { intent: Intent }
  | {
      runKey: string;
      /** The execution that this one comes after; null when none was ever admitted. */
      dead: string | null;
      /** The run ends, and its report says so. */
      giveUp: boolean;
    };

export interface RunHandlerOptions {
  lambda: LambdaClient;
  store: OpenStore;
  log: Logger;
  pipelines: Readonly<Record<string, Pipeline>>;
  doAct: DoAct;
  limitsOf(step: string): { minutes: number };
  /** Done before an invocation ends: after it the process is frozen, for minutes or for ever. */
  flush?(): Promise<void>;
}

/** An invocation that lasts too long is killed: what it does is stopped this long before. */
const stopSeconds = 8;

type LambdaContext = Parameters<DurableLambdaHandler>[1];

/**
 * The durable function that runs are executed by, one execution for each run. It files the intent first, so that every
 * later word about the run finds it in the store.
 */
export function createRunHandler(options: RunHandlerOptions): DurableLambdaHandler {
  const { lambda, store, log, pipelines } = options;
  const { db } = store.database;
  const invocations = new WeakMap<LambdaContext, Invocation>();
  const durable = withDurableExecution(
    async (input: RunInput, context: DurableContext) => {
      const invocation = invocations.get(context.lambdaContext);
      if (!invocation) throw new Error("An execution is told outside of its invocation");
      const execution = context.executionContext.durableExecutionArn;
      const runKey = "intent" in input ? runKeyOf(input.intent) : input.runKey;
      if (!(await begin(input, runKey, execution, context))) return;
      const platform = createLambdaPlatform(context, {
        ...options,
        runKey,
        execution,
        invocation,
        arm: (callbackId, wakes) => armWaker(db, runKey, callbackId, wakes),
        complete: (callbackId) => completeCallback(lambda, callbackId),
      });
      if ("giveUp" in input && input.giveUp) await giveUpRun(platform, `The executions of run ${runKey} failed`);
      else await tellRun(platform, pipelines);
    },
    { durableExecutionClient: quiet(new DurableExecutionApiClient(lambda), log) },
  );

  /** Whether this execution is to tell the run: not when another one's row is there (architecture.md rule 13). */
  function begin(input: RunInput, runKey: string, execution: string, context: DurableContext): Promise<boolean> {
    const first = async () => {
      if (!("intent" in input)) return succeedExecution(db, runKey, { dead: input.dead, successor: execution });
      const [filed] = await store.runs.file([input.intent], priorityOf, "lambda");
      // Another run stands for the same labelling.
      return filed?.runKey === runKey;
    };
    const label = "intent" in input ? "file-intent" : "take-over";
    const { attempt, retryStrategy } = createAttempts(runKey, log);
    return context.step(label, () => attempt(label, first), { retryStrategy });
  }

  return async (event, context) => {
    const ending = new AbortController();
    const remainingSeconds = () => context.getRemainingTimeInMillis() / 1000;
    invocations.set(context, { signal: ending.signal, remainingSeconds, used: false });
    const late = setTimeout(
      () => ending.abort(new Draining()),
      Math.min(2 ** 31 - 1, Math.max(0, (remainingSeconds() - stopSeconds) * 1000)),
    );
    try {
      return await durable(event, context);
    } finally {
      clearTimeout(late);
      // After trouble of AWS's own the story may have been left in the midst of an act.
      ending.abort(new Draining());
      await options.flush?.().catch((error: unknown) => log.warn({ err: error }, "not all was written in time"));
    }
  };
}

/** The SDK's own client, which would print what AWS answered; our logger redacts. */
function quiet(client: DurableExecutionClient, log: Logger): DurableExecutionClient {
  const told = async <T>(what: string, request: Promise<T>): Promise<T> => {
    try {
      return await request;
    } catch (error) {
      log.warn({ err: error }, `AWS did not take ${what}; the invocation ends, and the next one goes on`);
      throw error;
    }
  };
  return {
    getExecutionState: (request) => told("a question for the execution's state", client.getExecutionState(request)),
    checkpoint: (request) => told("a checkpoint", client.checkpoint(request)),
  };
}
