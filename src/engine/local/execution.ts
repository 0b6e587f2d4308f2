import type { Logger } from "pino";
import type { StepLimits } from "../../pipeline/limits.ts";
import type { Outcome } from "../../pipeline/outcome.ts";
import type { Decision, Pipeline } from "../../pipeline/run.ts";
import { Cancelled, LeaseLost, UserFacingError } from "../../pipeline/step.ts";
import type { Db } from "../../store/database.ts";
import { holdsNow, type RunRecord } from "../../store/executions.ts";
import {
  beginStep,
  beginWait,
  dropSteps,
  ExecutionLost,
  endStep,
  type Fence,
  readSteps,
  takeSignal,
} from "../../store/journal.ts";
import { type TurnLimits, takeTurn } from "../../store/turns.ts";
import type { EngineEvent, ExecuteStep } from "../execute-step.ts";
import {
  History,
  inputHashOf,
  type Lookup,
  type RecordedError,
  type RecordedStep,
  recordError,
  replayError,
  travelling,
} from "../history.ts";
import { createRun, type Performer } from "../replay.ts";

/** Steps that need neither the work's turn nor a lease (architecture.md rule 11). */
const withoutTurn = new Set(["authorise-trigger", "report-outcome"]);
/** A pause up to this long is waited for in the slot; a longer one frees it. */
const longestPauseInSlotSeconds = 2;
/** Transient faults do not use up attempts, but together they last at most this long. */
const longestTroubleMinutes = 30;
/** How long a step that was told to stop is waited for. Whatever it does later has no effect: it has lost the run. */
const abortGraceSeconds = 3;
/** An execution that lives longer gives its slot to others and goes on with its next job. */
const maxExecutionMinutes = 60;

/** The process is asked to end: the step is done again by the next one, and this attempt is not counted. */
export class Draining extends Error {
  override name = "Draining";
  constructor() {
    super("The process is shutting down; the step will be done again by the next one");
  }
}

/** The run stopped because its step took longer than its limit. */
class StepTimedOut extends Error {
  override name = "StepTimedOut";
}

/** The place in which an execution is done. */
export interface Slot {
  lane: "front" | "work";
  /** Moves it from the lane of short steps to that of long work, when that has a free slot. */
  promote(): boolean;
}

export interface ExecutionContext {
  db: Db;
  log: Logger;
  executeStep: ExecuteStep;
  onEvent(event: EngineEvent): void;
  turnLimits: TurnLimits;
  /** Minutes, attempts and pauses of each step. */
  limitsOf(name: string): StepLimits;
  backoffSecondsBefore(name: string, attempt: number): number;
  /** Whether a recorded output still fits its step's schema. */
  fits(name: string, output: unknown): boolean;
}

/** Why a telling stopped before the pipeline returned. */
export interface Asleep {
  state: "running" | "waiting-turn" | "waiting-decision";
  wakeInSeconds?: number;
}

type Told = { kind: "outcome"; outcome: Outcome } | ({ kind: "asleep" } & Asleep);

/**
 * One worker's hold on one run: tells its pipeline once, replaying what is recorded and doing the rest, until it ends,
 * goes to sleep or is stopped.
 */
export class Execution {
  readonly fence: Fence;
  readonly #context: ExecutionContext;
  readonly #run: RunRecord;
  readonly #slot: Slot;
  readonly #startedAt = Date.now();
  readonly #abort = new AbortController();
  readonly #sleeping: Asleep[] = [];
  readonly #stopped = Promise.withResolvers<never>();
  readonly #asleep = Promise.withResolvers<Asleep>();
  #inFlight = 0;
  #workKey: string;
  #turn: Promise<boolean> | undefined;
  #stopReason: Error | undefined;
  #reporting = false;

