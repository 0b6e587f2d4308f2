import { z } from "zod";
import { putCheckRun } from "../../../github/check-run.ts";
import { putComment } from "../../../github/comments.ts";
import { checkOn, pullsOfCommit, readsChecks } from "../../../github/failed-checks.ts";
import { rerunFailed, rerunsChecks } from "../../../github/rerun.ts";
import { countsAsFailed, countsAsPassed } from "../../../policy/check-conclusion.ts";
import { replyMarker } from "../../../policy/markers.ts";
import type { CheckOnCommit } from "../../../store/store.ts";
import type { Deps } from "../../deps.ts";
import { type CommandWord, checkRunNames } from "../../intent.ts";
import type { Outcome } from "../../outcome.ts";
import type { StepContext } from "../../step.ts";
import { FailedCheckRef, type PullFacts } from "../shapes.ts";
import { currentConfiguration } from "./configuration.ts";
import { place } from "./repository.ts";

/** Notes of a run of `fix-check` that its buttons are answered from. */
export const failedChecksNote = "failed-checks";
export const explanationNote = "explanation";

/** What tells one check from another. */
type NamedCheck = Pick<FailedCheckRef, "kind" | "appSlug" | "name">;

type CheckCommand = Extract<CommandWord, "reject-fix" | "rerun" | "explain" | "check-failed" | "check-passed">;

const mostPulls = 5;

/** What `answer-command` does about checks: states that name no pull request, and the buttons of a check run of ours. */
export function carryOutCheckCommand(deps: Deps, ctx: StepContext, command: CheckCommand): Promise<Outcome> {
  switch (command) {
    case "check-failed":
      return lookIntoPulls(deps, ctx);
    case "check-passed":
      return rememberPassed(deps, ctx);
    case "reject-fix":
      return reject(deps, ctx);
    case "rerun":
      return rerun(deps, ctx);
    case "explain":
      return explain(deps, ctx);
  }
}

const answered = (reason: string): Outcome => ({ kind: "answered", reason });

/** A status, or a check on a fork's commit, names no pull request: those whose head it is are looked into. */
async function lookIntoPulls(deps: Deps, ctx: StepContext): Promise<Outcome> {
  const { work, headSha, id } = ctx.intent;
  if (headSha === undefined) return answered("It names no commit.");
  const current = await currentConfiguration(ctx);
  if (current.kind === "ended" || !current.config.fix.enabled) return answered("Fixes are switched off here.");
  const octokit = await ctx.github({ contents: "read", pull_requests: "read", metadata: "read" });
  const pulls = (await pullsOfCommit(octokit, work, headSha)).slice(0, mostPulls);
  const { textBlob: _, command: __, args: ___, ...intent } = ctx.intent;
  for (const { number } of pulls) {
    const subject = { kind: "pull-request" as const, number };
    await deps.engine.start({ ...intent, id, work: { ...work, subject }, pipeline: "fix-check" });
  }
  return answered(pulls.length === 0 ? "No open pull request has this head." : "Its pull requests are looked into.");
}

/** A check that failed on this commit before passes now: evidence that it is flaky (F5). */
async function rememberPassed(deps: Deps, ctx: StepContext): Promise<Outcome> {
  const { work, headSha: sha } = ctx.intent;
  const names = sha === undefined ? [] : await deps.store.checks.failedOn(work.repositoryId, sha);
  if (sha === undefined || names.length === 0) return answered("It did not fail before, as far as is known.");
  const octokit = await ctx.github(readsChecks);
  for (const checkName of names.slice(0, 10)) {
    const history = await checkOn(octokit, work, sha, checkOf(checkName));
    await deps.store.checks.recordResults(resultsOf({ repositoryId: work.repositoryId, sha, checkName }, history));
  }
  return answered("Remembered.");
}

/** A check on the pull request's head, as the ledger has it. */
export function onHead(ctx: StepContext, { headSha }: Pick<PullFacts, "headSha">, check: NamedCheck): CheckOnCommit {
  return { repositoryId: ctx.intent.work.repositoryId, checkName: ledgerName(check), sha: headSha };
}

/** The name of a check in the ledger: two Apps may have a check of one name. */
export function ledgerName({ kind, appSlug, name }: NamedCheck): string {
  return `${kind}:${appSlug}:${name}`.replaceAll("\0", "");
}

/** Names one answer of a check: another App's check run that is asked for again keeps its id. */
export function resultIdOf(answer: { kind: FailedCheckRef["kind"]; id: number; completedAt?: string }): string {
  return answer.kind === "check" ? `${answer.id}:${answer.completedAt ?? ""}` : String(answer.id);
}

