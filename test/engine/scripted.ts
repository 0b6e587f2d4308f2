import type { Engine, RunStatus } from "../../src/engine/engine.ts";
import type { StepCall } from "../../src/engine/execute-step.ts";
import type { Intent, PipelineName } from "../../src/pipeline/intent.ts";
import type { Outcome } from "../../src/pipeline/outcome.ts";
import type { Decision, Pipeline } from "../../src/pipeline/run.ts";

/** `Run` with any step names: the engines know names and JSON, not the product's steps. */
export interface ScriptedRun {
  step<T = unknown>(name: string, input?: unknown): Promise<T>;
  parallel<T>(branches: Record<string, (run: ScriptedRun) => Promise<T>>): Promise<Record<string, T>>;
  waitFor(signal: "decision", timeoutMinutes: number): Promise<Decision | "timed-out">;
}

export function pipeline(tell: (run: ScriptedRun) => Promise<Outcome | undefined>): Pipeline {
  return (async (run: ScriptedRun) => (await tell(run)) ?? ready) as unknown as Pipeline;
}

export const ready: Outcome = { kind: "ready", reason: "done" };

let issues = 0;

/** An intent on an issue of its own, unless said otherwise. */
export function intentOf(
  over: { issue?: number; id?: string; pipeline?: PipelineName; repositoryId?: number; text?: Intent["text"] } = {},
): Intent {
  issues += 1;
  return {
    work: {
      installationId: 11,
      repositoryId: over.repositoryId ?? 22,
      owner: "Octo-Org",
      repo: "mill",
      subject: { kind: "issue", number: over.issue ?? 1_000 + issues },
    },
    id: over.id ?? `comment:${issues}`,
    pipeline: over.pipeline ?? "issue-to-pr",
    actor: { id: 7, login: "maintainer", type: "User" },
    at: "2026-11-21T12:00:00Z",
    trigger: { kind: "comment", commentId: issues, nodeId: `IC_${issues}` },
    deliveryId: `delivery-${issues}`,
    text: over.text,
  };
}

/** What the steps did to the world, in order: `before` and `after` of every attempt, and the calls themselves. */
export class World {
  readonly calls: StepCall[] = [];
  readonly effects: string[] = [];
  /** Called right before and right after the effect of a step; may throw, wait, or kill the process. */
  around: (moment: "before" | "after", call: StepCall) => unknown = () => undefined;
  /** What a step returns; by default its name. */
  answer: (call: StepCall) => unknown = (call) => ({ from: call.name });

  readonly executeStep = async (call: StepCall): Promise<unknown> => {
    this.calls.push(call);
    await this.around("before", call);
    this.effects.push(call.path);
    await this.around("after", call);
    return this.answer(call);
  };

  /** How often the effect of a step took place. */
  count(path: string): number {
    return this.effects.filter((effect) => effect === path).length;
  }

  /** The outcome that was handed to `report-outcome`. */
  get reported(): Outcome[] {
    return this.calls
      .filter((call) => call.name === "report-outcome")
      .map((call) => (call.input as { outcome: Outcome }).outcome);
  }
}

/** Waits for a condition, and says what it waited for when it never comes true. */
export async function until(
  what: string,
  condition: () => boolean | Promise<boolean>,
  timeoutSeconds = 30,
): Promise<void> {
  const end = Date.now() + timeoutSeconds * 1000;
  while (!(await condition())) {
    if (Date.now() > end) throw new Error(`Waited ${timeoutSeconds} s in vain until ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

export async function untilState(engine: Engine, runKey: string, state: RunStatus["state"]): Promise<RunStatus> {
  let status: RunStatus | undefined;
  await until(`run ${runKey} is ${state}`, async () => {
    status = await engine.status(runKey);
    return status?.state === state;
  });
  return status as RunStatus;
}
