import type { Intent } from "../pipeline/intent.ts";
import type { Outcome } from "../pipeline/outcome.ts";
import type { Decision } from "../pipeline/run.ts";

export interface RunStatus {
  runKey: string;
  workKey: string;
  pipeline: string;
  /** `waiting-turn`: another run of the same work or too many of the repository are active. `waiting-decision`: a person is asked. */
  state: "queued" | "running" | "waiting-turn" | "waiting-decision" | "ended";
  /** 1 is next; only while `waiting-turn`. */
  place?: number;
  outcome?: Outcome;
}

/** What became of an intent that is durably queued. */
export interface Started {
  runKey: string;
  /** Whether its run was there already; known later than the acknowledgement where the queue is asked afterwards. */
  repeated: Promise<boolean | "unknown">;
}

/** What a process needs of its engine besides the port: begin, stop in order. */
export interface RunningEngine extends Engine {
  /** After it, runs can be started, signalled and cancelled. Throws when it cannot be used and waiting does not help. */
  open(): Promise<void>;
  /** Begins to execute runs here, and takes up what an earlier process left. */
  work(): Promise<void>;
  /** Within about `seconds`: running steps are aborted without losing an attempt, for the next process. */
  drain(seconds: number): Promise<void>;
  /** Takes no more intents. After `drain`, before the store is closed. */
  close(): Promise<void>;
  /** Resolves when nothing is left that could be executed now. */
  idle(): Promise<void>;
  /** Which engine it is and whether it can be used, in plain words. */
  health(): Promise<{ ok: boolean; detail: string }>;
}

/** Decides where, when and how often steps are called. The same pipelines run on every engine. */
export interface Engine {
  /** Resolves after the intent is durably queued. The same intent again starts nothing, for ever. */
  start(intent: Intent): Promise<Started>;
  /** To the work's active run; stored in order, also when it comes before it is waited for. False when no run of this work is active. */
  signal(workKey: string, name: "decision", payload: Decision): Promise<boolean>;
  /** Cancels the work's active and waiting runs; false when there are none. */
  cancel(workKey: string, reason: string): Promise<boolean>;
  /** Every active and waiting run of a repository. */
  cancelRepository(repositoryId: number, reason: string): Promise<void>;
  status(runKey: string): Promise<RunStatus | undefined>;
}
