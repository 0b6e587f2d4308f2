import { z } from "zod";
import { checkOn, readsChecks } from "../../github/failed-checks.ts";
import { rerunFailed, rerunsChecks } from "../../github/rerun.ts";
import type { Deps } from "../deps.ts";
import type { Outcome } from "../outcome.ts";
import { defineStep, type StepContext } from "../step.ts";
import { Base, Ended, ended, FailedCheckRef, PullFacts } from "./shapes.ts";
import { onHead, resultsOf } from "./support/check-commands.ts";
import { buttonsFor } from "./support/check-voice.ts";
import { checkNames } from "./support/fix-text.ts";
import { configOf } from "./support/repository.ts";

/** So many checks are compared: each costs up to four requests. */
const maxCompared = 3;
/** A check that failed and passed on at least so many commits, and on this share of all, is taken to be flaky on a new one. */
const flaky = { commits: 2, share: 0.3 };

/**
 * Not the pull request's fault, or flaky (F5): the same check on the merge base, and this one's other attempts on this
 * commit, are looked at first. A flaky one runs again, as often as the configuration allows; that is asked for once, however
 * often this step is done.
 */
export const lookForOrigin = defineStep({
  name: "look-for-origin",
  input: z.object({ base: Base, pull: PullFacts, checks: z.array(FailedCheckRef) }),
  output: z.discriminatedUnion("kind", [
    z.object({
      kind: z.literal("ours"),
      checks: z.array(FailedCheckRef),
      /** Why a person is to be asked although it may be flaky. */
      flaky: z.string().optional(),
    }),
    Ended,
  ]),
  async run({ base, pull, checks }, deps, ctx) {
    const octokit = await ctx.github(readsChecks);
    const onBase: FailedCheckRef[] = [];
    const unsteady: { check: FailedCheckRef; evidence: string }[] = [];
    for (const check of checks.slice(0, maxCompared)) {
      const on = onHead(ctx, pull, check);
      const here = await checkOn(octokit, ctx.intent.work, pull.headSha, check);
      await deps.store.checks.recordResults(resultsOf(on, here));
      const before = await checkOn(octokit, ctx.intent.work, base.baseSha, check);
      await deps.store.checks.recordResults(resultsOf({ ...on, sha: base.baseSha }, before));
      if (before.state === "failed") {
        onBase.push(check);
        continue;
      }
      const { flakyCommits, share } = await deps.store.checks.flakiness(on);
      const said = checkNames([check]);
      if (here.flaky) unsteady.push({ check, evidence: `${said} failed and passed on ${pull.headSha.slice(0, 12)}.` });
      else if (flakyCommits >= flaky.commits && share >= flaky.share)
        unsteady.push({ check, evidence: `${said} failed and passed on ${flakyCommits} earlier commits.` });
    }
    const ours = checks.filter((check) => !onBase.includes(check));
    if (ours.length === 0) return ended(notOurs(onBase, base, pull));
    if (unsteady.length < ours.length) return { kind: "ours" as const, checks: ours };
    return (
      (await runAgain(deps, ctx, base, pull, unsteady)) ?? {
        kind: "ours" as const,
        checks: ours,
        flaky: unsteady.map(({ evidence }) => evidence).join(" "),
      }
    );
  },
});

function notOurs(checks: FailedCheckRef[], base: Base, pull: PullFacts): Outcome {
  return {
    kind: "no-change-needed",
    reason: `${checkNames(checks)} ${checks.length === 1 ? "fails" : "fail"} on the base commit too, so this pull request did not break ${checks.length === 1 ? "it" : "them"}.`,
    detail: `Looked at on \`${base.baseSha.slice(0, 12)}\`, the commit of \`${base.baseRef.replaceAll("`", "'")}\` that this pull request began at.`,
    check: { conclusion: "neutral", title: "Not this pull request's fault", buttons: buttonsFor(pull, ["rerun"]) },
  };
}

/** Undefined when it must not or cannot run again: then a person is asked. */
async function runAgain(
  deps: Deps,
  ctx: StepContext,
  base: Base,
  pull: PullFacts,
  unsteady: { check: FailedCheckRef; evidence: string }[],
): Promise<Ended | undefined> {
  // For a fork nothing is run again (security.md M4).
  if (pull.fork) return undefined;
  const { rerunsPerCommit } = (await configOf(deps, base)).fix;
  const octokit = await ctx.github(rerunsChecks);
  const runs = new Set<number>();
  for (const { check } of unsteady) {
    const on = onHead(ctx, pull, check);
    if ((await deps.store.checks.attempts(on, "rerun", ctx.runKey)).count >= rerunsPerCommit) return undefined;
  }
  for (const { check } of unsteady) {
    const on = onHead(ctx, pull, check);
    if (check.workflowRunId === undefined || !runs.has(check.workflowRunId)) {
      if (check.workflowRunId !== undefined) runs.add(check.workflowRunId);
      const answer = await ctx.effect("rerun-check", () =>
        rerunFailed(octokit, ctx.intent.work, check, { wholeRun: unsteady.length > 1 }),
      );
      if (answer.kind === "impossible") return undefined;
    }
    await deps.store.checks.addAttempt({ ...on, runKey: ctx.runKey, kind: "rerun" });
  }
  return ended({
    kind: "no-change-needed",
    reason: `${checkNames(unsteady.map(({ check }) => check))} looks flaky and was started again.`,
    detail: unsteady.map(({ evidence }) => `- ${evidence}`).join("\n"),
    check: { conclusion: "neutral", title: "Flaky: started again", buttons: buttonsFor(pull, ["rerun"]) },
  });
}
