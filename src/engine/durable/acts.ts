import type { Logger } from "pino";
import type { FiledIntent } from "../../pipeline/intent.ts";
import { Cancelled, LeaseLost } from "../../pipeline/step.ts";
import {
  cancelReasons,
  claimRun,
  holdsNow,
  outcomeEndedBy,
  type RunRecord,
  renewExecutions,
  settleOutcome,
} from "../../store/executions.ts";
import {
  beginWait,
  dropSteps,
  ExecutionLost,
  endStep,
  type Fence,
  latestAttempt,
  readStep,
  takeSignal,
} from "../../store/journal.ts";
import type { OpenStore } from "../../store/open-store.ts";
import { endRun, type Granted, keepTurn, placeOf, sleepRun, type TurnLimits, takeTurn } from "../../store/turns.ts";
import { type AttemptContext, attemptStep, Draining, needsTurn } from "../attempt.ts";
import type { RunStatus } from "../engine.ts";
import { inputHashOf, type RecordedStep } from "../history.ts";
import { failedOutcome } from "../recorded-error.ts";
import type { ActName, Acts, Asleep, Told } from "./platform.ts";

export interface DurableActsOptions extends Omit<AttemptContext, "db"> {
  store: OpenStore;
  log: Logger;
  turnLimits: TurnLimits;
  /** A run that waits its turn looks again after this long, because a wake-up may be lost: 60 s unless given. */
  longestTurnSleepSeconds?: number;
  /** Whether a recorded output still fits its step's schema. */
  fits?(name: string, output: unknown): boolean;
  /** Wakes runs that may take their turn now. */
  wake(runs: readonly Granted[]): Promise<void>;
}

/** One act as a platform asks for it. */
export interface ActCall<N extends ActName> {
  runKey: string;
  /** The platform's own name of the execution that tells the run. */
  execution: string;
  name: N;
  given: Acts[N]["given"];
  /** Aborts when the platform gives this try up (`Draining`: its process ends). */
  signal: AbortSignal;
  /** Called every second while the act lasts. */
  heartbeat?(): void;
}

/** Does acts: what a platform remembers is their answer, what is true is in the store. */
export type DoAct = <N extends ActName>(call: ActCall<N>) => Promise<Acts[N]["answer"]>;

/** Where a cancel comes from elsewhere, it is seen after this long at most. */
const lookSeconds = 1;

/**
 * The acts of `platform.ts` on the store. Each can be done again: a step that is recorded as done is not repeated when the
 * platform forgot its answer. Throws when the database does not answer, and when the hold on the run was lost meanwhile,
 * for the platform to try again: the next try takes the hold again, or learns that the run is another execution's.
 */
