import { setTimeout } from "node:timers/promises";
import type { ProbotOctokit } from "probot";
import { z } from "zod";
import { permissionOf } from "../../github/permission.ts";
import { visibleText } from "../../policy/visible-text.ts";
import { defineStep, type StepContext } from "../step.ts";
import { Base, Ended, ended, Plan, type ReviewRequest, type Task } from "./shapes.ts";
import { fileDocument } from "./support/documents.ts";
import { credential, repositoryRef, subjectNumber } from "./support/repository.ts";

const mergeabilityLooks = 5;

/**
 * Files what a person asked for on our pull request: the words of a command, or one review with its threads; comments
 * count only if their author has write access and did not edit them after the trigger. Safe to repeat.
 */
export const readReview = defineStep({
  name: "read-review",
  input: z.object({ base: Base }),
  output: z.discriminatedUnion("kind", [
    z.object({
      kind: z.literal("read"),
      headSha: z.string(),
      requestBlob: z.string(),
      issueBlob: z.string(),
      analysis: Plan,
      conflicts: z.boolean(),
    }),
    Ended,
  ]),
  async run({ base }, deps, ctx) {
    const { owner, repo } = ctx.intent.work;
    const number = subjectNumber(ctx.intent);
    const octokit = await ctx.github({ pull_requests: "read", contents: "read", metadata: "read" });
    const pull = await pullWithMergeability(octokit, { owner, repo, pull_number: number }, ctx.signal);
    if (pull.state !== "open")
      return ended({ kind: "cancelled", reason: `The pull request was ${pull.merged ? "merged" : "closed"}.` });
    if (pull.head.ref !== base.branch || pull.head.repo?.id !== ctx.intent.work.repositoryId) {
      return ended({ kind: "refused", reason: "The pull request's branch is not the one that this App made." });
    }
    const shas = await deps.workspaces.fetch(
      repositoryRef(ctx.intent),
      [base.branch],
      credential(ctx, "read"),
      ctx.signal,
    );
    const headSha = shas[base.branch];
    if (headSha === undefined) return ended({ kind: "failed", reason: `The branch \`${base.branch}\` is gone.` });
    const review: ReviewRequest = {
      request: seen(ctx.intent.args ?? ""),
      threads: await threadsOf(octokit, ctx),
      pullRequest: { number, title: seen(pull.title), body: seen(pull.body ?? "").slice(0, 8_000) },
    };
    const conflicts = pull.mergeable === false;
    if (review.request.trim() === "" && review.threads.length === 0 && !conflicts) {
      return ended({
        kind: "question",
        reason: "The request says nothing to change.",
        detail: "Write what should be different behind `/code`, or comment on lines in a review.",
      });
    }
    const title = titleOf(ctx, review, conflicts);
    return {
      kind: "read" as const,
      headSha,
      conflicts,
      requestBlob: await fileDocument(deps, ctx, "text", review),
      issueBlob: await fileDocument(deps, ctx, "text", {
        title,
        body: [review.request, ...review.threads.map((thread) => `${thread.path}: ${thread.text}`)].join("\n\n"),
        labels: [],
        comments: [],
        related: [],
      }),
      analysis: {
        kind: "plan" as const,
        taskBlob: await fileDocument(deps, ctx, "text", { kind: "address-review", review } satisfies Task),
        title: title.slice(0, 200),
        commitType: "fix",
        risk: "low" as const,
      },
    };
  },
});

/** GitHub works out whether a pull request can be merged when it is asked first, and answers null until it knows. */
async function pullWithMergeability(
  octokit: ProbotOctokit,
  pull: { owner: string; repo: string; pull_number: number },
  signal: AbortSignal,
) {
  for (let look = 1; ; look += 1) {
    const { data } = await octokit.rest.pulls.get(pull);
    if (data.mergeable !== null || data.state !== "open" || look >= mergeabilityLooks) return data;
    await setTimeout(look * 500, undefined, { signal });
  }
}

/** The words of a command are what the commit does; those of a review are seldom, so its commit is named after the reviewer. */
function titleOf({ intent }: StepContext, review: ReviewRequest, conflicts: boolean): string {
  const asked = intent.trigger.kind === "review" ? undefined : review.request.split("\n")[0]?.trim();
  if (asked !== undefined && asked !== "") return asked;
  if (review.request.trim() === "" && review.threads.length === 0 && conflicts)
    return "resolve the conflict with the base branch";
  return `address the review by ${intent.actor.login}`;
}

function seen(text: string): string {
  return visibleText(text, { maxBytes: 30_000 }).text;
}

async function threadsOf(octokit: ProbotOctokit, ctx: StepContext): Promise<ReviewRequest["threads"]> {
  const { owner, repo } = ctx.intent.work;
  const { trigger, at } = ctx.intent;
  const pull_number = subjectNumber(ctx.intent);
  const comments =
    trigger.kind === "review"
      ? await octokit.paginate(octokit.rest.pulls.listCommentsForReview, {
          owner,
          repo,
          pull_number,
          review_id: trigger.reviewId,
          per_page: 100,
        })
      : [];
  const writers = new Map<string, boolean>();
  for (const login of new Set(comments.map((comment) => comment.user?.login ?? ""))) {
    writers.set(login, ["write", "maintain", "admin"].includes(await permissionOf(octokit, { owner, repo }, login)));
  }
  return comments
    .filter(
      (comment) =>
        writers.get(comment.user?.login ?? "") === true && Date.parse(comment.updated_at) <= Date.parse(at) + 1_000,
    )
    .slice(0, 40)
    .map((comment) => ({
      commentId: comment.id,
      path: comment.path,
      line: "line" in comment && typeof comment.line === "number" ? comment.line : undefined,
      author: comment.user?.login ?? "ghost",
      text: seen(comment.body),
      diffHunk: comment.diff_hunk.slice(-2_000),
    }));
}
