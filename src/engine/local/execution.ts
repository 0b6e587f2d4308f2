import type { Logger } from "pino";
import type { Outcome } from "../../pipeline/outcome.ts";
import type { Decision, Pipeline } from "../../pipeline/run.ts";
import { Cancelled, LeaseLost } from "../../pipeline/step.ts";
import { holdsNow, type RunRecord } from "../../store/executions.ts";
import {
  beginWait,
  dropSteps,
  ExecutionLost,
  endStep,
  type Fence,
  readSteps,
  takeSignal,
} from "../../store/journal.ts";
import { type TurnLimits, takeTurn } from "../../store/turns.ts";
import { type AttemptContext, abortGraceSeconds, attemptStep, Draining, needsTurn } from "../attempt.ts";
import { History, inputHashOf, type Lookup, type RecordedStep } from "../history.ts";
import { replayError } from "../recorded-error.ts";
import { createRun, type Performer } from "../replay.ts";

/** A pause up to this long is waited for in the slot; a longer one frees it. */
const longestPauseInSlotSeconds = 2;
/** An execution that lives longer gives its slot to others and goes on with its next job. */
const maxExecutionMinutes = 60;

/** The place in which an execution is done. */
export interface Slot {
  lane: "front" | "work";
  /** Moves it from the lane of short steps to that of long work, when that has a free slot. */
  promote(): boolean;
}

export interface ExecutionContext extends AttemptContext {
  log: Logger;
  turnLimits: TurnLimits;
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
    const telling = (async () => pipeline(createRun(history, this.#performer())))();
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
    const { lookup, name, input, inputHash } = call;
    const { path } = lookup;
    await this.#prepare(lookup, name);
    let last = lookup.begun;
    for (;;) {
      const attempted = await attemptStep(this.#context, {
        fence: this.fence,
        intent: this.#run.intent,
        pipeline: this.#run.pipeline,
        workKey: this.#workKey,
        path,
        name,
        input,
        inputHash,
        last,
        signal: this.#abort.signal,
        heldLease: () => holdsNow(db, this.fence, this.#needsTurn(name)),
        rethrowStop: (error) => this.#rethrowStop(error, path),
        journal: (write) => this.#journal(write),
      });
      switch (attempted.kind) {
        case "done":
          this.#workKey = attempted.workKey;
          return attempted.output;
        case "failed":
          throw replayError(attempted.error);
        case "again":
          last = attempted.last;
          await this.#pause(attempted.pauseSeconds);
      }
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
    return needsTurn(this.#run.pipeline, name);
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