function checkOf(checkName: string): NamedCheck {
  const [kind = "", appSlug = "", ...name] = checkName.split(":");
  return { kind: FailedCheckRef.shape.kind.parse(kind), appSlug, name: name.join(":") };
}

/** The answers of a check on one commit, as the ledger keeps them. */
export function resultsOf(
  check: { repositoryId: number; checkName: string; sha: string },
  history: Awaited<ReturnType<typeof checkOn>>,
) {
  return history.attempts
    .filter(({ conclusion }) => countsAsPassed(conclusion) || countsAsFailed(conclusion))
    .map(({ id, conclusion, completedAt }) => ({
      ...check,
      resultId: resultIdOf({ kind: checkOf(check.checkName).kind, id, completedAt }),
      passed: countsAsPassed(conclusion),
      at: new Date(completedAt ?? Date.now()),
    }));
}

async function reject(deps: Deps, ctx: StepContext): Promise<Outcome> {
  const offer = await deps.store.offers.get(ctx.intent.args ?? "");
  if (offer === undefined || offer.repositoryId !== ctx.intent.work.repositoryId)
    return answered("There is no such offer.");
  const { login } = ctx.intent.actor;
  await deps.store.offers.decide(offer.runKey, "rejected", login);
  const decided = (await deps.store.offers.get(offer.runKey))?.state;
  if (decided !== "rejected") return answered("It was decided on before.");
  await conclude(deps, ctx, offer.headSha, `${login} rejected the fix.`);
  return answered("Rejected.");
}

async function conclude(deps: Deps, ctx: StepContext, sha: string, summary: string): Promise<void> {
  const octokit = await ctx.github({ checks: "write" });
  const { owner, repo } = ctx.intent.work;
  const name = checkRunNames["fix-check"] ?? "";
  await ctx.effect("end-check-run", () =>
    putCheckRun(
      octokit,
      deps.operator.app.id,
      { owner, repo, sha, name },
      {
        conclusion: "neutral",
        title: "Decided",
        summary,
        externalId: ctx.intent.args,
      },
    ),
  );
}

/** A person presses it, so that it is not counted against the limit of reruns. */
async function rerun(deps: Deps, ctx: StepContext): Promise<Outcome> {
  const noted = await noteOf(deps, ctx, failedChecksNote);
  if (noted === undefined) return answered("It is not known any more which check failed.");
  const octokit = await ctx.github(rerunsChecks);
  const refused: string[] = [];
  const checks = z.array(FailedCheckRef).parse(JSON.parse(noted));
  const runs = new Set<number>();
  for (const check of checks) {
    // GitHub takes one rerun of a workflow run: that brings all its failed jobs.
    if (check.workflowRunId !== undefined && runs.has(check.workflowRunId)) continue;
    if (check.workflowRunId !== undefined) runs.add(check.workflowRunId);
    const answer = await ctx.effect("rerun-check", () =>
      rerunFailed(octokit, ctx.intent.work, check, { wholeRun: true }),
    );
    if (answer.kind === "impossible") refused.push(answer.why);
  }
  if (refused.length === 0) return answered("They run again.");
  await comment(deps, ctx, `Not all of it could be started again. ${[...new Set(refused)].join(" ")}`);
  return answered("Not all could be started again.");
}

async function explain(deps: Deps, ctx: StepContext): Promise<Outcome> {
  const blob = await noteOf(deps, ctx, explanationNote);
  const text = blob === undefined ? undefined : await deps.store.blobs.text(blob);
  await comment(deps, ctx, text ?? "The analysis is not kept any more; `/fix` makes a new one.");
  return answered("Explained.");
}

/** A note of the run that the check run names; only of a run in this repository, because the name comes from a payload. */
async function noteOf(deps: Deps, ctx: StepContext, note: string): Promise<string | undefined> {
  const run = await deps.store.runs.get(ctx.intent.args ?? "");
  if (run?.work.repositoryId !== ctx.intent.work.repositoryId) return undefined;
  return deps.store.notes.get(run.runKey, note);
}

async function comment(deps: Deps, ctx: StepContext, text: string): Promise<void> {
  const octokit = await ctx.github({ issues: "write", pull_requests: "write" });
  await ctx.effect("answer", () =>
    putComment(octokit, deps.operator.app.id, place(ctx.intent), replyMarker(ctx.runKey, "answer"), text),
  );
}