export function createActs(options: DurableActsOptions): DoAct {
  const { store, log, turnLimits, onEvent, longestTurnSleepSeconds = 60, fits = () => true } = options;
  const { db } = store.database;
  const context: AttemptContext = { ...options, db };

  const acts: { [N in ActName]: (hold: Hold, given: Acts[N]["given"]) => Promise<Acts[N]["answer"]> } = {
    begin: async ({ run }) => {
      tell(run, "running");
      return { kind: "begun", pipeline: run.pipeline };
    },
    step: async (hold, { path, name, input }) => {
      const reason = hold.run.cancelReason;
      if (reason !== null) return { kind: "stopped", reason };
      return doStep(hold, { path, name, input });
    },
    wait: (hold, given) => wait(hold, given),
    finish: async (hold, { told }) => {
      const { fence, run } = hold;
      const outcome = await settleOutcome(db, fence, run.outcome ?? outcomeOf(run, told));
      if (!outcome) throw new ExecutionLost(fence);
      const reported = await doStep(hold, { path: "report-outcome#1", name: "report-outcome", input: { outcome } });
      if (reported.kind === "again" || reported.kind === "lost") return reported;
      if (reported.kind === "failed")
        log.error({ ...about(run), err: reported.error }, "the outcome could not be reported");
      const granted = await endRun(db, fence, turnLimits);
      if (!granted) throw new ExecutionLost(fence);
      onEvent({ kind: "run", ...about(run), state: "ended", outcome });
      await options.wake(granted);
      return { kind: "ended", ending: outcome.kind };
    },
  };

  return async (call) => {
    const fence = { runKey: call.runKey, executionId: call.execution };
    const { leaseSeconds } = turnLimits;
    const run = await claimRun(db, { ...fence, jobId: call.execution, leaseSeconds, ofPlatform: true });
    if (!run) {
      // It has ended the run, and the platform did not hear of it.
      const outcome = call.name === "finish" ? await outcomeEndedBy(db, fence) : undefined;
      return outcome ? { kind: "ended", ending: outcome.kind } : { kind: "lost" };
    }
    const hold = new Hold(fence, run, call.signal);
    const stop = holdOn(hold, call);
    try {
      return await acts[call.name](hold, call.given);
    } finally {
      stop();
    }
  };

  async function doStep(hold: Hold, { path, name, input }: Acts["step"]["given"]): Promise<Acts["step"]["answer"]> {
    const { fence, run } = hold;
    const inputHash = inputHashOf(input);
    let last = (await readStep(db, fence.runKey, path)) as RecordedStep | undefined;
    if (last && (last.inputHash !== inputHash || (last.status === "done" && !fits(name, last.output)))) {
      await dropSteps(db, fence, [path]);
      last = undefined;
    }
    if (last?.status === "done") return { kind: "done", output: last.output ?? undefined };
    if (last?.status === "failed" && last.error) return { kind: "failed", error: last.error };
    const pauseSeconds = last?.retryAt ? (last.retryAt.getTime() - Date.now()) / 1000 : 0;
    if (pauseSeconds > 0) return { kind: "again", pauseSeconds };
    const takesTurn = needsTurn(run.pipeline, name);
    if (takesTurn && !(await keepTurn(db, fence, turnLimits))) {
      const asleep = (await takeTurn(db, fence, turnLimits))
        ? undefined
        : await sleep(hold, "waiting-turn", longestTurnSleepSeconds);
      if (asleep) return asleep;
      tell(run, "running");
    }
    try {
      const attempted = await attemptStep(context, {
        fence,
        intent: run.intent,
        pipeline: run.pipeline,
        workKey: run.workKey,
        path,
        name,
        input,
        inputHash,
        last,
        signal: hold.signal,
        heldLease: async (attempt) =>
          (await holdsNow(db, fence, takesTurn)) && (await latestAttempt(db, fence.runKey, path)) === attempt,
        rethrowStop: (error, attempt) => rethrowStop(hold, error, path, attempt),
        journal: (write) => write,
      });
      if (attempted.kind === "done") return { kind: "done", output: attempted.output };
      if (attempted.kind === "again") return { kind: "again", pauseSeconds: attempted.pauseSeconds };
      return attempted;
    } catch (error) {
      if (error instanceof Cancelled) return { kind: "stopped", reason: error.message };
      if (error instanceof Draining) return { kind: "again", pauseSeconds: 0 };
      throw error;
    }
  }

  /** An attempt that was stopped from outside is no failure of the step. */
  async function rethrowStop(hold: Hold, error: unknown, path: string, attempt: number): Promise<void> {
    // The step noticed first, right before an effect, what the next look at the database would have told us.
    if (error instanceof Cancelled) throw error;
    if (error instanceof LeaseLost || error instanceof ExecutionLost) throw new ExecutionLost(hold.fence);
    if (!hold.signal.aborted) return;
    const { reason } = hold.signal;
    // The platform gives this try up, or its process ends: the next try is not a second attempt.
    if (!(reason instanceof Cancelled || reason instanceof LeaseLost)) {
      // Unless the next try has begun already: its attempt is not this one's to give back.
      await endStep(db, hold.fence, path, { status: "running", pauseSeconds: 0, counted: false }, attempt);
      throw reason;
    }
    throw reason instanceof LeaseLost ? new ExecutionLost(hold.fence) : reason;
  }

  async function wait(
    hold: Hold,
    { path, name, timeoutMinutes }: Acts["wait"]["given"],
  ): Promise<Acts["wait"]["answer"]> {
    const { fence, run } = hold;
    if (run.cancelReason !== null) return { kind: "stopped", reason: run.cancelReason };
    const recorded = await readStep(db, fence.runKey, path);
    if (recorded?.status === "done") return { kind: "decided", decision: recorded.output as never };
    const inputHash = inputHashOf({ timeoutMinutes });
    const deadline = await beginWait(db, fence, { path, name, inputHash, timeoutMinutes });
    const decision = await takeSignal(db, fence, name.slice(name.indexOf(":") + 1), path);
    if (decision) return { kind: "decided", decision };
    const leftSeconds = (deadline.getTime() - Date.now()) / 1000;
    if (leftSeconds > 0) {
      // When something happened since the act began, the next one sees it.
      return (await sleep(hold, "waiting-decision", leftSeconds)) ?? { kind: "asleep", seconds: 0, wakes: run.wakes };
    }
    await endStep(db, fence, path, { status: "done", output: "timed-out" });
    return { kind: "decided", decision: "timed-out" };
  }

  /** Gives the lease back; undefined when the run has news, or its turn after all. */
  async function sleep(
    { fence, run }: Hold,
    state: "waiting-turn" | "waiting-decision",
    seconds: number,
  ): Promise<Asleep | undefined> {
    const wantsTurn = state === "waiting-turn";
    const alarm = wantsTurn ? {} : { wakeInSeconds: seconds };
    const fallAsleep = { state, wakes: run.wakes, wantsTurn, ...alarm };
    const { slept, stage, granted } = await sleepRun(db, fence, fallAsleep, turnLimits);
    if (!slept) return wantsTurn && stage !== "work" ? { kind: "asleep", seconds: 0, wakes: run.wakes } : undefined;
    await options.wake(granted);
    const mayGoOn = granted.some((other) => other.runKey === run.runKey);
    if (!mayGoOn) tell(run, state, wantsTurn ? await placeOf(db, run.runKey) : undefined);
    return { kind: "asleep", seconds: mayGoOn ? 0 : seconds, wakes: run.wakes };
  }

  /** While an act lasts its hold is renewed, and cancels reach it. Returns how that ends. */
  function holdOn(hold: Hold, { name, heartbeat }: { name: ActName; heartbeat?(): void }): () => void {
    const every = (seconds: number, work: () => Promise<void> | void) => {
      const timer = setInterval(() => {
        Promise.resolve(work()).catch((error: unknown) =>
          log.warn({ ...about(hold.run), error: String(error) }, "the hold on a run could not be looked at"),
        );
      }, seconds * 1000);
      timer.unref();
      return timer;
    };
    const { runKey, executionId } = hold.fence;
    const timers = [
      every(turnLimits.leaseSeconds / 4, async () => {
        const renewed = await renewExecutions(db, [executionId], turnLimits.leaseSeconds);
        if (!renewed.has(executionId)) hold.stop(new LeaseLost(`Another worker holds run ${runKey}`));
      }),
      every(lookSeconds, async () => {
        heartbeat?.();
        const reason = name === "finish" ? undefined : (await cancelReasons(db, [runKey])).get(runKey);
        if (reason !== undefined) hold.stop(new Cancelled(reason));
      }),
    ];
    return () => {
      for (const timer of timers) clearInterval(timer);
    };
  }

  function outcomeOf(run: RunRecord, told: Told) {
    switch (told.kind) {
      case "returned":
        return told.outcome;
      case "stopped":
        return { kind: "cancelled" as const, reason: told.reason };
      case "threw":
        log.error({ ...about(run), err: told.error }, "a pipeline failed");
        return failedOutcome(run.runKey, told.error);
    }
  }

  function tell(run: RunRecord, state: RunStatus["state"], place?: number): void {
    onEvent({ kind: "run", ...about(run), state, place });
  }
}

/** One worker's hold on one run, for as long as one act lasts. */
class Hold {
  readonly fence: Fence;
  readonly run: RunRecord & { intent: FiledIntent };
  readonly #abort = new AbortController();
  readonly signal: AbortSignal;

  constructor(fence: Fence, run: RunRecord, platform: AbortSignal) {
    this.fence = fence;
    this.run = run;
    this.signal = AbortSignal.any([platform, this.#abort.signal]);
  }

  stop(reason: Error): void {
    this.#abort.abort(reason);
  }
}

function about({ runKey, workKey, pipeline }: RunRecord) {
  return { runKey, workKey, pipeline };
}
