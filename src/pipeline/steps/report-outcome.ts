import { z } from "zod";
import { putComment } from "../../github/comments.ts";
import { statusOf } from "../../github/client.ts";
import { changeLabels } from "../../github/labels.ts";
import { statusMarker } from "../../policy/markers.ts";
import { renderStatus } from "../../status/render.ts";
import { statusView } from "../../status/view.ts";
import type { Deps } from "../deps.ts";
import { branchOf } from "../intent.ts";
import { endings, Outcome } from "../outcome.ts";
import { defineStep, type StepContext } from "../step.ts";
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
    const view = await statusView(deps.store, deps.operator, ctx.runKey);
    if (view?.run.statusCommentId === undefined) return {};
    const octokit = await ctx.github({ issues: "write", pull_requests: "write" });
    const text = renderStatus({ ...view, outcome, run: { ...view.run, endedAt: new Date().toISOString() } }, new Date());
    const { statusCommentId } = view.run;
    try {
      await ctx.effect("final-status", () => putComment(octokit, deps.operator.app.id, place(ctx.intent), statusMarker(ctx.runKey), text, statusCommentId));
      await setLabels(deps, ctx, outcome, octokit);
    } catch (error) {
      // The issue or the repository is gone or locked: there is nobody to tell.
      if (![403, 404, 410].includes(statusOf(error) ?? 0)) throw error;
      ctx.log.warn({ err: error }, "the outcome could not be posted");
    }
    await removeUnpublishedBranch(deps, ctx, outcome);
    return {};
  },
});

async function setLabels(deps: Deps, ctx: StepContext, outcome: Outcome, octokit: Awaited<ReturnType<StepContext["github"]>>): Promise<void> {
  if (ctx.intent.pipeline !== "issue-to-pr") return;
  const { labels } = deps.operator;
  const key = endings[outcome.kind].label;
  const add = key === undefined ? undefined : labels[key];
  const remove = [labels.trigger, labels.done, labels.needsReview, labels.needsInfo, labels.failed].filter((label) => label !== add);
  await ctx.effect("labels", () => changeLabels(octokit, place(ctx.intent), { add, remove }));
}

/** A branch that this run pushed and that no pull request shows is ours to remove. */
async function removeUnpublishedBranch(deps: Deps, ctx: StepContext, outcome: Outcome): Promise<void> {
  if (outcome.pullRequest !== undefined) return;
  const sha = await deps.store.notes.get(ctx.runKey, "pushed-sha");
  if (sha === undefined || (await deps.store.pullRequests.ofWork(ctx.workKey)) !== undefined) return;
  const { owner, repo } = ctx.intent.work;
  const ref = `heads/${branchOf(ctx.intent.work.subject.number ?? 0, ctx.workKey)}`;
  const octokit = await ctx.github({ contents: "write" });
  try {
    const head = (await octokit.rest.git.getRef({ owner, repo, ref })).data.object.sha;
    if (head === sha) await ctx.effect("delete-branch", () => octokit.rest.git.deleteRef({ owner, repo, ref }));
  } catch (error) {
    if (![404, 422].includes(statusOf(error) ?? 0)) throw error;
  }
}
