import type { FiledIntent } from "../pipeline/intent.ts";
import { longestTroubleMinutes, pauseSecondsInTrouble, type StepLimits } from "../pipeline/limits.ts";
import { UserFacingError } from "../pipeline/step.ts";
import type { Db } from "../store/database.ts";
import { beginStep, endStep, type Fence } from "../store/journal.ts";
import type { EngineEvent, ExecuteStep } from "./execute-step.ts";
import type { RecordedStep } from "./history.ts";
import { type RecordedError, recordError, replayError } from "./recorded-error.ts";
import { travelling } from "./travelling.ts";

/** What every engine needs to try a step. */
export interface AttemptContext {
  db: Db;
  executeStep: ExecuteStep;
  /** Must not throw; it is called between steps and not waited for. */
  onEvent(event: EngineEvent): void;
  /** Minutes, attempts and pauses of each step: the table of `pipeline/limits.ts`, but in tests. */
  limitsOf(name: string): StepLimits;
  backoffSecondsBefore(name: string, attempt: number): number;
}

export interface StepAttempt {
  fence: Fence;
  intent: FiledIntent;
  pipeline: string;
  workKey: string;
  path: string;
  name: string;
  input: unknown;
  inputHash: string;
  /** What is recorded of the attempts before. */
  last: RecordedStep | undefined;
  signal: AbortSignal;
  /** Whether the attempt with this number may still write, at this moment. */
  heldLease(attempt: number): Promise<boolean>;
  /** Throws when the attempt was stopped from outside, which is no failure of the step. */
  rethrowStop(error: unknown, attempt: number): Promise<void>;
  /** A database that does not answer is no failure of the step either. */
  journal<T>(write: Promise<T>): Promise<T>;
}

export type Attempted =
  | { kind: "done"; output: unknown; workKey: string }
  | { kind: "failed"; error: RecordedError }
  | { kind: "again"; pauseSeconds: number; last: RecordedStep };

/** How long a step that was told to stop is waited for. Whatever it does later has no effect: it has lost the run. */
export const abortGraceSeconds = 3;
/** Steps that need neither the work's turn nor a lease (architecture.md rule 11). */
const withoutTurn = new Set(["authorise-trigger", "report-outcome"]);

/** Whether a step needs the work's turn and the repository's lease (architecture.md rules 11 and 12). */
export function needsTurn(pipeline: string, stepName: string): boolean {
  return pipeline !== "answer-command" && !withoutTurn.has(stepName);
}

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

/** Tries a step once, and records how that began and ended. What a step throws decides what follows: see `ExecuteStep`. */
export async function attemptStep(context: AttemptContext, call: StepAttempt): Promise<Attempted> {
  const { db, onEvent } = context;
  const { fence, path, name, inputHash, last, pipeline } = call;
  if (last && last.attempt >= context.limitsOf(name).attempts) return failUsedUp(context, call, last);
  const attempt = await call.journal(beginStep(db, fence, { path, name, inputHash }));
  const startedAt = Date.now();
  const event = { runKey: fence.runKey, pipeline, path, name, attempt };
  onEvent({ kind: "step-started", ...event });
  const tried = await tryStep(context, call, attempt);
  const durationMs = Date.now() - startedAt;
  if ("output" in tried) {
    const { output } = tried;
    // The step may have found that the work is another one's: a pull request keeps its issue's key.
    const workKey = await call.journal(endStep(db, fence, path, { status: "done", output }, attempt));
    onEvent({ kind: "step-finished", ...event, status: "done", durationMs });
    return { kind: "done", output, workKey };
  }
  const next = afterFailure(context, name, attempt, tried.error, last?.transientSince ?? null);
  const error = recordError(tried.error);
  if (next.kind === "fail" && next.tried !== undefined && error.userFacing)
    error.advice = [next.tried, error.advice].filter((text) => text !== undefined).join("\n\n");
  const status = next.kind === "fail" ? ("failed" as const) : ("retrying" as const);
  onEvent({ kind: "step-finished", ...event, status, durationMs, error: tried.error });
  if (next.kind === "fail") {
    await call.journal(endStep(db, fence, path, { status: "failed", error }, attempt));
    return { kind: "failed", error };
  }
  const { pauseSeconds, counted } = next;
  await call.journal(endStep(db, fence, path, { status: "running", error, pauseSeconds, counted }, attempt));
  return {
    kind: "again",
    pauseSeconds,
    last: {
      path,
      name,
      attempt: counted ? attempt : attempt - 1,
      status: "running",
      inputHash,
      output: null,
      error,
      retryAt: null,
      transientSince: counted ? null : (last?.transientSince ?? new Date()),
    },
  };
}

async function failUsedUp(context: AttemptContext, call: StepAttempt, last: RecordedStep): Promise<Attempted> {
  const { fence, path, name, pipeline } = call;
  const error = last.error ?? {
    name: "Interrupted",
    message: `${name} was interrupted ${last.attempt} times and is not tried again`,
    userFacing: false,
    transient: false,
  };
  await call.journal(endStep(context.db, fence, path, { status: "failed", error }));
  const event = { runKey: fence.runKey, pipeline, path, name, attempt: last.attempt };
  context.onEvent({
    kind: "step-finished",
    ...event,
    status: "failed",
    durationMs: 0,
    error: replayError(error),
  });
  return { kind: "failed", error };
}

async function tryStep(
  context: AttemptContext,
  call: StepAttempt,
  attempt: number,
): Promise<{ output: unknown } | { error: unknown }> {
  const { name, path, input, intent, workKey, fence } = call;
  const { minutes } = context.limitsOf(name);
  const deadline = new Date(Date.now() + minutes * 60_000);
  const timedOut = new AbortController();
  const timer = setTimeout(
    () => timedOut.abort(new StepTimedOut(`${name} took longer than its limit of ${minutes} minutes`)),
    minutes * 60_000,
  );
  const signal = AbortSignal.any([call.signal, timedOut.signal]);
  try {
    const output = await untilAborted(
      context.executeStep({
        intent,
        runKey: fence.runKey,
        workKey,
        path,
        name,
        input,
        attempt,
        deadline,
        signal,
        heldLease: () => call.heldLease(attempt),
      }),
      signal,
    );
    return { output: travelling(output, `output of ${name}`) };
  } catch (error) {
    await call.rethrowStop(error, attempt);
    return { error: timedOut.signal.aborted ? timedOut.signal.reason : error };
  } finally {
    clearTimeout(timer);
  }
}

function afterFailure(
  context: AttemptContext,
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
    const troubleSeconds = transientSince ? (Date.now() - transientSince.getTime()) / 1000 : 0;
    if (troubleSeconds > longestTroubleMinutes * 60)
      return { kind: "fail", tried: `It was tried again, with pauses, for ${longestTroubleMinutes} minutes.` };
    return { kind: "again", pauseSeconds: pauseSecondsInTrouble(retryAfterSeconds, troubleSeconds), counted: false };
  }
  if (attempt >= context.limitsOf(name).attempts) return { kind: "fail" };
  return { kind: "again", pauseSeconds: context.backoffSecondsBefore(name, attempt + 1), counted: true };
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
