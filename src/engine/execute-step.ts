import type { FiledIntent } from "../pipeline/intent.ts";
import type { Outcome } from "../pipeline/outcome.ts";
import type { RunStatus } from "./engine.ts";

/** One attempt at a step, as an engine asks the shared runner for it. */
export interface StepCall {
  intent: FiledIntent;
  runKey: string;
  workKey: string;
  path: string;
  name: string;
  input: unknown;
  /** 1 on the first try, counted across crashes. */
  attempt: number;
  deadline: Date;
  /** Aborts when the run is cancelled (`Cancelled`), its lease is lost (`LeaseLost`), its time is up or the process drains. */
  signal: AbortSignal;
  /** Whether this worker may still write, at this moment: asked right before every effect. */
  heldLease(): Promise<boolean>;
}

/**
 * Does a step: schemas, effects, redaction, telemetry, status. Every engine is handed this one function.
 * What it throws decides what follows: a `UserFacingError` that is not transient, or an error with `permanent: true`,
 * fails at once; one with `retryAfterSeconds` is tried again after that pause without using up an attempt; any other is
 * tried again as `limits.ts` says. What fails for good is told to people in the words of its `forPeople: { reason, advice }`,
 * where it has such.
 */
export type ExecuteStep = (call: StepCall) => Promise<unknown>;

interface RunEvent {
  runKey: string;
  pipeline: string;
}

interface StepEvent extends RunEvent {
  path: string;
  name: string;
  attempt: number;
}

/** What an engine tells about its runs; the status comment and the metrics listen. */
export type EngineEvent =
  | ({ kind: "run"; workKey: string; state: RunStatus["state"]; place?: number; outcome?: Outcome } & RunEvent)
  | ({ kind: "step-started" } & StepEvent)
  | ({
      kind: "step-finished";
      status: "done" | "failed" | "retrying";
      durationMs: number;
      error?: unknown;
    } & StepEvent);
