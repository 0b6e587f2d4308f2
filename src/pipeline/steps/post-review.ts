import type { ProbotOctokit } from "probot";
import { z } from "zod";
import { statusOf } from "../../github/client.ts";
import { dismissReview, postReview as post, readReviewState, replyInThread, setResolved } from "../../github/review.ts";
import { cutMarkdown } from "../../policy/cut-markdown.ts";
import { backMarker, backStart, fixedMarker, fixedStart } from "../../policy/markers.ts";
import { commentPlace } from "../../review/anchor.ts";
import { readReviewedHead } from "../../review/read-markers.ts";
import { type ReviewView, renderCheck, renderComment, renderReviewBody } from "../../review/render-review.ts";
import type { FindingRow } from "../../store/store.ts";
import type { Deps } from "../deps.ts";
import { Outcome } from "../outcome.ts";
import { defineStep, type StepContext } from "../step.ts";
import { Base, Ended, ended, PullFacts } from "./shapes.ts";
import { readDocument } from "./support/documents.ts";
import { configOf, place } from "./support/repository.ts";
import { ChangesText, type Judged, type Known, VerifiedText } from "./support/review-shapes.ts";

/** The note of how many reviews of this head there were before this run posted one: a second try sees whether the first did. */
const reviewsBefore = "reviews-before";

/**
 * Says what was found: one review with all its comments in one request, a note on each earlier thread that was repaired or
 * is back, and the end of the check run. Nothing is posted where there is nothing new. A second run finds the review by our App's
 * mark for this head, of which there is one more than before, and the notes by theirs.
 */
export const postReview = defineStep({
  name: "post-review",
  input: z.object({ base: Base, pull: PullFacts, changesBlob: z.string(), verifiedBlob: z.string() }),
  output: z.union([Outcome, Ended]),
  async run({ base, pull, changesBlob, verifiedBlob }, deps, ctx) {
    const changes = await readDocument(deps, changesBlob, ChangesText);
    const verified = await readDocument(deps, verifiedBlob, VerifiedText);
    const { review: rules } = await configOf(deps, base);
    const at = place(ctx.intent, pull.number);
    const octokit = await ctx.github({ pull_requests: "write", contents: "read" });
    const { slug } = await deps.app.identity();
    const state = await readReviewState(octokit, at, slug);
    if (state === undefined || state.state !== "open")
      return ended({ kind: "cancelled", reason: `The pull request was ${state?.state ?? "deleted"}.` });
    if (state.headSha !== pull.headSha)
      return ended({ kind: "superseded", reason: "The pull request has a newer head." });

    const standing = settled(changes.known, verified);
    const view = viewOf(pull, changes, verified, standing);
    const check = renderCheck(view);
    const shown = verified.inline.length + verified.inBody.length;
    const event = eventOf(rules.decision, { pull, verified, green: check.conclusion === "success" });
    const first = changes.sinceSha === undefined && state.reviews.length === 0;
    const asked = ctx.intent.trigger.kind !== "state";
    const isNew = shown > 0 || first || asked || (event !== "COMMENT" && state.reviews.at(-1)?.event !== pastOf[event]);
    const posted = state.reviews.filter(({ body }) => readReviewedHead(body) === pull.headSha).length;
    const before = await deps.store.notes.get(ctx.runKey, reviewsBefore);
    if (before === undefined) await deps.store.notes.set(ctx.runKey, reviewsBefore, String(posted));
    const isPosted = before !== undefined && posted > Number(before);
    if (isNew && !isPosted) {
      await ctx.effect("post-review", () => postWhole(octokit, at, { pull, view, verified, event }));
    }
    await tellThreads(ctx, octokit, at, { pull, known: changes.known, verified, threads: state.threads });
    if (rules.decision !== "comment" && event === "COMMENT" && !standing.some(isSerious)) {
      // What was asked for is done, and a comment would leave the pull request blocked.
      for (const { id } of state.reviews.filter((review) => review.event === pastOf.REQUEST_CHANGES))
        await ctx.effect("dismiss-review", () => dismissReview(octokit, at, id, "What was found is repaired."));
    }
    await remember(deps, ctx, {
      base,
      pull,
      standing,
      verified,
      whole: check.conclusion === "success" || isWhole(view),
    });

    const failure = event === "REQUEST_CHANGES";
    return {
      kind: shown > 0 ? ("reviewed" as const) : ("nothing-to-say" as const),
      reason: check.summary.split("\n\n")[0] ?? check.title,
      detail: [...check.summary.split("\n\n").slice(1), ...verified.cuts.map((cut) => `- ${cut}`), check.text]
        .filter((text) => text !== "")
        .reduce((whole, text) => cutBytes(`${whole}\n\n${text}`.trim()), ""),
      check: {
        conclusion: failure ? ("failure" as const) : check.conclusion,
        title: check.title.slice(0, 120),
        buttons: [],
      },
    };
  },
});

