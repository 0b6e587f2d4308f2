import type { Usage } from "../agent/model.ts";
import type { OperatorConfig } from "../config/operator.ts";
import type { Outcome } from "../pipeline/outcome.ts";
import type { PullRequestRow, RunRow, Spent, StepRow, Store } from "../store/store.ts";

/** What people see of a run: everything that the status comment is drawn from. */
export interface StatusView {
  run: RunRow;
  steps: StepRow[];
  usage: Usage;
  left: Left;
  pullRequest: PullRequestRow | undefined;
  /** 1 is next; only while it waits for its turn. */
  place: number | undefined;
  outcome: Outcome | undefined;
  /** Where people find the run, if the operator says so. */
  runUrl: string | undefined;
}

/** What is left of the limits (P6); never below zero. */
export interface Left {
  runUsd: number;
  runTokens: number;
  runMinutes: number;
  runAttempts: number;
  repositoryDayUsd: number;
  accountDayUsd: number;
  dayUsd: number;
  repositoryDayRuns: number;
}

export async function statusView(
  store: Store,
  operator: Pick<OperatorConfig, "limits"> & { runUrl?: string | undefined },
  runKey: string,
  place?: number,
): Promise<StatusView | undefined> {
  const run = await store.runs.get(runKey);
  if (run === undefined) return undefined;
  const [steps, spent, pullRequest] = await Promise.all([
    store.runs.steps(runKey),
    store.usage.spent(runKey),
    store.pullRequests.ofWork(run.workKey),
  ]);
  return {
    run,
    steps,
    usage: spent.run,
    left: leftOf(spent, operator.limits, steps),
    pullRequest,
    place,
    outcome: run.outcome,
    runUrl: operator.runUrl?.replaceAll("{run}", runKey),
  };
}

/** What `read-repository` recorded of the repository's own limits, which can only lower the operator's. */
interface Pinned {
  maxAttempts?: number;
  limits?: { costUsd?: number; dayCostUsd?: number; tokens?: number; minutes?: number };
}

/** What is left for this run and today, by the operator's limits and by the repository's where they are lower. */
export function leftOf(spent: Spent, limits: OperatorConfig["limits"], steps: StepRow[]): Left {
  const pinned = (steps.find((step) => step.name === "read-repository" && step.status === "done")?.output ??
    {}) as Pinned;
  const own = pinned.limits ?? {};
  const left = (limit: number, used: number, lower = Infinity) => Math.max(0, Math.min(limit, lower) - used);
  const { run } = spent;
  const tokens = run.inputTokens + run.outputTokens + run.cacheReadTokens + run.cacheWriteTokens;
  const attempts = steps.filter((step) => step.name === "run-checks" && step.status === "done").length;
  return {
    runUsd: left(limits.run.usd, run.costUsd, own.costUsd),
    runTokens: left(limits.run.tokens, tokens, own.tokens),
    runMinutes: left(limits.run.minutes, workedSeconds(steps, new Date()) / 60, own.minutes),
    runAttempts: left(limits.run.attempts, attempts, pinned.maxAttempts),
    repositoryDayUsd: left(limits.repositoryDay.usd, spent.repositoryDay.costUsd, own.dayCostUsd),
    accountDayUsd: left(limits.accountDay.usd, spent.accountDay.costUsd),
    dayUsd: left(limits.day.usd, spent.day.costUsd),
    repositoryDayRuns: left(limits.repositoryDay.runs, spent.repositoryDay.runs),
  };
}

/** Seconds that a run's steps have taken; waiting for people or for its turn is not counted. */
export function workedSeconds(steps: StepRow[], now: Date): number {
  const until = ({ endedAt }: StepRow) => (endedAt === undefined ? now.getTime() : Date.parse(endedAt));
  return steps.reduce((sum, step) => sum + Math.max(0, until(step) - Date.parse(step.startedAt)) / 1000, 0);
}
