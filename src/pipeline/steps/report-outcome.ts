import { z } from "zod";
import { statusOf } from "../../github/client.ts";
import { putComment } from "../../github/comments.ts";
import { changeLabels } from "../../github/labels.ts";
import { statusMarker } from "../../policy/markers.ts";
import { renderStatus } from "../../status/render.ts";
import { statusView } from "../../status/view.ts";
import type { Deps } from "../deps.ts";
import { branchOf, checkRunNames } from "../intent.ts";
import { endings, Outcome } from "../outcome.ts";
import { defineStep, type StepContext } from "../step.ts";
import { emptyCommitNote } from "./open-draft.ts";
import { endCheckRun } from "./support/check-voice.ts";
import { place } from "./support/repository.ts";

/**
 * The last step of every run, however it ended: final status, labels by the one table, and a cleaned machine.
 * The only step that writes after a cancel. Safe to repeat.
 */
export const reportOutcome = defineStep({
  name: "report-outcome",
  input: z.object({ outcome: Outcome }),
  output: z.object({}),
  async run({ outcome }, deps, ctx) {
    await deps.workspaces.remove(ctx.runKey);
    const before = await deps.store.runs.get(ctx.runKey);
    const hasCheckRun = checkRunNames[ctx.intent.pipeline] !== undefined;
    if (before === undefined || (before.statusCommentId === undefined && !hasCheckRun)) return {};
    const { statusCommentId } = before;
    try {
      if (hasCheckRun) {
        await endCheckRun(deps, ctx, outcome);
        return {};
      }
      const removed = await removeUnpublishedBranch(deps, ctx, outcome);
      const view = await statusView(deps.store, deps.operator, ctx.runKey);
      if (view === undefined) return {};
      const octokit = await ctx.github({ issues: "write", pull_requests: "write" });
      const told =
        removed === undefined
          ? outcome
          : { ...outcome, detail: [outcome.detail, removed].filter((text) => text !== undefined).join("\n\n") };
      const text = renderStatus(
        { ...view, outcome: told, run: { ...view.run, endedAt: new Date().toISOString() } },
        new Date(),
      );
      await ctx.effect("final-status", () =>
        putComment(octokit, deps.operator.app.id, place(ctx.intent), statusMarker(ctx.runKey), text, statusCommentId),
      );
      await setLabels(deps, ctx, outcome, octokit);
    } catch (error) {
      // The issue or the repository is gone, locked or out of reach: there is nobody to tell.
      if (![403, 404, 410].includes(statusOf(error) ?? 0)) throw error;
      ctx.log.warn({ err: error }, "the outcome could not be posted");
    }
    return {};
  },
});

async function setLabels(
  deps: Deps,
  ctx: StepContext,
  outcome: Outcome,
  octokit: Awaited<ReturnType<StepContext["github"]>>,
): Promise<void> {
  const number = await labelledIssue(deps, ctx, outcome);
  if (number === undefined) return;
  const { labels } = deps.operator;
  const key = endings[outcome.kind].label;
  const add = key === undefined ? undefined : labels[key];
  const remove = [labels.trigger, labels.done, labels.needsReview, labels.needsInfo, labels.failed].filter(
    (label) => label !== add,
  );
  await ctx.effect("labels", () => changeLabels(octokit, place(ctx.intent, number), { add, remove }));
}

/** The issue that the work began with; a continued pull request changes its labels only by what became of it. */
async function labelledIssue(deps: Deps, ctx: StepContext, outcome: Outcome): Promise<number | undefined> {
  const { work, pipeline } = ctx.intent;
  if (pipeline === "issue-to-pr") return work.subject.number;
  if (pipeline !== "iterate-pr" || (outcome.kind !== "ready" && outcome.kind !== "draft")) return undefined;
  return (await deps.store.pullRequests.byNumber(work.repositoryId, work.subject.number ?? 0))?.issueNumber;
}

/**
 * A branch that this run pushed and that no pull request shows, or whose pull request has nothing but the empty first
 * commit, is ours to remove; GitHub then closes the pull request. Returns what people should know about that.
 */
async function removeUnpublishedBranch(deps: Deps, ctx: StepContext, outcome: Outcome): Promise<string | undefined> {
  if (outcome.pullRequest !== undefined) return undefined;
  const sha = await deps.store.notes.get(ctx.runKey, "pushed-sha");
  const pull = await deps.store.pullRequests.ofWork(ctx.workKey);
  const emptySha = await deps.store.notes.get(ctx.runKey, emptyCommitNote);
  if (sha === undefined || (pull !== undefined && sha !== emptySha)) return undefined;
  const { owner, repo } = ctx.intent.work;
  const ref = `heads/${branchOf(pull?.issueNumber ?? ctx.intent.work.subject.number ?? 0, ctx.workKey)}`;
  const octokit = await ctx.github({ contents: "write" });
  try {
    const head = (await octokit.rest.git.getRef({ owner, repo, ref })).data.object.sha;
    if (head !== sha) return undefined;
    await ctx.effect("delete-branch", () => octokit.rest.git.deleteRef({ owner, repo, ref }));
  } catch (error) {
    if (![403, 404, 409, 422].includes(statusOf(error) ?? 0)) throw error;
  }
  if (pull === undefined) return undefined;
  await deps.store.pullRequests.put({ ...pull, state: "closed" });
  return `The draft #${pull.number} had no change in it yet, so its branch was removed, which closed it.`;
}
