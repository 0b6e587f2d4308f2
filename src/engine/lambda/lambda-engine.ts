import type { DurableLambdaHandler } from "@aws/durable-execution-sdk-js";
import { GetDurableExecutionCommand, InvokeCommand, type LambdaClient } from "@aws-sdk/client-lambda";
import type { Logger } from "pino";
import { backoffSecondsBefore, limitsOf } from "../../pipeline/limits.ts";
import type { Pipeline } from "../../pipeline/run.ts";
import { type PlatformRun, platformRuns } from "../../store/executions.ts";
import type { OpenStore } from "../../store/open-store.ts";
import { grantableEverywhere, type TurnLimits } from "../../store/turns.ts";
import type { AttemptContext } from "../attempt.ts";
import { type Control, createControl, priorityOf } from "../control.ts";
import { createActs } from "../durable/acts.ts";
import { concealTexts } from "../durable/conceal.ts";
import type { Engine } from "../engine.ts";
import type { EngineEvent, ExecuteStep } from "../execute-step.ts";
import { createRunHandler, type RunInput } from "./run-handler.ts";
import { createExecutionStarter } from "./start-execution.ts";
import { createWake } from "./wake.ts";

export interface LambdaEngineOptions {
  lambda: LambdaClient;
  /** The durable function with its alias: an execution keeps the version that it began with. */
  functionName: string;
  store: OpenStore;
  log: Logger;
  pipelines: Readonly<Record<string, Pipeline>>;
  executeStep: ExecuteStep;
  /** Must not throw; it is called between steps and not waited for. */
  onEvent?(event: EngineEvent): void;
  fits?(stepName: string, output: unknown): boolean;
  /** Words of our own that AWS may keep; every other text stays in the store, where it can be deleted. */
  isOurs?(text: string): boolean;
  /** Minutes, attempts and pauses of each step: the table of `pipeline/limits.ts` unless given. */
  limits?: Pick<AttemptContext, "limitsOf" | "backoffSecondsBefore">;
  perRepositoryConcurrency: number;
  /** A worker that went silent for this long loses its hold and its place. */
  leaseSeconds?: number;
  /** A run that was filed this long ago and whose execution did nothing yet gets another one. */
  startedWithinSeconds?: number;
  /** Done before an invocation ends and its process is frozen. */
  flush?(): Promise<void>;
}

/** What a sweep of the engine did. */
export interface EngineSwept {
  runs: number;
  woken: number;
  /** Runs whose execution had died, and that got another one. */
  restarted: number;
  /** Runs whose executions died too often: their last one reports that. */
  givenUp: number;
  failed: number;
}

export interface LambdaEngine extends Engine, Control {
  /** The durable function itself. */
  handler: DurableLambdaHandler;
  /** Wakes runs whose wake-up was lost, and replaces executions that died. To be called every few minutes. */
  sweep(): Promise<EngineSwept>;
}

/** So many executions of one run may die before it is given up. */
const longestLine = 3;
/** A run that waits its turn is woken when it comes; what is lost of that is found by the sweep. */
const longestTurnSleepSeconds = 6 * 3_600;

