import { z } from "zod";
import { statusOf } from "../../github/client.ts";
import { minimiseComment, putComment } from "../../github/comments.ts";
import { permissionOf } from "../../github/permission.ts";
import { reactToTrigger } from "../../github/reactions.ts";
import { replyMarker, statusMarker } from "../../policy/markers.ts";
import { accountServed, mayAnswer, mayTrigger } from "../../policy/who-may-trigger.ts";
import { readComment } from "../../review/read-markers.ts";
import { renderStatus } from "../../status/render.ts";
import { statusView } from "../../status/view.ts";
import type { Deps } from "../deps.ts";
import { checkRunNames, workKeyOf } from "../intent.ts";
import { defineStep, type StepContext } from "../step.ts";
import { Ended, ended } from "./shapes.ts";
import { whyNotAdmitted } from "./support/admission.ts";
import { currentConfiguration } from "./support/configuration.ts";
import { place } from "./support/repository.ts";
import { whyUnwritable } from "./support/truth.ts";

const writeIssues = { issues: "write", pull_requests: "write", metadata: "read" } as const;

/**
 * Who may ask is the first step: it refuses with 👎 and one line, or reacts 👀 and creates the status comment.
 * A second run finds the reaction, the comment by its marker, and the resolved key of the work.
 */
export const authoriseTrigger = defineStep({
  name: "authorise-trigger",
  input: z.object({}),
  output: z.discriminatedUnion("kind", [z.object({ kind: z.literal("authorised") }), Ended]),
  async run(_input, deps, ctx) {
    try {
      return await answerTrigger(deps, ctx);
    } catch (error) {
      // There is nowhere to say it; the run says it where operators look.
      const reason = await whyUnwritable(error, await ctx.github(writeIssues), ctx);
      if (reason === undefined) throw error;
      return ended({ kind: "refused", reason });
    }
  },
});

async function answerTrigger(deps: Deps, ctx: StepContext): Promise<{ kind: "authorised" } | Ended> {
  const refusal = await whyRefused(deps, ctx);
  if (refusal !== undefined) {
    if (!refusal.silent) await refuse(deps, ctx, refusal.sentence);
    return ended({ kind: "refused", reason: refusal.sentence });
  }
  await resolveWorkKey(deps, ctx);
  const { pipeline, trigger } = ctx.intent;
  if (pipeline === "answer-command" || trigger.kind === "state") return { kind: "authorised" };
  const octokit = await ctx.github(writeIssues);
  await ctx.effect("acknowledge", () => reactToTrigger(octokit, ctx.intent, "eyes"));
  if (checkRunNames[pipeline] === undefined) await createStatusComment(deps, ctx);
  return { kind: "authorised" };
}

interface Refusal {
  sentence: string;
  /** Nothing is posted: other bots' words, or answers to questions that nobody asked. */
  silent: boolean;
}

async function whyRefused(deps: Deps, ctx: StepContext): Promise<Refusal | undefined> {
  const { intent } = ctx;
  const aboutUs = intent.short !== true || (await concernsUs(deps, ctx));
  if (!aboutUs) return { sentence: "No run of ours is concerned.", silent: true };
  const { owner, slug } = await deps.app.identity();
  if (!accountServed({ owner: intent.work.owner, appOwner: owner, accounts: deps.operator.accounts })) {
    return {
      sentence: `This installation of ${slug} does not serve ${intent.work.owner}.`,
      silent: intent.trigger.kind === "state",
    };
  }
  // What a state starts is switched on and limited by the repository's configuration, which `read-pull-request` reads.
  if (intent.trigger.kind === "state") return undefined;
  return (
    (await whyNotAllowed(deps, ctx)) ??
    (intent.pipeline === "answer-command" ? undefined : told(await whyNotAdmitted(deps, ctx), ctx))
  );
}

/** A reply in a thread is talk among people: nothing is said where it cannot be answered. */
function told(sentence: string | undefined, { intent }: StepContext): Refusal | undefined {
  return sentence === undefined ? undefined : { sentence, silent: intent.trigger.kind === "review-comment" };
}

/**
 * A short control word concerns us only where a run of ours, or a pull request of ours, is; one that asks for work that is
 * off until the repository switches it on, only where it is on: other bots have a `/review` too.
 */
async function concernsUs(deps: Deps, ctx: StepContext): Promise<boolean> {
  if (ctx.intent.pipeline === "review-pr") {
    const current = await currentConfiguration(ctx);
    return current.kind === "config" && current.config.review.enabled;
  }
  const { repositoryId, subject } = ctx.intent.work;
  const runs = await deps.store.runs.ofSubject(repositoryId, subject.kind, subject.number ?? 0);
  if (runs.some((run) => run.runKey !== ctx.runKey && run.pipeline !== "answer-command")) return true;
  return (
    subject.kind === "pull-request" &&
    (await deps.store.pullRequests.byNumber(repositoryId, subject.number ?? 0)) !== undefined
  );
}

