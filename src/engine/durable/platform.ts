import type { Outcome, OutcomeKind } from "../../pipeline/outcome.ts";
import type { Decision } from "../../pipeline/run.ts";
import type { RecordedError } from "../recorded-error.ts";

/** Until when a run sleeps, unless it is woken: `wakes` is what it had seen when it fell asleep. */
export interface Asleep {
  kind: "asleep";
  seconds: number;
  wakes: number;
}

/** The run ends as cancelled, whatever its pipeline does. */
interface Stopped {
  kind: "stopped";
  reason: string;
}

/** The run has ended, or another execution has it: this one ends without a further effect. */
interface Lost {
  kind: "lost";
}

/** Said in the steps that a platform remembers, and therefore JSON: what each act is given and what it answers. */
export interface Acts {
  /** Asks which pipeline the run is of, where the platform was not told. */
  begin: { given: Record<string, never>; answer: { kind: "begun"; pipeline: string } | Lost };
  step: {
    given: { path: string; name: string; input: unknown };
    answer:
      | { kind: "done"; output?: unknown }
      | { kind: "failed"; error: RecordedError }
      | { kind: "again"; pauseSeconds: number }
      | Asleep
      | Stopped
      | Lost;
  };
  wait: {
    given: { path: string; name: string; timeoutMinutes: number };
    answer: { kind: "decided"; decision: Decision | "timed-out" } | Asleep | Stopped | Lost;
  };
  /** Settles how the run ends, once and for all, does `report-outcome`, the one step that every run ends with, and ends it. */
  finish: {
    given: { told: Told };
    answer: { kind: "ended"; ending: OutcomeKind } | { kind: "again"; pauseSeconds: number } | Lost;
  };
}

export type ActName = keyof Acts;

/** What came of telling the pipeline. */
export type Told =
  | { kind: "returned"; outcome: Outcome }
  | { kind: "threw"; error: RecordedError }
  | { kind: "stopped"; reason: string };

/**
 * A platform that remembers what was done and tells the story again after each interruption: AWS durable functions,
 * Temporal. What goes in and out of it is JSON.
 */
export interface Platform {
  /** Of the run, where the platform was told when it was started. */
  readonly pipeline?: string | undefined;
  /** Does an act once as far as anyone can tell; trouble of the platform's own is repeated by the platform. `label` is for people who look at it. */
  act<N extends ActName>(name: N, given: Acts[N]["given"], label: string): Promise<Acts[N]["answer"]>;
  /** Costs no worker while it lasts. */
  pause(seconds: number): Promise<void>;
  /** Until the run is woken, or the time is over; a wake-up that came since `wakes` was counted must not be missed. */
  sleep(asleep: Asleep): Promise<void>;
  /** Branches side by side, each with a platform of its own; their answers in the order in which they were given. */
  branches<T>(names: readonly string[], tell: (platform: Platform, index: number) => Promise<T>): Promise<T[]>;
}
