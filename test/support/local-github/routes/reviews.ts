import { editBody } from "../domain/issues.ts";
import {
  allComments,
  commentsOf,
  createReview,
  createReviewComment,
  deleteReviewComment,
  editReviewComment,
  replyTo,
  submitReview,
} from "../domain/reviews.ts";
import { ApiError, invalid, notFound } from "../errors.ts";
import { type Call, created, noContent, ok, type Reply, type Route, type RouteRules, route } from "../http.ts";
import { reviewCommentJson, reviewJson } from "../serialise.ts";
import type { Review, ReviewComment } from "../types.ts";

const READ = ["pull_requests:read"];

const RULES: RouteRules = { needs: ["pull_requests:write"], role: "read" };
const PULLS = "/repos/{owner}/{repo}/pulls";
const PULL = `${PULLS}/{pull_number}`;
const REVIEW = `${PULL}/reviews/{review_id}`;
const COMMENT = `${PULLS}/comments/{comment_id}`;

export const reviewRoutes: Route[] = [
  route(`GET ${PULL}/reviews`, { needs: READ }, (call) => {
    const shown = call.pull.reviews.filter((review) => visible(call, review));
    return call.page(shown, (review) => reviewJson(call.world, review));
  }),
  route(`POST ${PULL}/reviews`, RULES, async (call) => {
    const { event, body, comments, commit_id: commitId } = call.body;
    const review = await createReview(call.world, call.pull, call.actor, {
      event,
      body,
      commitId,
      comments: (comments ?? []).map(inline),
    });
    return ok(reviewJson(call.world, review));
  }),
  route(`GET ${REVIEW}`, { needs: READ }, (call) => ok(reviewJson(call.world, reviewOf(call)))),
  route(`PUT ${REVIEW}`, RULES, (call) => {
    const review = reviewOf(call);
    editBody(call.world, review, call.actor, call.body.body, "PullRequestReview");
    return ok(reviewJson(call.world, review));
  }),
  route(`DELETE ${REVIEW}`, RULES, (call) => {
    const review = reviewOf(call);
    if (review.state !== "PENDING") {
      throw new ApiError(422, "Unprocessable Entity", ["Can not delete a non-pending pull request review"]);
    }
    const { pull } = review;
    pull.threads = pull.threads.filter((thread) => thread.comments.every((comment) => comment.review !== review));
    pull.reviews = pull.reviews.filter((candidate) => candidate !== review);
    return ok(reviewJson(call.world, review));
  }),
  route(`GET ${REVIEW}/comments`, { needs: READ }, (call) =>
    call.page(commentsOf(reviewOf(call)), (comment) => legacyComment(call, comment)),
  ),
  route(`POST ${REVIEW}/events`, RULES, (call) => {
    const review = reviewOf(call);
    submitReview(call.world, review, call.actor, call.body.event, call.body.body);
    return ok(reviewJson(call.world, review));
  }),
  route(`PUT ${REVIEW}/dismissals`, { needs: ["pull_requests:write"] }, (call) => {
    const review = reviewOf(call);
    if (review.state !== "APPROVED" && review.state !== "CHANGES_REQUESTED") {
      throw new ApiError(422, "Unprocessable Entity", ["Can not dismiss a commented pull request review"]);
    }
    review.state = "DISMISSED";
    return ok(reviewJson(call.world, review));
  }),

  route(`GET ${PULL}/comments`, { needs: READ }, (call) => comments(call, allComments(call.pull))),
  route(`POST ${PULL}/comments`, RULES, async (call) => {
    const { body, in_reply_to: inReplyTo } = call.body;
    if (inReplyTo !== undefined) return created(reviewCommentJson(call.world, reply(call, inReplyTo, body)));
    const comment = await createReviewComment(call.world, call.pull, call.actor, inline(call.body));
    return created(reviewCommentJson(call.world, comment));
  }),
  route(`POST ${PULL}/comments/{comment_id}/replies`, RULES, (call) =>
    created(reviewCommentJson(call.world, reply(call, Number(call.params.comment_id), call.body.body))),
  ),
  route(`GET ${PULLS}/comments`, { needs: READ }, (call) => {
    const all = [...call.repository.issues.values()].flatMap((issue) => (issue.pull ? allComments(issue.pull) : []));
    return comments(call, all);
  }),
  route(`GET ${COMMENT}`, { needs: READ }, (call) => ok(reviewCommentJson(call.world, reviewCommentOf(call)))),
  route(`PATCH ${COMMENT}`, RULES, (call) => {
    const comment = reviewCommentOf(call);
    editReviewComment(call.world, comment, call.actor, call.body.body);
    return ok(reviewCommentJson(call.world, comment));
  }),
  route(`DELETE ${COMMENT}`, RULES, (call) => {
    deleteReviewComment(call.world, reviewCommentOf(call), call.actor);
    return noContent();
  }),
];

/** The review comment in the path of a call. */
export function reviewCommentOf(call: Call): ReviewComment {
  for (const issue of call.repository.issues.values()) {
    const found = issue.pull?.threads
      .flatMap((thread) => thread.comments)
      .find((comment) => comment.id === Number(call.params.comment_id));
    if (found) return found;
  }
  throw notFound();
}

function reviewOf(call: Call): Review {
  const review = call.pull.reviews.find((candidate) => candidate.id === Number(call.params.review_id));
  if (!review || !visible(call, review)) throw notFound();
  return review;
}

/** A pending review is seen by its author alone. */
function visible(call: Call, review: Review): boolean {
  if (review.state !== "PENDING") return true;
  return call.principal.kind === "token" && call.actor.user === review.author;
}

function reply(call: Call, id: number, body: string): ReviewComment {
  const first = allComments(call.pull).find((comment) => comment.id === id);
  if (!first) throw notFound();
  if (first.thread.comments[0] !== first) {
    throw invalid("PullRequestReviewComment", "in_reply_to", "invalid", "is not the first comment of its thread");
  }
  return replyTo(call.world, first, call.actor, body);
}

// biome-ignore lint/suspicious/noExplicitAny: the body was validated against the OpenAPI description before.
function inline(comment: any) {
  return {
    path: comment.path,
    body: comment.body,
    line: comment.line,
    startLine: comment.start_line,
    side: comment.side,
    position: comment.position,
    subjectType: comment.subject_type,
  };
}

function comments(call: Call, all: ReviewComment[]): Reply {
  const { since, sort, direction } = call.query;
  const shown = all.filter((comment) => since === undefined || comment.updatedAt >= new Date(since));
  const key = (comment: ReviewComment): number =>
    (sort === "updated" ? comment.updatedAt : comment.createdAt).getTime();
  const ascending = shown.sort((a, b) => key(a) - key(b) || a.id - b.id);
  const list = sort !== undefined && direction !== "asc" ? ascending.reverse() : ascending;
  return call.page(list, (comment) => reviewCommentJson(call.world, comment));
}

/** The comments of one review have an older shape, without lines. */
function legacyComment(call: Call, comment: ReviewComment): unknown {
  const { subject_type: _type, ...shown } = reviewCommentJson(call.world, comment);
  return shown;
}