async function whyNotAllowed(deps: Deps, ctx: StepContext): Promise<Refusal | undefined> {
  const { intent } = ctx;
  const octokit = await ctx.github(writeIssues);
  const permission = await permissionOf(octokit, intent.work, intent.actor.login);
  const allowed = mayTrigger({
    permission,
    actorType: intent.actor.type,
    login: intent.actor.login,
    isOwnApp: false,
    allowedBots: deps.operator.allowedBots,
  });
  if (intent.answers === true) {
    const earlier = await deps.store.runs.ofSubject(intent.work.repositoryId, "issue", intent.work.subject.number ?? 0);
    // Who was refused has not answered: a stranger's comment must not close the question for its author.
    const [last] = earlier.filter(
      (run) => run.runKey !== ctx.runKey && run.pipeline === "issue-to-pr" && run.outcome?.kind !== "refused",
    );
    if (last?.outcome?.kind !== "question") return { sentence: "No question of ours is open.", silent: true };
    if (allowed.allowed) return undefined;
    const answersByAuthor = earlier.filter(
      (run) => run.intent.answers === true && run.runKey !== ctx.runKey && run.outcome?.kind !== "refused",
    ).length;
    const isAuthor = intent.author?.id === intent.actor.id;
    const answer = mayAnswer({ actorType: intent.actor.type, isAuthor, earlierAnswers: answersByAuthor });
    return answer.allowed ? undefined : { sentence: answer.reason, silent: true };
  }
  if (
    intent.pipeline === "iterate-pr" &&
    (await deps.store.pullRequests.byNumber(intent.work.repositoryId, intent.work.subject.number ?? 0)) === undefined
  ) {
    return {
      sentence: "This pull request was not opened by this App, so it cannot be continued here.",
      silent: intent.trigger.kind === "review" || !allowed.allowed,
    };
  }
  if (intent.trigger.kind === "review-comment") {
    if (!allowed.allowed) return { sentence: allowed.reason, silent: true };
    const ours = await repliesToFinding(deps, ctx, intent.trigger.inReplyTo);
    return ours ? undefined : { sentence: "The thread is not one of ours.", silent: true };
  }
  if (allowed.allowed) return undefined;
  // A review by someone without write access is an ordinary review: it asks nothing of us.
  return {
    sentence: `@${intent.actor.login} cannot start this: ${allowed.reason}`,
    silent: intent.trigger.kind === "review",
  };
}

/** Whether a thread begins with a finding of ours, by the store or else by the mark of a comment that our own App wrote. */
async function repliesToFinding(deps: Deps, ctx: StepContext, commentId: number | undefined): Promise<boolean> {
  if (commentId === undefined) return false;
  const { owner, repo, repositoryId } = ctx.intent.work;
  if ((await deps.store.reviews.findingOfComment(repositoryId, commentId)) !== undefined) return true;
  const octokit = await ctx.github(writeIssues);
  const { slug } = await deps.app.identity();
  try {
    const { data } = await octokit.rest.pulls.getReviewComment({ owner, repo, comment_id: commentId });
    return data.user?.login === `${slug}[bot]` && readComment(data.body) !== undefined;
  } catch (error) {
    if (statusOf(error) === 404) return false;
    throw error;
  }
}

/** 👎 and one line; at most a few a day for one person, so that nobody can make us talk without end. */
async function refuse(deps: Deps, ctx: StepContext, sentence: string): Promise<void> {
  const { intent } = ctx;
  const mayTalk = await deps.store.rateLimit(
    `refusal:${intent.work.repositoryId}:${intent.actor.id}:${intent.work.subject.number ?? 0}`,
    3,
    86_400,
  );
  const octokit = await ctx.github(writeIssues);
  await ctx.effect("refuse", () => reactToTrigger(octokit, intent, "-1"));
  if (!mayTalk && ctx.attempt === 1) return;
  await ctx.effect("explain-refusal", () =>
    putComment(octokit, deps.operator.app.id, place(intent), replyMarker(ctx.runKey, "refusal"), sentence),
  );
}

/** A pull request that our App opened keeps the key of its issue; everything else has the key of its subject. */
async function resolveWorkKey(deps: Deps, ctx: StepContext): Promise<void> {
  const { work } = ctx.intent;
  const pullRequest =
    work.subject.kind === "pull-request"
      ? await deps.store.pullRequests.byNumber(work.repositoryId, work.subject.number ?? 0)
      : undefined;
  await deps.store.runs.setWorkKey(ctx.runKey, pullRequest?.workKey ?? workKeyOf(work));
}

async function createStatusComment(deps: Deps, ctx: StepContext): Promise<void> {
  const view = await statusView(deps.store, deps.operator, ctx.runKey);
  if (view === undefined) throw new Error(`There is no run ${ctx.runKey}`);
  const octokit = await ctx.github(writeIssues);
  const comment = await ctx.effect("status", () =>
    putComment(
      octokit,
      deps.operator.app.id,
      place(ctx.intent),
      statusMarker(ctx.runKey),
      renderStatus(view, new Date()),
      view.run.statusCommentId,
    ),
  );
  await deps.store.runs.setStatusComment(ctx.runKey, comment.id);
  await deps.store.notes.set(ctx.runKey, "status-node", comment.nodeId);
  const earlier = (await deps.store.runs.ofWork(view.run.workKey)).filter(
    (run) => run.runKey !== ctx.runKey && run.state === "ended",
  );
  for (const run of earlier) {
    const nodeId = await deps.store.notes.get(run.runKey, "status-node");
    if (nodeId === undefined || (await deps.store.notes.get(run.runKey, "status-minimised")) !== undefined) continue;
    await ctx.effect("minimise-earlier-status", () => minimiseComment(octokit, nodeId));
    await deps.store.notes.set(run.runKey, "status-minimised", "yes");
  }
}