/** The engine on AWS durable functions: a run is one execution, named by the run's key; the truth is in the store. */
export function createLambdaEngine(options: LambdaEngineOptions): LambdaEngine {
  const { lambda, functionName, store, log } = options;
  const { db } = store.database;
  const turnLimits: TurnLimits = {
    perRepositoryConcurrency: options.perRepositoryConcurrency,
    leaseSeconds: options.leaseSeconds ?? 60,
  };
  const limits = options.limits ?? { limitsOf, backoffSecondsBefore };
  const startedWithinSeconds = options.startedWithinSeconds ?? 600;
  const starter = createExecutionStarter({ lambda, functionName });
  const wake = createWake({ lambda, store, log });
  const control = createControl(store, wake);
  const acts = createActs({
    store,
    log,
    turnLimits,
    wake,
    longestTurnSleepSeconds,
    executeStep: options.executeStep,
    onEvent: options.onEvent ?? (() => undefined),
    fits: options.fits,
    ...limits,
  });

  const doAct = concealTexts(acts, db, options.isOurs ?? (() => false));

  return {
    ...control,
    handler: createRunHandler({ ...options, doAct, limitsOf: limits.limitsOf }),

    /**
     * Files the run before it asks AWS: a name that AWS has seen with an execution that filed nothing would start
     * nothing, and the sweep finds what is filed.
     */
    start: async (intent) => {
      const [filed] = await store.runs.file([intent], priorityOf, "lambda");
      if (filed?.repeated === false) await starter.start(intent);
      return { runKey: filed?.runKey ?? "", repeated: Promise.resolve(filed?.repeated ?? true) };
    },

    sweep: async () => {
      const swept: EngineSwept = { runs: 0, woken: 0, restarted: 0, givenUp: 0, failed: 0 };
      const runs = await platformRuns(db, "lambda");
      swept.runs = runs.length;
      const mayGoOn = (await grantableEverywhere(db, turnLimits)).filter(({ engine }) => engine === "lambda");
      const sleepers = new Set([...runs.filter(({ news }) => news), ...mayGoOn].map(({ runKey }) => runKey));
      await wake([...sleepers].map((runKey) => ({ runKey, engine: "lambda" })));
      swept.woken = sleepers.size;
      for (const run of runs.filter(({ held }) => !held)) {
        try {
          const next = await successorOf(run);
          if (!next) continue;
          await startNext(next);
          log.warn({ runKey: run.runKey, dead: run.platformExecution, giveUp: next.input.giveUp }, "an execution died");
          swept[next.input.giveUp ? "givenUp" : "restarted"] += 1;
        } catch (error) {
          swept.failed += 1;
          log.warn({ runKey: run.runKey, err: error }, "a run's execution could not be looked at");
        }
      }
      return swept;
    },
  };

  /** The execution that goes on with a run whose own is dead; undefined while it lives. */
  async function successorOf(run: PlatformRun): Promise<Successor | undefined> {
    const { runKey, platformExecution: dead } = run;
    if (dead === null) {
      if (run.ageSeconds < startedWithinSeconds) return undefined;
      // One that could not even be admitted has tried so for a day.
      return successor(runKey, dead, 1 + Math.floor(run.ageSeconds / 86_400));
    }
    if (await isRunning(dead)) return undefined;
    const before = Number(/\/durable-execution\/[^/]*-again-(\d+)\//.exec(dead)?.[1] ?? "0");
    if (before >= 2 * longestLine)
      throw new Error(`${before + 1} executions of run ${runKey} died; the last is ${dead}`);
    return successor(runKey, dead, before + 1);
  }

  async function isRunning(execution: string): Promise<boolean> {
    try {
      const found = await lambda.send(
        new GetDurableExecutionCommand({ DurableExecutionArn: execution, IncludeExecutionData: false }),
      );
      return found.Status === "RUNNING";
    } catch (error) {
      // It ended so long ago that AWS has forgotten it.
      if ((error as Error).name === "ResourceNotFoundException") return false;
      throw error;
    }
  }

  /** A name is taken once: a second sweep that finds the same starts the same. */
  async function startNext({ name, input }: Successor): Promise<void> {
    await lambda.send(
      new InvokeCommand({
        FunctionName: functionName,
        InvocationType: "Event",
        DurableExecutionName: name,
        Payload: JSON.stringify(input),
      }),
    );
  }
}

interface Successor {
  name: string;
  input: Extract<RunInput, { runKey: string }>;
}

function successor(runKey: string, dead: string | null, count: number): Successor {
  return { name: `${runKey}-again-${count}`, input: { runKey, dead, giveUp: count > longestLine } };
}