/** An outcome travels between steps, which takes 32 KB of it; in some languages a character has three bytes. */
const maxDetailBytes = 20_000;

function cutBytes(text: string): string {
  let cut = text;
  // Some parts have more bytes for each character than others: the estimate may be too high the first time.
  for (let bytes = Buffer.byteLength(cut); bytes > maxDetailBytes; bytes = Buffer.byteLength(cut))
    cut = cutMarkdown(cut, Math.floor((cut.length * maxDetailBytes) / bytes) - 1);
  return cut;
}

type Event = "COMMENT" | "REQUEST_CHANGES" | "APPROVE";
/** How GitHub calls a review of that kind afterwards. */
const pastOf: Record<Event, string> = {
  COMMENT: "COMMENTED",
  REQUEST_CHANGES: "CHANGES_REQUESTED",
  APPROVE: "APPROVED",
};

/** Comments, unless the repository wants decisions, and never a decision on a pull request of our own (R7). */
function eventOf(
  decision: "comment" | "request-changes" | "decide",
  { pull, verified, green }: { pull: PullFacts; verified: VerifiedText; green: boolean },
): Event {
  if (decision === "comment" || pull.ours) return "COMMENT";
  const serious = [...verified.inline, ...verified.inBody].some(
    ({ finding }) => finding.severity === "critical" || finding.severity === "major",
  );
  if (serious) return "REQUEST_CHANGES";
  return decision === "decide" && green ? "APPROVE" : "COMMENT";
}

function isSerious({ state, severity }: Known): boolean {
  return state === "open" && (severity === "critical" || severity === "major");
}

/**
 * All in one request. Where GitHub does not take one of the places for a part of its own diff, which it cuts where ours is
 * whole, everything is said in the body.
 */
async function postWhole(
  octokit: ProbotOctokit,
  at: { owner: string; repo: string; number: number },
  { pull, view, verified, event }: { pull: PullFacts; view: ReviewView; verified: VerifiedText; event: Event },
): Promise<void> {
  const { headSha } = pull;
  const comments = verified.inline.map((one) => ({ ...placeOf(one), body: renderComment(one, one.suggestion) }));
  try {
    await post(octokit, at, { headSha, body: renderReviewBody(view), event, comments });
  } catch (error) {
    if (statusOf(error) !== 422 || comments.length === 0) throw error;
    const { selection } = view;
    const inBody = [...selection.inline, ...selection.inBody];
    const body = renderReviewBody({ ...view, selection: { ...selection, inline: [], inBody } });
    await post(octokit, at, { headSha, body, event, comments: [] });
  }
}

/** Earlier findings as they stand after this review. */
function settled(known: readonly Known[], { fixed, reopened }: VerifiedText): Known[] {
  return known.map((one) => {
    if (fixed.includes(one.fingerprint))
      return { ...one, state: "resolved" as const, accepted: "changed-line" as const };
    if (reopened.includes(one.fingerprint)) return { ...one, state: "open" as const };
    return one;
  });
}

function viewOf(pull: PullFacts, changes: ChangesText, verified: VerifiedText, standing: readonly Known[]): ReviewView {
  // What the earlier review did not look at was not looked at by this one either.
  const cutBefore = changes.sinceSha !== undefined && !changes.wholeBefore;
  return {
    headSha: pull.headSha,
    filesLookedAt: changes.filesLookedAt,
    leftOut: changes.leftOut,
    selection: {
      inline: verified.inline,
      inBody: verified.inBody,
      suppressed: verified.suppressed,
      counts: verified.counts as ReviewView["selection"]["counts"],
    },
    scores: verified.scores,
    cutByBudget: verified.cuts.length > 0 || cutBefore,
    openBefore: standing.filter(({ state }) => state === "open").length,
    resolved: verified.fixed.length,
    ...(changes.sinceSha === undefined ? {} : { sinceSha: changes.sinceSha }),
    changedInstructions: changes.changedInstructions,
  };
}

