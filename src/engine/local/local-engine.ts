import { randomUUID } from "node:crypto";
import type { Logger } from "pino";
import type { Intent } from "../../pipeline/intent.ts";
import { backoffSecondsBefore, limitsOf } from "../../pipeline/limits.ts";
import type { Outcome } from "../../pipeline/outcome.ts";
import type { Pipeline } from "../../pipeline/run.ts";
import { Cancelled } from "../../pipeline/step.ts";
import {
  cancelReasons,
  claimRun,
  idleRuns,
  type RunRecord,
  readHeld,
  releaseAllExecutions,
  releaseExecution,
  renewExecutions,
  settleOutcome,
} from "../../store/executions.ts";
import { ExecutionLost, type Fence } from "../../store/journal.ts";
import type { OpenStore } from "../../store/open-store.ts";
import { endRun, type Granted, grantableEverywhere, placeOf, sleepRun, type TurnLimits } from "../../store/turns.ts";
import { Draining } from "../attempt.ts";
import { type Control, createControl, priorityOf, type Woken } from "../control.ts";
import type { RunningEngine } from "../engine.ts";
import type { EngineEvent, ExecuteStep } from "../execute-step.ts";
import { failedOutcome, recordError } from "../recorded-error.ts";
import { createUpkeep } from "../upkeep.ts";
import { type Asleep, Execution, type ExecutionContext, type Slot } from "./execution.ts";
import { Intake } from "./intake.ts";
import { type AdvanceJob, Jobs, type Lane } from "./jobs.ts";
import { openSpool } from "./spool.ts";

export interface LocalEngineOptions {
  store: OpenStore;
  log: Logger;
  pipelines: Readonly<Record<string, Pipeline>>;
  executeStep: ExecuteStep;
  /** Must not throw; it is called between steps and not waited for. */
  onEvent?(event: EngineEvent): void;
  /** Whether a recorded output fits the step as it is today; one that does not is done again. */
  fits?(stepName: string, output: unknown): boolean;
  /** Minutes, attempts and pauses of each step: the table of `pipeline/limits.ts` unless given. */
  limits?: Pick<ExecutionContext, "limitsOf" | "backoffSecondsBefore">;
  /** Runs past their authorisation that this process executes at once. Commands and first steps have slots of their own. */
  concurrency?: number;
  frontConcurrency?: number;
  /** Runs of one repository that are executed at once by all processes together. */
  perRepositoryConcurrency?: number;
  /** A worker that could not renew its hold for this long has lost it. */
  leaseSeconds?: number;
  /** How often runs that nobody advances are looked for. */
  sweepSeconds?: number;
  /** How often the queue is asked without being told that something came. */
  pollSeconds?: number;
  /**
   * A file that acknowledges intents before the database has them. Only where this process alone uses the database: what
   * is on this disk is out of other machines' reach.
   */
  spoolPath?: string | undefined;
  /** How often a job that fails outside of any step (the database is away, the history cannot be read) is tried again. */
  jobRetries?: number;
}

/**
 * The port, and what its process needs. Intents are still taken while it drains; `close` ends that. `open` throws when the
 * database is down.
 */
export interface LocalEngine extends RunningEngine, Control {}

/** Where a cancel comes from another process, it is seen after this long at most. */
const cancelPollSeconds = 1;

/**
 * Executes pipelines from a queue in the store's database (pg-boss on PGlite or PostgreSQL). Jobs only say "advance this
 * run": the truth is the tables of runs and steps, from which every job can be made again.
 */
