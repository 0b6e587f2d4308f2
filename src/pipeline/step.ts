import type { Logger } from "pino";
import type { ProbotOctokit } from "probot";
import type { ZodType } from "zod";
import type { Deps } from "./deps.ts";
import type { FiledIntent } from "./intent.ts";

/** A step is one file: it does one thing to the world and can be done twice without harm. */
export interface Step<I, O> {
  name: string;
  input: ZodType<I>;
  output: ZodType<O>;
  run(input: I, deps: Deps, ctx: StepContext): Promise<O>;
}

/** Keeps the literal input and output types of a step while checking its shape. */
export function defineStep<I, O>(step: Step<I, O>): Step<I, O> {
  return step;
}

/** GitHub's permission names; a token is minted for these alone. */
export type Permissions = Partial<
  Record<"contents" | "issues" | "pull_requests" | "metadata" | "checks" | "statuses" | "actions", "read" | "write">
>;

/** What a step may tell while it runs; the status comment, the lease and the engine's heartbeat are fed from it. */
export interface Progress {
  message: string;
}

export interface StepContext {
  intent: FiledIntent;
  runKey: string;
  /** Resolved by `authorise-trigger`; before it, the key of the subject as delivered. */
  workKey: string;
  /** 1 on the first try of this step, counted across crashes. */
  attempt: number;
  deadline: Date;
  /** Aborts when the run is cancelled, its lease is lost, its time is up or the process drains. */
  signal: AbortSignal;
  log: Logger;
  /** A client with a token minted for this step, this repository and these permissions. It writes only inside `effect`. */
  github(permissions: Permissions): Promise<ProbotOctokit>;
  /** A token for git over HTTP, minted likewise; never in argv, remotes, configuration or a history. */
  gitToken(access: "read" | "write"): Promise<string>;
  /**
   * The only way to write to GitHub or to push: checks cancel and lease right before, redacts, audits, and can be
   * killed before or after by tests. Throws `Cancelled` or `LeaseLost` instead of calling `write`.
   */
  effect<T>(name: string, write: () => Promise<T>): Promise<T>;
  progress(event: Progress): void;
}

/** Its message is what people read on GitHub; anything else that is thrown is posted as one neutral line. */
export class UserFacingError extends Error {
  override name = "UserFacingError";
  /** Whether doing the step again can help; those that cannot fail at once. */
  readonly transient: boolean;
  /** Markdown: what to do next. */
  readonly advice: string | undefined;
  constructor(message: string, options: { transient?: boolean; advice?: string; cause?: unknown } = {}) {
    super(message, { cause: options.cause });
    this.transient = options.transient ?? false;
    this.advice = options.advice;
  }
}

/** The run was cancelled: no effect but those of `report-outcome` may follow. */
export class Cancelled extends Error {
  override name = "Cancelled";
}

/** Another worker holds this run now: nothing more may be written by this one. */
export class LeaseLost extends Error {
  override name = "LeaseLost";
}