  constructor(context: ExecutionContext, fence: Fence, run: RunRecord, slot: Slot) {
    this.#context = context;
    this.fence = fence;
    this.#run = run;
    this.#slot = slot;
    this.#workKey = run.workKey;
    this.#stopped.promise.catch(() => undefined);
  }

  /** Why it was stopped; what the telling returned or threw means nothing then. */
  get stopReason(): Error | undefined {
    return this.#stopReason;
  }

  /**
   * Stops what is being done: `Cancelled` (the run ends), `ExecutionLost` (another worker goes on) or `Draining`.
   * The last writes of a run that is being reported are not stopped by a cancel.
   */
  stop(reason: Error): void {
    if (this.#stopReason || (this.#reporting && reason instanceof Cancelled)) return;
    this.#stopReason = reason;
    this.#abort.abort(reason instanceof ExecutionLost ? new LeaseLost(reason.message) : reason);
    if (this.#inFlight === 0) this.#stopped.reject(reason);
    // A little longer than a step that ignores its signal is waited for, so that its attempt can still be given back.
    else setTimeout(() => this.#stopped.reject(reason), (abortGraceSeconds + 2) * 1000).unref();
  }

  /** Tells the pipeline. Throws what `stop` was given. */
  async tell(pipeline: Pipeline): Promise<Told> {
    const recorded = (await readSteps(this.#context.db, this.fence.runKey)) as RecordedStep[];
    const history = new History(recorded, this.#context.fits);
    const telling = (async () => pipeline(createRun(history, this.#performer()), this.#run.intent))();
    telling.catch(() => undefined);
    return Promise.race([
      telling.then((outcome) => ({ kind: "outcome" as const, outcome })),
      this.#asleep.promise.then((asleep) => ({ kind: "asleep" as const, ...asleep })),
      this.#stopped.promise,
    ]);
  }

  /**
   * Does `report-outcome`, the one step that every run ends with. Resolves also when it failed for good: then the run
   * ends all the same. Asleep while it backs off.
   */
  async report(outcome: Outcome): Promise<"done" | Asleep> {
    this.#reporting = true;
    const name = "report-outcome";
    const path = `${name}#1`;
    // Before the outcome was settled, there was nothing to report.
    const resumed = this.#run.outcome !== null;
    const recorded = resumed ? ((await readSteps(this.#context.db, this.fence.runKey)) as RecordedStep[]) : [];
    const begun = recorded.find((step) => step.path === path);
    if (begun && begun.status !== "running") return "done";
    const input = { outcome };
    const lookup: Lookup = { kind: "open", path, begun, dropped: [] };
    const reporting = this.#counted(() => this.#doStep({ lookup, name, input, inputHash: inputHashOf(input) })).then(
      () => "done" as const,
      (error: unknown) => {
        if (this.#stopReason) throw this.#stopReason;
        this.#context.log.error(
          { runKey: this.fence.runKey, error: String(error) },
          "the outcome could not be reported",
        );
        return "done" as const;
      },
    );
    reporting.catch(() => undefined);
    return Promise.race([reporting, this.#asleep.promise, this.#stopped.promise]);
  }

  #performer(): Performer {
    return {
      check: () => {
        if (this.#stopReason) throw this.#stopReason;
      },
      step: async (call) => {
        if (call.lookup.kind === "done") return call.lookup.output;
        if (call.lookup.kind === "failed") throw replayError(call.lookup.error);
        const { lookup } = call;
        return this.#counted(() => this.#doStep({ ...call, lookup }));
      },
      waitFor: async (call) => {
        if (call.lookup.kind === "done") return call.lookup.output as Decision | "timed-out";
        if (call.lookup.kind === "failed") throw replayError(call.lookup.error);
        const { lookup } = call;
        return this.#counted(() => this.#wait({ ...call, lookup }));
      },
    };
  }

  async #doStep(call: {
    lookup: Extract<Lookup, { kind: "open" }>;
    name: string;
    input: unknown;
    inputHash: string;
  }): Promise<unknown> {
    const { db } = this.#context;
    const { lookup, name, inputHash } = call;
    const { path } = lookup;
    await this.#prepare(lookup, name);
    const limits = this.#context.limitsOf(name);
    let last = lookup.begun;
    for (;;) {
      if (last && last.attempt >= limits.attempts) return this.#fail(path, name, last.attempt, usedUp(last, name));
      const attempt = await this.#journal(beginStep(db, this.fence, { path, name, inputHash }));
      const startedAt = Date.now();
      const event = { runKey: this.fence.runKey, pipeline: this.#run.pipeline, path, name, attempt };
      this.#context.onEvent({ kind: "step-started", ...event });
      const tried = await this.#try(call, path, attempt);
      const durationMs = Date.now() - startedAt;
      if ("output" in tried) {
        // The step may have found that the work is another one's: a pull request keeps its issue's key.
        this.#workKey = await this.#journal(endStep(db, this.fence, path, { status: "done", output: tried.output }));
        this.#context.onEvent({ kind: "step-finished", ...event, status: "done", durationMs });
        return tried.output;
      }
      const next = this.#decide(name, attempt, tried.error, last?.transientSince ?? null);
      const error = recordError(tried.error);
      if (next.kind === "fail" && next.tried !== undefined && error.userFacing)
        error.advice = [next.tried, error.advice].filter((text) => text !== undefined).join("\n\n");
      const status = next.kind === "fail" ? ("failed" as const) : ("retrying" as const);
      this.#context.onEvent({ kind: "step-finished", ...event, status, durationMs, error: tried.error });
      if (next.kind === "fail") {
        await this.#journal(endStep(db, this.fence, path, { status: "failed", error }));
        throw replayError(error);
      }
      const { pauseSeconds, counted } = next;
      await this.#journal(endStep(db, this.fence, path, { status: "running", error, pauseSeconds, counted }));
      last = {
        path,
        name,
        attempt: counted ? attempt : attempt - 1,
        status: "running",
        inputHash,
        output: null,
        error,
        retryAt: null,
        transientSince: counted ? null : (last?.transientSince ?? new Date()),
      };
      await this.#pause(pauseSeconds);
    }
  }

  /** Forgets what the story no longer takes, waits out a pause that was begun, and takes the turn. */
  async #prepare(lookup: Extract<Lookup, { kind: "open" }>, name: string): Promise<void> {
    if (lookup.dropped.length > 0) {
      this.#context.log.info(
        { runKey: this.fence.runKey, dropped: lookup.dropped },
        "the story changed: steps are redone",
      );
      await this.#journal(dropSteps(this.#context.db, this.fence, lookup.dropped));
    }
    if (lookup.begun?.retryAt) await this.#pause((lookup.begun.retryAt.getTime() - Date.now()) / 1000);
    if (!this.#reporting && Date.now() - this.#startedAt > maxExecutionMinutes * 60_000) {
      await this.#sleep({ state: "running", wakeInSeconds: 0 });
    }
    if (this.#needsTurn(name) && !(await this.#takeTurn())) await this.#sleep({ state: "waiting-turn" });
  }

  #needsTurn(name: string): boolean {
    return this.#run.pipeline !== "answer-command" && !withoutTurn.has(name);
  }

  /** Once for an execution, also when branches ask at the same time; only in the lane that has slots for long work. */
  #takeTurn(): Promise<boolean> {
    if (this.#slot.lane === "front" && !this.#slot.promote()) return Promise.resolve(false);
    this.#turn ??= this.#journal(takeTurn(this.#context.db, this.fence, this.#context.turnLimits)).then((taken) => {
      if (taken) this.#context.onEvent({ kind: "run", ...this.#identity(), state: "running" });
      return taken;
    });
    return this.#turn;
  }

  async #try(
    { name, input }: { name: string; input: unknown },
    path: string,
    attempt: number,
  ): Promise<{ output: unknown } | { error: unknown }> {
    const { minutes } = this.#context.limitsOf(name);
    const deadline = new Date(Date.now() + minutes * 60_000);
    const timedOut = new AbortController();
    const timer = setTimeout(
      () => timedOut.abort(new StepTimedOut(`${name} took longer than its limit of ${minutes} minutes`)),
      minutes * 60_000,
    );
    const signal = AbortSignal.any([this.#abort.signal, timedOut.signal]);
    try {
      const output = await untilAborted(
        this.#context.executeStep({
          intent: this.#run.intent,
          runKey: this.fence.runKey,
          workKey: this.#workKey,
          path,
          name,
          input,
          attempt,
          deadline,
          signal,
          heldLease: () => holdsNow(this.#context.db, this.fence, this.#needsTurn(name)),
        }),
        signal,
      );
      return { output: travelling(output, `output of ${name}`) };
    } catch (error) {
      await this.#rethrowStop(error, path);
      return { error: timedOut.signal.aborted ? timedOut.signal.reason : error };
    } finally {
      clearTimeout(timer);
    }
  }

  /** An attempt that was stopped from outside is no failure of the step. */
  async #rethrowStop(error: unknown, path: string): Promise<void> {
    // The step noticed first, right before an effect, what the next look at the database would have told us.
    if (error instanceof Cancelled) this.stop(error);
    if (error instanceof LeaseLost || error instanceof ExecutionLost) this.stop(new ExecutionLost(this.fence));
    if (!this.#stopReason) return;
    if (this.#stopReason instanceof Draining) {
      await this.#journal(
        endStep(this.#context.db, this.fence, path, { status: "running", pauseSeconds: 0, counted: false }),
      );
    }
    throw this.#stopReason;
  }

  #decide(
    name: string,
    attempt: number,
    error: unknown,
    transientSince: Date | null,
  ): { kind: "fail"; tried?: string } | { kind: "again"; pauseSeconds: number; counted: boolean } {
    if (error instanceof RangeError) return { kind: "fail" };
    if (error instanceof UserFacingError && !error.transient) return { kind: "fail" };
    const { retryAfterSeconds, permanent } = error as { retryAfterSeconds?: unknown; permanent?: unknown };
    if (permanent === true) return { kind: "fail" };
    if (typeof retryAfterSeconds === "number") {
      const troubleMs = transientSince ? Date.now() - transientSince.getTime() : 0;
      if (troubleMs > longestTroubleMinutes * 60_000)
        return { kind: "fail", tried: `It was tried again, with pauses, for ${longestTroubleMinutes} minutes.` };
      return { kind: "again", pauseSeconds: Math.min(600, Math.max(0.1, retryAfterSeconds)), counted: false };
    }
    if (attempt >= this.#context.limitsOf(name).attempts) return { kind: "fail" };
    return { kind: "again", pauseSeconds: this.#context.backoffSecondsBefore(name, attempt + 1), counted: true };
  }

  async #fail(path: string, name: string, attempt: number, error: RecordedError): Promise<never> {
    await this.#journal(endStep(this.#context.db, this.fence, path, { status: "failed", error }));
    const { runKey } = this.fence;
    const event = {
      runKey,
      pipeline: this.#run.pipeline,
      path,
      name,
      attempt,
      status: "failed" as const,
      durationMs: 0,
    };
    this.#context.onEvent({ kind: "step-finished", ...event, error: replayError(error) });
    throw replayError(error);
  }

  async #wait(call: {
    lookup: Extract<Lookup, { kind: "open" }>;
    name: string;
    inputHash: string;
    timeoutMinutes: number;
  }): Promise<Decision | "timed-out"> {
    const { db } = this.#context;
    const { lookup, name, inputHash, timeoutMinutes } = call;
    const { path } = lookup;
    if (lookup.dropped.length > 0) await this.#journal(dropSteps(db, this.fence, lookup.dropped));
    const deadline = await this.#journal(beginWait(db, this.fence, { path, name, inputHash, timeoutMinutes }));
    const decision = await this.#journal(takeSignal(db, this.fence, name.slice(name.indexOf(":") + 1), path));
    if (decision) return decision;
    const leftSeconds = (deadline.getTime() - Date.now()) / 1000;
    if (leftSeconds > 0) return this.#sleep({ state: "waiting-decision", wakeInSeconds: leftSeconds });
    await this.#journal(endStep(db, this.fence, path, { status: "done", output: "timed-out" }));
    return "timed-out";
  }

  async #pause(seconds: number): Promise<void> {
    if (seconds > longestPauseInSlotSeconds) await this.#sleep({ state: "running", wakeInSeconds: seconds });
    if (seconds <= 0) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, seconds * 1000);
      this.#abort.signal.addEventListener("abort", () => resolve(), { once: true });
      if (this.#abort.signal.aborted) resolve();
      this.#abort.signal.addEventListener("abort", () => clearTimeout(timer), { once: true });
    });
    if (this.#stopReason) throw this.#stopReason;
  }

  /** Stays pending for ever: the telling ends here, and the run is told again when it wakes. */
  #sleep(asleep: Asleep): Promise<never> {
    this.#sleeping.push(asleep);
    this.#leave();
    return new Promise(() => undefined);
  }

  async #counted<T>(work: () => Promise<T>): Promise<T> {
    this.#inFlight += 1;
    const result = await work().then(
      (value) => () => value,
      (error: unknown) => () => {
        throw error;
      },
    );
    this.#leave();
    return result();
  }

  /** One call less is being done. When none is left once the pipeline had its say, the run goes to sleep or stops. */
  #leave(): void {
    this.#inFlight -= 1;
    setImmediate(() => {
      if (this.#inFlight > 0) return;
      if (this.#stopReason) this.#stopped.reject(this.#stopReason);
      if (this.#sleeping.length > 0) this.#asleep.resolve(together(this.#sleeping));
    });
  }

  /** A database that does not answer is no failure of the story: the execution stops, and its job is tried again. */
  async #journal<T>(write: Promise<T>): Promise<T> {
    try {
      return await write;
    } catch (error) {
      this.stop(error as Error);
      throw error;
    }
  }

  #identity() {
    return { runKey: this.fence.runKey, workKey: this.#workKey, pipeline: this.#run.pipeline };
  }
}

/** What several sleeping branches amount to: the most visible state, and the earliest alarm. */
function together(sleeping: readonly Asleep[]): Asleep {
  const states = sleeping.map((asleep) => asleep.state);
  const alarms = sleeping.flatMap((asleep) => (asleep.wakeInSeconds === undefined ? [] : [asleep.wakeInSeconds]));
  const state =
    (["waiting-turn", "waiting-decision"] as const).find((candidate) => states.includes(candidate)) ?? "running";
  return alarms.length > 0 ? { state, wakeInSeconds: Math.min(...alarms) } : { state };
}

function usedUp(begun: RecordedStep, name: string): RecordedError {
  return (
    begun.error ?? {
      name: "Interrupted",
      message: `${name} was interrupted ${begun.attempt} times and is not tried again`,
      userFacing: false,
      transient: false,
    }
  );
}

/** The promise, but no longer than the grace after an abort: what ignores the signal is left behind. */
async function untilAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  const given = Promise.withResolvers<never>();
  given.promise.catch(() => undefined);
  let timer: NodeJS.Timeout | undefined;
  const abandon = () => {
    timer = setTimeout(() => given.reject(signal.reason), abortGraceSeconds * 1000);
  };
  if (signal.aborted) abandon();
  else signal.addEventListener("abort", abandon, { once: true });
  try {
    return await Promise.race([work, given.promise]);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", abandon);
  }
}