export function createLocalEngine(options: LocalEngineOptions): LocalEngine {
  const { store, log, pipelines, onEvent = () => undefined } = options;
  const { database } = store;
  const { db } = database;
  const { concurrency = 4, frontConcurrency = 8, leaseSeconds = 30, sweepSeconds = 10 } = options;
  const turnLimits: TurnLimits = { perRepositoryConcurrency: options.perRepositoryConcurrency ?? 2, leaseSeconds };
  const executions = new Map<string, Execution>();
  const upkeep = createUpkeep(log);
  let draining = false;

  const context: ExecutionContext = {
    db,
    log,
    executeStep: options.executeStep,
    onEvent,
    turnLimits,
    fits: options.fits ?? (() => true),
    ...(options.limits ?? { limitsOf, backoffSecondsBefore }),
  };
  const jobs = new Jobs({
    database,
    log,
    concurrency: { front: frontConcurrency, work: concurrency },
    pollSeconds: options.pollSeconds ?? 1,
    retries: options.jobRetries ?? 20,
    rushing: () => intake.rushing,
    execute: advance,
  });
  const intake = new Intake(async (intents) => {
    const filed = await store.runs.file(intents, priorityOf);
    const created = filed.flatMap(({ runKey, repeated }, index) =>
      repeated ? [] : [{ runKey, intent: intents[index] as Intent }],
    );
    // What comes while this process drains is found by the next one, or by another's sweep.
    if (!draining) {
      await jobs.send(created.map(({ runKey, intent }) => ({ runKey, lane: "front", priority: priorityOf(intent) })));
    }
    return filed;
  }, log);

  /** One job: claims the run and advances it until it ends, sleeps or is taken away. */
  async function advance(job: { id: string; runKey: string; lane: Lane }): Promise<void> {
    const fence: Fence = { runKey: job.runKey, executionId: randomUUID() };
    const claimed = await claimRun(db, { ...fence, jobId: job.id, leaseSeconds });
    // It has ended, or another worker advances it and will see what this job was sent for.
    if (!claimed) return;
    if (claimed.stage === "front" && claimed.state === "running") tell(claimed, "running");
    try {
      await advanceClaimed(fence, claimed, job);
    } catch (error) {
      if (error instanceof ExecutionLost) {
        log.warn({ runKey: job.runKey }, "another worker took this run over");
        return;
      }
      if (error instanceof Draining) return putBack(fence);
      await releaseExecution(db, fence).catch(() => undefined);
      throw error;
    }
  }

  async function advanceClaimed(fence: Fence, claimed: RunRecord, job: { id: string; lane: Lane }): Promise<void> {
    const slot: Slot = {
      lane: job.lane === "work" ? "work" : "front",
      promote: () => {
        if (job.lane === "dead" || !jobs.promote(job.id)) return false;
        slot.lane = "work";
        return true;
      },
    };
    let run: RunRecord | undefined = claimed;
    while (run) {
      if (draining) throw new Draining();
      const ending = run.cancelReason !== null || run.outcome !== null || job.lane === "dead";
      if (slot.lane === "front" && run.stage === "work" && !ending) {
        // Long work has slots of its own.
        const state = run.state === "waiting-turn" ? "waiting-turn" : "running";
        if (await fallAsleep(fence, run, { state, wakeInSeconds: 0 }, slot)) return;
      } else if (await advanceOnce(fence, run, slot, job.lane === "dead")) return;
      run = await readHeld(db, fence);
    }
    throw new ExecutionLost(fence);
  }

  /** True when this execution is over; false when there is news and the run is to be told again. */
  async function advanceOnce(fence: Fence, run: RunRecord, slot: Slot, dead: boolean): Promise<boolean> {
    let outcome: Outcome | null = run.outcome;
    if (!outcome) {
      const told = dead
        ? givenUp(run)
        : run.cancelReason
          ? cancelled(run.cancelReason)
          : await tellPipeline(fence, run, slot);
      if ("state" in told) return fallAsleep(fence, run, told, slot);
      outcome = (await settleOutcome(db, fence, told)) ?? null;
      if (!outcome) throw new ExecutionLost(fence);
    }
    const settled = outcome;
    const reported = await held(fence, run, slot, (execution) => execution.report(settled));
    if (reported !== "done") return fallAsleep(fence, run, reported, slot);
    const granted = await endRun(db, fence, turnLimits);
    if (!granted) throw new ExecutionLost(fence);
    onEvent({ kind: "run", runKey: run.runKey, workKey: run.workKey, pipeline: run.pipeline, state: "ended", outcome });
    await wake(granted);
    return true;
  }

  async function tellPipeline(fence: Fence, run: RunRecord, slot: Slot): Promise<Outcome | Asleep> {
    const pipeline = pipelines[run.pipeline];
    if (!pipeline) return failed(run, new Error(`There is no pipeline called ${run.pipeline}`));
    return held(fence, run, slot, async (execution) => {
      try {
        const told = await execution.tell(pipeline);
        if (execution.stopReason) throw execution.stopReason;
        return told.kind === "outcome" ? told.outcome : told;
      } catch (error) {
        const reason = execution.stopReason;
        if (reason instanceof Cancelled) return cancelled(reason.message);
        if (reason) throw reason;
        return failed(run, error);
      }
    });
  }

  /** While it is held here, its hold is renewed and cancels reach it. */
  async function held<T>(
    fence: Fence,
    run: RunRecord,
    slot: Slot,
    work: (execution: Execution) => Promise<T>,
  ): Promise<T> {
    const execution = new Execution(context, fence, run, slot);
    executions.set(fence.executionId, execution);
    // What came between reading the run and registering here would be seen by nobody.
    if (draining) execution.stop(new Draining());
    try {
      return await work(execution);
    } finally {
      executions.delete(fence.executionId);
    }
  }

  function failed(run: RunRecord, error: unknown): Outcome {
    log.error({ runKey: run.runKey, pipeline: run.pipeline, err: error }, "a pipeline failed");
    return failedOutcome(run.runKey, recordError(error));
  }

  function givenUp(run: RunRecord): Outcome {
    log.error({ runKey: run.runKey }, "a run was given up after its job had failed too often");
    return { kind: "failed", reason: `The run could not be executed and was given up (run ${run.runKey}).` };
  }

  /** False when there is news, and the execution goes on. */
  async function fallAsleep(fence: Fence, run: RunRecord, asleep: Asleep, slot: Slot): Promise<boolean> {
    const wantsTurn = asleep.state === "waiting-turn" && slot.lane === "work";
    const { wakes, runKey, priority } = run;
    const { slept, stage, granted } = await sleepRun(db, fence, { ...asleep, wakes, wantsTurn }, turnLimits);
    if (!slept) return false;
    if (asleep.wakeInSeconds !== undefined) {
      await jobs.send([{ runKey, lane: run.outcome ? "front" : stage, priority, afterSeconds: asleep.wakeInSeconds }]);
    }
    await wake(granted);
    if (asleep.state === "waiting-decision") tell(run, asleep.state);
    if (asleep.state === "waiting-turn" && !granted.some((other) => other.runKey === runKey)) {
      tell(run, asleep.state, await placeOf(db, runKey));
    }
    return true;
  }

  /** For the next process: the run is free and has a job. */
  async function putBack(fence: Fence): Promise<void> {
    let run = await readHeld(db, fence);
    while (run) {
      const { wakes, priority, runKey, outcome } = run;
      const sleep = { state: "running" as const, wakes, wantsTurn: false, wakeInSeconds: 0 };
      const { slept, stage } = await sleepRun(db, fence, sleep, turnLimits);
      if (slept) return jobs.send([{ runKey, lane: outcome ? "front" : stage, priority }]);
      run = await readHeld(db, fence);
    }
  }

  async function wake(granted: readonly Granted[]): Promise<void> {
    const ours = granted.filter(({ engine }) => engine === "local");
    await jobs.send(ours.map(({ runKey, priority }) => ({ runKey, priority, lane: "work" })));
  }

  function tell(run: RunRecord, state: "running" | "waiting-turn" | "waiting-decision", place?: number): void {
    onEvent({ kind: "run", runKey: run.runKey, workKey: run.workKey, pipeline: run.pipeline, state, place });
  }

  async function renew(): Promise<void> {
    const ids = [...executions.keys()];
    if (ids.length === 0) return;
    const renewed = await renewExecutions(db, ids, leaseSeconds);
    for (const id of ids) if (!renewed.has(id)) stopLost(id);
  }

  function stopLost(executionId: string): void {
    const execution = executions.get(executionId);
    execution?.stop(new ExecutionLost(execution.fence));
  }

  async function seeCancels(): Promise<void> {
    const runKeys = [...executions.values()].map((execution) => execution.fence.runKey);
    if (runKeys.length === 0) return;
    stopCancelled(await cancelReasons(db, runKeys));
  }

  function stopCancelled(reasons: ReadonlyMap<string, string>): void {
    for (const execution of executions.values()) {
      const reason = reasons.get(execution.fence.runKey);
      if (reason !== undefined) execution.stop(new Cancelled(reason));
    }
  }

  const control = createControl(store, async (woken) => {
    stopCancelled(new Map(woken.flatMap(({ runKey, reason }) => (reason === undefined ? [] : [[runKey, reason]]))));
    // A cancel in the front lane: ending needs no turn, and must not wait for a slot of long work.
    const toJob = ({ runKey, priority, stage, reason }: Woken): AdvanceJob =>
      reason === undefined ? { runKey, priority, lane: stage } : { runKey, priority: priority + 50, lane: "front" };
    await jobs.send(woken.filter(({ engine }) => engine === "local").map(toJob));
  });

  /** Sends again what was lost: jobs of runs that nobody advances, and wake-ups of runs that may take their turn. */
  async function sweep(): Promise<void> {
    const queued = await jobs.queuedRunKeys({ retries: true });
    const lost: AdvanceJob[] = (await idleRuns(db, "local")).map(({ runKey, priority, stage, ending }) => ({
      runKey,
      priority,
      lane: ending ? "front" : stage,
    }));
    const granted = await grantableEverywhere(db, turnLimits);
    await jobs.send(lost.filter(({ runKey }) => !queued.has(runKey)));
    await wake(granted.filter(({ runKey }) => !queued.has(runKey)));
  }

  return {
    ...control,

    open: async () => {
      await jobs.open();
      if (options.spoolPath !== undefined) intake.open(await openSpool(options.spoolPath));
    },

    work: async () => {
      if (database.kind === "pglite") {
        // The only process: what seems to be executed belongs to one that ended.
        await releaseAllExecutions(db);
        await jobs.clear();
      }
      await sweep();
      upkeep.every(leaseSeconds / 4, renew);
      upkeep.every(sweepSeconds, sweep);
      upkeep.every(cancelPollSeconds, seeCancels);
      await jobs.work();
    },

    start: (intent) => intake.add(intent),

    drain: async (seconds) => {
      draining = true;
      jobs.stopFetching();
      for (const execution of executions.values()) execution.stop(new Draining());
      await jobs.finished(seconds);
      upkeep.stop();
      await jobs.close();
    },

    close: () => intake.close(),

    // Its queue is in the database, which has a probe of its own.
    health: () => Promise.resolve({ ok: true, detail: "local: runs are executed by the servers themselves" }),

    idle: async () => {
      for (;;) {
        if (
          jobs.activeCount === 0 &&
          (await jobs.queuedRunKeys({ retries: false })).size === 0 &&
          jobs.activeCount === 0
        )
          return;
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
    },
  };
}

function cancelled(reason: string): Outcome {
  return { kind: "cancelled", reason };
}
