import type { ProbotOctokit } from "probot";
import { z } from "zod";
import { ReplyAnswer } from "../../agent/schemas.ts";
import { type ReviewThread, readReviewState, replyInThread, setResolved } from "../../github/review.ts";
import { answerMarker } from "../../policy/markers.ts";
import { neutralise } from "../../policy/neutralise.ts";
import { visibleText } from "../../policy/visible-text.ts";
import type { Deps } from "../deps.ts";
import { Outcome } from "../outcome.ts";
import { defineStep, type StepContext } from "../step.ts";
import { Base, PullFacts } from "./shapes.ts";
import { recorder, remainingBudget } from "./support/budget.ts";
import { knownFindings } from "./support/known-findings.ts";
import { promptFor } from "./support/prompt.ts";
import { configOf, place, repositoryRef } from "./support/repository.ts";
import type { Known } from "./support/review-shapes.ts";
import { showLines } from "./support/review-text.ts";
import { fetchReviewed } from "./support/reviewed-trees.ts";

/** More answers of ours in one thread would be a conversation with ourselves through somebody's patience (security.md M11). */
const mostAnswers = 3;

/**
 * Answers a person's reply to one of our findings, once: from the thread and the code as it is now. A finding that the person
 * does not want stays quiet from now on; one that was taken for repaired and is not is opened again (R6). A second run finds
 * its answer by its mark.
 */
export const answerReply = defineStep({
  name: "answer-reply",
  input: z.object({ base: Base, pull: PullFacts }),
  output: Outcome,
  async run({ base, pull }, deps, ctx) {
    const { trigger } = ctx.intent;
    if (trigger.kind !== "review-comment") throw new Error("Only a reply can be answered");
    const at = place(ctx.intent, pull.number);
    const octokit = await ctx.github({ pull_requests: "write", contents: "read", metadata: "read" });
    const { slug } = await deps.app.identity();
    const state = await readReviewState(octokit, at, slug);
    const thread = state?.threads.find(({ comments }) => comments.some(({ id }) => id === trigger.commentId));
    if (state === undefined || thread === undefined) return answered("The thread is gone.");
    const own = thread.comments.slice(1).filter((comment) => comment.own);
    const mark = new RegExp(`<!-- millwright:answer ${trigger.commentId} ([a-z-]+) -->\\s*$`);
    const done = own.map(({ body }) => mark.exec(body)?.[1]).find((decision) => decision !== undefined);
    if (done === undefined && own.filter(({ body }) => body.includes("<!-- millwright:answer ")).length >= mostAnswers)
      return answered(`There are ${mostAnswers} answers in this thread already.`);
    const known = (await knownFindings(deps, ctx, octokit, { threads: [thread], reviews: [] })).find(
      ({ threadId }) => threadId === thread.id,
    );
    if (known === undefined) return answered("The thread is not about a finding.");

    const answer = done === undefined ? await ask(deps, ctx, { base, pull, thread, known }) : { decision: done };
    if (answer === undefined) return answered("The reply could not be answered.");
    if (answer.decision === "nothing") return answered("The reply asks for nothing.");
    if (answer.text !== undefined) {
      const text = neutralise(answer.text, { allowHosts: [], maxBytes: 3_000 });
      const body = `${text}\n\n${answerMarker(trigger.commentId, answer.decision)}`;
      const first = thread.comments[0]!.id;
      await ctx.effect("answer-reply", () => replyInThread(octokit, at, first, body));
    }
    await settle(deps, ctx, octokit, { pull, thread, known, decision: answer.decision });
    return answered(`Answered: ${answer.decision}.`);
  },
});

const answered = (reason: string): Outcome => ({ kind: "answered", reason });

async function ask(
  deps: Deps,
  ctx: StepContext,
  { base, pull, thread, known }: { base: Base; pull: PullFacts; thread: ReviewThread; known: Known },
): Promise<{ decision: string; text?: string } | undefined> {
  const config = await configOf(deps, base);
  const remaining = await remainingBudget(deps, ctx, config, 8);
  if (remaining.kind === "used-up") return undefined;
  await fetchReviewed(deps, ctx, base, pull);
  const text = await deps.workspaces.readFile(repositoryRef(ctx.intent, base), pull.headSha, known.path);
  const line = thread.line ?? known.line ?? 1;
  const prompt = await promptFor(
    deps,
    ctx,
    base,
    "answer-reply",
    {
      thread: thread.comments.map(({ author, own, id, body }) => ({
        author: own ? "you" : author,
        // What a person wrote counts as it was when it was sent.
        text: seen(
          ctx.intent.trigger.kind === "review-comment" && id === ctx.intent.trigger.commentId
            ? (ctx.intent.args ?? body)
            : body,
        ),
      })),
      code: { path: known.path, lines: showLines(text, { from: line, to: line }) },
      language: config.review.language,
    },
    [known.path],
  );
  const answer = await deps.model.object({
    prompt,
    schema: ReplyAnswer,
    budget: remaining.budget,
    signal: ctx.signal,
    record: recorder(deps, ctx),
  });
  if (answer.kind !== "answer") return undefined;
  const { decision } = answer.value;
  const words = answer.value.text?.trim() ?? "";
  if (decision === "nothing" || (decision === "answered" && words === "")) return { decision: "nothing" };
  return { decision, text: words === "" ? plainWords[decision] : words };
}

/** Where the model decided and gave no words. */
const plainWords: Record<"dismissed" | "wrong" | "fixed" | "not-fixed" | "answered", string> = {
  dismissed: "Understood; this is not brought up again.",
  wrong: "You are right, the finding does not hold.",
  fixed: "This is repaired.",
  "not-fixed": "This is still open.",
  answered: "",
};

function seen(text: string): string {
  return visibleText(text, { maxBytes: 6_000 }).text;
}

async function settle(
  deps: Deps,
  ctx: StepContext,
  octokit: ProbotOctokit,
  { pull, thread, known, decision }: { pull: PullFacts; thread: ReviewThread; known: Known; decision: string },
): Promise<void> {
  const resolved = decision === "fixed" ? true : decision === "not-fixed" ? false : thread.isResolved;
  if (resolved !== thread.isResolved)
    await ctx.effect("settle-thread", () => setResolved(octokit, thread.id, resolved));
  const { threadId: _, said: __, line, ...row } = known;
  const states: Record<string, Partial<Known>> = {
    dismissed: { state: "dismissed", accepted: "thumbs-down" },
    wrong: { state: "dismissed", accepted: "thumbs-down" },
    fixed: { state: "resolved", accepted: "changed-line" },
    "not-fixed": { state: "open" },
  };
  await deps.store.reviews.putFindings([
    {
      ...row,
      ...states[decision],
      repositoryId: ctx.intent.work.repositoryId,
      pullNumber: pull.number,
      runKey: ctx.runKey,
      line: line ?? 1,
    },
  ]);
}
