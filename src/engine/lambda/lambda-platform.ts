import type { DurableContext, DurableOperationError, RetryDecision } from "@aws/durable-execution-sdk-js";
import type { Logger } from "pino";
import type { DoAct } from "../durable/acts.ts";
import type { ActName, Acts, Asleep, Platform } from "../durable/platform.ts";

/** One invocation of the function, in which one part of an execution is told. */
export interface Invocation {
  /** Aborts with `Draining` when the invocation ends, or is about to. */
  signal: AbortSignal;
  remainingSeconds(): number;
  /** Whether an act was begun in it. */
  used: boolean;
}

export interface LambdaPlatformOptions {
  runKey: string;
  /** The execution's ARN. */
  execution: string;
  invocation: Invocation;
  doAct: DoAct;
  log: Logger;
  limitsOf(step: string): { minutes: number };
  /** Has the callback completed when the run wakes. False: it must not sleep. Without `wakes` only a cancel counts. */
  arm(callbackId: string, wakes: number | undefined): Promise<boolean>;
  complete(callbackId: string): Promise<void>;
}

/** What a step needs besides its limit: to be stopped, recorded and answered. */
const spareSeconds = 30;
/** What an act needs that is not a step: a few queries. */
const actSeconds = 60;
/** Trouble of the database or of AWS itself is met by trying again for a day, from 1 s to 5 minutes apart. */
const longestPauseSeconds = 300;
const longestTries = 300;
/** A longer pause is one that a cancel ends. */
const longestDeafSeconds = 4;
/** AWS waits at most a year. https://docs.aws.amazon.com/lambda/latest/api/API_WaitOptions.html */
const longestWaitSeconds = 31_622_400;

/** Not in this invocation: the next one has a step's time before it. */
class NoTimeLeft extends Error {
  override name = "NoTimeLeft";
}

/** What AWS keeps of a failure; an error's own words may hold a query with what people wrote, and are the log's alone. */
class ActFailed extends Error {
  override name = "ActFailed";
}

/** Has durable steps fail in neutral words, and tried again for a day. `NoTimeLeft` is no failure. */
export function createAttempts(runKey: string, log: Logger) {
  return {
    async attempt<T>(label: string, work: () => Promise<T>): Promise<T> {
      try {
        return await work();
      } catch (error) {
        if (error instanceof NoTimeLeft) throw error;
        log.warn({ runKey, act: label, err: error }, "an act failed; it is done again");
        throw new ActFailed(`${label} failed; the function's log says why`);
      }
    },
    retryStrategy(error: Error, tries: number): RetryDecision {
      if (error instanceof NoTimeLeft) return { shouldRetry: true, delay: { seconds: 1 } };
      return { shouldRetry: tries < longestTries, delay: { seconds: Math.min(longestPauseSeconds, 2 ** (tries - 1)) } };
    },
  };
}

/**
 * AWS durable functions as the platform of a run: acts are durable steps, pauses and sleeps are waits that cost nothing,
 * branches are the SDK's own `parallel`. Deterministic: what is asked of AWS depends on what AWS remembers alone.
 */
export function createLambdaPlatform(context: DurableContext, options: LambdaPlatformOptions): Platform {
  const { runKey, execution, invocation, doAct } = options;
  const { attempt, retryStrategy } = createAttempts(runKey, options.log);
  let last: ActName | undefined;

  function secondsFor(name: ActName, given: Acts[ActName]["given"]): number {
    const step = name === "finish" ? "report-outcome" : (given as { name?: string }).name;
    if (name !== "step" && name !== "finish") return actSeconds;
    return options.limitsOf(step ?? "").minutes * 60 + spareSeconds;
  }

  async function doInTime<N extends ActName>(name: N, given: Acts[N]["given"]): Promise<Acts[N]["answer"]> {
    // Whatever its time is, the first act of an invocation is done: the next one would have no more.
    if (invocation.used && invocation.remainingSeconds() < secondsFor(name, given)) throw new NoTimeLeft(name);
    invocation.used = true;
    return doAct({ runKey, execution, name, given, signal: invocation.signal });
  }

  async function sleepUntilWoken(name: string, seconds: number, wakes?: number): Promise<void> {
    try {
      await context.waitForCallback(
        name,
        (callbackId) =>
          attempt(name, async () => {
            if (!(await options.arm(callbackId, wakes))) await options.complete(callbackId);
          }),
        { timeout: { seconds: whole(seconds) }, retryStrategy },
      );
    } catch (error) {
      // The time is over, which is one way to wake.
      if ((error as DurableOperationError).errorType !== "CallbackTimeoutError") throw error;
    }
  }

  return {
    act(name, given, label) {
      last = name;
      return context.step(label, () => attempt(label, () => doInTime(name, given)), { retryStrategy });
    },
    async pause(seconds) {
      // What reports the end is not stopped by a cancel, and would not sleep after one.
      if (seconds <= longestDeafSeconds || last === "finish") await context.wait("pause", { seconds: whole(seconds) });
      else await sleepUntilWoken("pause", seconds);
    },
    async sleep({ seconds, wakes }: Asleep) {
      if (seconds > 0) await sleepUntilWoken("asleep", seconds, wakes);
    },
    async branches(names, tell) {
      const branches = names.map((name, index) => ({
        name,
        func: (own: DurableContext) => tell(createLambdaPlatform(own, options), index),
      }));
      // All are waited for: a branch that failed answers so.
      const told = await context.parallel("parallel", branches, {
        completionConfig: { toleratedFailureCount: names.length },
      });
      told.throwIfError();
      return told.all.toSorted((one, other) => one.index - other.index).map(({ result }) => result as never);
    },
  };
}

function whole(seconds: number): number {
  return Math.min(longestWaitSeconds, Math.max(1, Math.ceil(seconds)));
}
