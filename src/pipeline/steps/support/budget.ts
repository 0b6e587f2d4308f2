import type { Budget, CallRecord, RecordCall } from "../../../agent/model.ts";
import type { RepositoryConfig } from "../../../config/repository.ts";
import { dollars } from "../../../status/render.ts";
import { workedSeconds } from "../../../status/view.ts";
import type { Deps } from "../../deps.ts";
import type { StepContext } from "../../step.ts";

/** What this run may still spend on the model, or why it may not: the first limit that is used up, in one sentence (P6). */
export async function remainingBudget(
  deps: Deps,
  ctx: StepContext,
  config: Pick<RepositoryConfig, "limits"> | undefined,
  sliceMinutes: number,
): Promise<{ kind: "left"; budget: Budget } | { kind: "used-up"; reason: string }> {
  const limits = deps.operator.limits;
  const [spent, run, steps] = await Promise.all([
    deps.store.usage.spent(ctx.runKey),
    deps.store.runs.get(ctx.runKey),
    deps.store.runs.steps(ctx.runKey),
  ]);
  const runUsd = Math.min(limits.run.usd, config?.limits.costUsd ?? Infinity);
  const repositoryDayUsd = Math.min(limits.repositoryDay.usd, config?.limits.dayCostUsd ?? Infinity);
  const tokens = Math.min(limits.run.tokens, config?.limits.tokens ?? Infinity);
  const minutes = Math.min(limits.run.minutes, config?.limits.minutes ?? Infinity);
  const usedTokens =
    spent.run.inputTokens + spent.run.outputTokens + spent.run.cacheReadTokens + spent.run.cacheWriteTokens;
  const usedMinutes = workedSeconds(steps, new Date()) / 60;
  const costs: [name: string, leftUsd: number, limitUsd: number][] = [
    ["this run", runUsd - spent.run.costUsd, runUsd],
    ["this repository today", repositoryDayUsd - spent.repositoryDay.costUsd, repositoryDayUsd],
    ["this account today", limits.accountDay.usd - spent.accountDay.costUsd, limits.accountDay.usd],
    ["all accounts today", limits.day.usd - spent.day.costUsd, limits.day.usd],
  ];
  for (const [name, leftUsd, limitUsd] of costs) {
    if (leftUsd <= 0) return { kind: "used-up", reason: `The budget of ${dollars(limitUsd)} for ${name} is used up.` };
  }
  if (tokens <= usedTokens)
    return { kind: "used-up", reason: `The limit of ${tokens} tokens for this run is used up.` };
  if (minutes <= usedMinutes)
    return { kind: "used-up", reason: `The limit of ${minutes} minutes for this run is used up.` };
  if (limits.run.turns <= spent.run.calls)
    return {
      kind: "used-up",
      reason: `The limit of ${limits.run.turns} requests to the model for this run is used up.`,
    };
  if (run === undefined) throw new Error(`There is no run ${ctx.runKey}`);
  const sliceEnd = Date.now() + Math.min(sliceMinutes, minutes - usedMinutes) * 60_000;
  return {
    kind: "left",
    budget: {
      turns: limits.run.turns - spent.run.calls,
      inputTokens: tokens - usedTokens,
      outputTokens: tokens - usedTokens,
      costUsd: Math.min(...costs.map(([, leftUsd]) => leftUsd)),
      deadline: new Date(Math.min(sliceEnd, ctx.deadline.getTime() - 30_000)),
    },
  };
}

/** Records every call's tokens and dollars before its answer is used. */
export function recorder(deps: Deps, ctx: StepContext): RecordCall {
  return async (call: CallRecord) => {
    await deps.store.usage.record(ctx.runKey, call);
    ctx.progress({ message: `asked ${call.model} (${call.prompt})` });
  };
}