function isWhole({ cutByBudget, leftOut }: ReviewView): boolean {
  return !cutByBudget && leftOut.every(({ reason }) => reason === "path-filter");
}

function placeOf({ anchor, fingerprint }: Judged) {
  if (anchor.kind !== "anchored") throw new Error(`The finding ${fingerprint} has no place in the diff`);
  return commentPlace(anchor);
}

/** One line on each thread whose finding is gone or is back, then the thread is closed or opened. Each once. */
async function tellThreads(
  ctx: StepContext,
  octokit: ProbotOctokit,
  at: { owner: string; repo: string; number: number },
  {
    pull,
    known,
    verified,
    threads,
  }: {
    pull: PullFacts;
    known: readonly Known[];
    verified: VerifiedText;
    threads: NonNullable<Awaited<ReturnType<typeof readReviewState>>>["threads"];
  },
): Promise<void> {
  const short = pull.headSha.slice(0, 7);
  const notes = [
    ...verified.fixed.map((fingerprint) => ({
      fingerprint,
      resolved: true,
      start: fixedStart,
      body: `Repaired with ${short}.\n\n${fixedMarker(pull.headSha)}`,
    })),
    ...verified.reopened.map((fingerprint) => ({
      fingerprint,
      resolved: false,
      start: backStart,
      body: `It is back with ${short}.\n\n${backMarker(pull.headSha)}`,
    })),
  ];
  for (const { fingerprint, resolved, start, body } of notes) {
    const threadId = known.find((one) => one.fingerprint === fingerprint)?.threadId;
    const thread = threads.find(({ id }) => id === threadId);
    const first = thread?.comments[0];
    if (thread === undefined || first === undefined) continue;
    const said = thread.comments.some((comment) => comment.own && comment.body.includes(`${start}${pull.headSha}`));
    if (!said) await ctx.effect("tell-thread", () => replyInThread(octokit, at, first.id, body));
    if (thread.isResolved !== resolved)
      await ctx.effect("settle-thread", () => setResolved(octokit, thread.id, resolved));
  }
}

async function remember(
  deps: Deps,
  ctx: StepContext,
  {
    base,
    pull,
    standing,
    verified,
    whole,
  }: { base: Base; pull: PullFacts; standing: readonly Known[]; verified: VerifiedText; whole: boolean },
): Promise<void> {
  const { repositoryId } = ctx.intent.work;
  const common = { repositoryId, pullNumber: pull.number, runKey: ctx.runKey };
  const known = new Set(standing.map(({ fingerprint }) => fingerprint));
  const rowOf = (one: Judged, state: FindingRow["state"], suppressed?: string): FindingRow => ({
    ...common,
    fingerprint: one.fingerprint,
    reviewers: one.reviewers,
    category: one.finding.category,
    severity: one.finding.severity,
    path: one.anchor.kind === "anchored" ? one.anchor.path : one.finding.path,
    line: one.anchor.kind === "anchored" ? one.anchor.line : one.finding.line,
    title: one.finding.title,
    state,
    ...(suppressed === undefined ? {} : { suppressed }),
  });
  await deps.store.reviews.putFindings([
    ...standing.map(({ threadId: _, said: __, line, ...one }) => ({ ...common, ...one, line: line ?? 1 })),
    ...[...verified.inline, ...verified.inBody].map((one) => rowOf(one, "open")),
    // A finding that was shown before keeps its row.
    ...verified.suppressed
      .filter(({ candidate }) => !known.has(candidate.fingerprint))
      .map(({ candidate, reason }) => rowOf(candidate, "suppressed", reason)),
  ]);
  await deps.store.reviews.put({
    ...common,
    baseSha: base.baseSha,
    headSha: pull.headSha,
    content: {
      whole,
      scores: verified.scores,
      counts: verified.counts,
      shown: verified.inline.length + verified.inBody.length,
    },
  });
}
