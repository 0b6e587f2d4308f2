import type { Usage } from "../agent/model.ts";
import type { OperatorConfig } from "../config/operator.ts";
import type { Outcome } from "../pipeline/outcome.ts";
import type { PullRequestRow, RunRow, Spent, StepRow, Store } from "../store/store.ts";

/** What people see of a run: everything that the status comment is drawn from. */
export interface StatusView {
  run: RunRow;
  steps: StepRow[];
  usage: Usage;
  left: { runUsd: number; repositoryDayUsd: number; accountDayUsd: number; dayUsd: number; repositoryDayRuns: number };
  pullRequest: PullRequestRow | undefined;
  /** 1 is next; only while it waits for its turn. */
  place: number | undefined;
  outcome: Outcome | undefined;
}

export async function statusView(
  store: Store,
  operator: Pick<OperatorConfig, "limits">,
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
    left: leftOf(spent, operator.limits),
    pullRequest,
    place,
    outcome: run.outcome,
  };
}

/** Dollars and runs that are left today and for this run; never below zero. */
export function leftOf(spent: Spent, limits: OperatorConfig["limits"]): StatusView["left"] {
  const left = (limit: number, used: number) => Math.max(0, limit - used);
  return {
    runUsd: left(limits.run.usd, spent.run.costUsd),
    repositoryDayUsd: left(limits.repositoryDay.usd, spent.repositoryDay.costUsd),
    accountDayUsd: left(limits.accountDay.usd, spent.accountDay.costUsd),
    dayUsd: left(limits.day.usd, spent.day.costUsd),
    repositoryDayRuns: left(limits.repositoryDay.runs, spent.repositoryDay.runs),
  };
}
