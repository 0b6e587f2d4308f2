import type { Decision, Pipeline, Run } from "../../pipeline/run.ts";
import { Cancelled, UserFacingError } from "../../pipeline/step.ts";
import { type RecordedError, recordError, replayError } from "../recorded-error.ts";
import { travelling } from "../travelling.ts";
import type { Platform, Told } from "./platform.ts";

/** This execution does not have the run: it ends without a further effect. */
class RunLost extends Error {
  override name = "RunLost";
}

/** What a branch answers: JSON, so that a platform can remember it. */
type BranchAnswer =
  | { kind: "done"; output?: unknown }
  | { kind: "failed"; error: RecordedError }
  | { kind: "stopped"; reason: string }
  | { kind: "lost" };

/**
 * Tells a run from its beginning to its end. Deterministic: no clock, no I/O, nothing but the platform's answers, so that
 * it can be told again by any platform that replays, also inside a Temporal workflow.
 */
export async function tellRun(platform: Platform, pipelines: Readonly<Record<string, Pipeline>>): Promise<void> {
  await untilLost(async () => {
    const name = platform.pipeline ?? notLost(await platform.act("begin", {}, "begin")).pipeline;
    const told = await tellPipeline(platform, pipelines[name], name);
    await end(platform, told);
  });
}

/** Ends a run whose story cannot be told: reported like any other that failed. */
export async function giveUpRun(platform: Platform, reason: string): Promise<void> {
  const error = { name: "GivenUp", message: reason, userFacing: false, transient: false };
  await untilLost(() => end(platform, { kind: "threw", error }));
}

async function end(platform: Platform, told: Told): Promise<void> {
  for (;;) {
    const finished = notLost(await platform.act("finish", { told }, "report-outcome"));
    if (finished.kind === "ended") return;
    await platform.pause(finished.pauseSeconds);
  }
}

async function untilLost(tell: () => Promise<void>): Promise<void> {
  try {
    await tell();
  } catch (error) {
    if (!(error instanceof RunLost)) throw error;
  }
}

async function tellPipeline(platform: Platform, pipeline: Pipeline | undefined, name: string): Promise<Told> {
  const telling = new Telling(platform, "");
  try {
    if (pipeline === undefined) throw new UserFacingError(`This version of Millwright has no pipeline called ${name}.`);
    const outcome = await pipeline(telling.run());
    return telling.stopped ?? { kind: "returned", outcome };
  } catch (error) {
    if (error instanceof RunLost) throw error;
    return telling.stopped ?? { kind: "threw", error: recordError(error) };
  }
}

/**
 * One branch of a story. Each learns by its own acts that the run is to stop: what another branch has learnt meanwhile
 * depends on timing, and would not be the same when the story is told again.
 */
class Telling {
  stopped: { kind: "stopped"; reason: string } | undefined;
  readonly #platform: Platform;
  /** "" or ends in a slash. */
  readonly #branch: string;
  readonly #counts = new Map<string, number>();

  constructor(platform: Platform, branch: string) {
    this.#platform = platform;
    this.#branch = branch;
  }

  run(): Run {
    const run = {
      step: (name: string, input: unknown) => this.#step(name, input),
      waitFor: (signal: "decision", timeoutMinutes: number) => this.#wait(`wait:${signal}`, timeoutMinutes),
      parallel: (branches: Record<string, (run: Run) => Promise<unknown>>) => this.#parallel(branches),
    };
    return run as unknown as Run;
  }

  async #step(name: string, input: unknown): Promise<unknown> {
    this.#check();
    const path = this.#next(name);
    const given = { path, name, input: travelling(input, `input of ${name}`) };
    for (;;) {
      const answer = notLost(await this.#platform.act("step", given, path));
      switch (answer.kind) {
        case "done":
          return answer.output ?? undefined;
        case "failed":
          throw replayError(answer.error);
        case "stopped":
          this.stopped = answer;
          throw new Cancelled(answer.reason);
        case "again":
          await this.#platform.pause(answer.pauseSeconds);
          break;
        case "asleep":
          await this.#platform.sleep(answer);
      }
    }
  }

  async #wait(name: string, timeoutMinutes: number): Promise<Decision | "timed-out"> {
    this.#check();
    const path = this.#next(name);
    for (;;) {
      const answer = notLost(await this.#platform.act("wait", { path, name, timeoutMinutes }, path));
      switch (answer.kind) {
        case "decided":
          return answer.decision;
        case "stopped":
          this.stopped = answer;
          throw new Cancelled(answer.reason);
        case "asleep":
          await this.#platform.sleep(answer);
      }
    }
  }

  async #parallel(branches: Record<string, (run: Run) => Promise<unknown>>): Promise<Record<string, unknown>> {
    this.#check();
    const names = Object.keys(branches);
    const odd = names.find((name) => !/^[\w-]+$/.test(name));
    if (odd !== undefined)
      throw new Error(`A branch's name is made of letters, digits, "-" and "_": ${JSON.stringify(odd)}`);
    const answers = await this.#platform.branches(names, async (own, index): Promise<BranchAnswer> => {
      const name = names[index] as string;
      const telling = new Telling(own, `${this.#branch}${name}/`);
      try {
        const output = await branches[name]?.(telling.run());
        return telling.stopped ?? { kind: "done", output: travelling(output, `output of the branch ${name}`) };
      } catch (error) {
        if (error instanceof RunLost) return { kind: "lost" };
        return telling.stopped ?? { kind: "failed", error: recordError(error) };
      }
    });
    const stopped = answers.map(notLost).find((answer) => answer.kind === "stopped");
    if (stopped) this.stopped = stopped;
    this.#check();
    // The first in the order in which they were written: which one failed first would depend on timing.
    return Object.fromEntries(
      answers.map((answer, index) => {
        if (answer.kind === "failed") throw replayError(answer.error);
        return [names[index], answer.kind === "done" ? (answer.output ?? undefined) : undefined];
      }),
    );
  }

  /** Branch path / name # count of that name in the branch. */
  #next(name: string): string {
    const count = (this.#counts.get(name) ?? 0) + 1;
    this.#counts.set(name, count);
    return `${this.#branch}${name}#${count}`;
  }

  #check(): void {
    if (this.stopped) throw new Cancelled(this.stopped.reason);
  }
}

function notLost<A extends { kind: string }>(answer: A): Exclude<A, { kind: "lost" }> {
  if (answer.kind === "lost") throw new RunLost("Another execution has this run, or it has ended");
  return answer as Exclude<A, { kind: "lost" }>;
}
