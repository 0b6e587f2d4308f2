import { ApiError, invalid } from "../errors.ts";
import { reviewCommentJson, simplePull, webhookReview } from "../serialise.ts";
import type { Actor, Pull, Review, ReviewComment, ReviewState, Thread, User } from "../types.ts";
import type { World } from "../world.ts";
import { pullFiles } from "./announce.ts";
import { authored, checkBody, editBody, touch } from "./issues.ts";

export interface InlineComment {
  path: string;
  body: string;
  /** Line of the file on `side`; absent for a comment on the whole file. */
  line?: number;
  startLine?: number;
  side?: "LEFT" | "RIGHT";
  /** Lines down from the first hunk header, the older way to say where. */
  position?: number;
  subjectType?: "line" | "file";
}

export interface ReviewInput {
  event?: "APPROVE" | "REQUEST_CHANGES" | "COMMENT";
  body?: string;
  comments?: InlineComment[];
  commitId?: string;
}

const STATES: Record<string, ReviewState> = {
  APPROVE: "APPROVED",
  REQUEST_CHANGES: "CHANGES_REQUESTED",
  COMMENT: "COMMENTED",
};

/** A review with its inline comments. Without an event it stays pending until submitted. */
export async function createReview(world: World, pull: Pull, actor: Actor, input: ReviewInput): Promise<Review> {
  const comments = input.comments ?? [];
  if (input.event) checkSubmit(pull, actor.user, input.event, input.body ?? "", comments.length);
  if (pull.reviews.some((review) => review.state === "PENDING" && review.author === actor.user)) {
    throw new ApiError(422, "Unprocessable Entity", ["User can only have one pending review per pull request"]);
  }
  const placed = await Promise.all(comments.map(async (comment) => ({ comment, place: await locate(pull, comment) })));
  const review: Review = world.identify("PullRequestReview", "PRR", {
    pull,
    state: "PENDING" as ReviewState,
    commitId: input.commitId ?? pull.headSha,
    submittedAt: undefined,
    ...authored(world, actor, input.body ?? ""),
  });
  pull.reviews.push(review);
  for (const { comment, place } of placed) addComment(world, review, actor, comment, place, undefined);
  if (input.event) submitReview(world, review, actor, input.event, undefined);
  return review;
}

export function submitReview(
  world: World,
  review: Review,
  actor: Actor,
  event: "APPROVE" | "REQUEST_CHANGES" | "COMMENT",
  body: string | undefined,
): void {
  const { pull } = review;
  const comments = commentsOf(review);
  if (review.state !== "PENDING") throw new ApiError(422, "Unprocessable Entity", ["Review is not pending"]);
  checkSubmit(pull, actor.user, event, body ?? review.body, comments.length);
  if (body !== undefined) review.body = body;
  review.state = STATES[event] ?? "COMMENTED";
  review.submittedAt = world.now();
  pull.requestedReviewers = pull.requestedReviewers.filter((user) => user !== actor.user);
  touch(world, pull.issue);
  emitReview(world, review, "submitted", actor.user);
  for (const comment of comments) emitReviewComment(world, comment, "created", actor.user);
}

function checkSubmit(pull: Pull, user: User, event: string, body: string, commentCount: number): void {
  if (user === pull.issue.author && event !== "COMMENT") {
    const what = event === "APPROVE" ? "approve" : "request changes on";
    throw new ApiError(422, "Unprocessable Entity", [`Can not ${what} your own pull request`]);
  }
  if (event !== "APPROVE" && body.trim() === "" && commentCount === 0) {
    throw new ApiError(422, "Unprocessable Entity", ["Body can't be blank"]);
  }
  checkBody(body, "PullRequestReview");
}

export function commentsOf(review: Review): ReviewComment[] {
  return review.pull.threads.flatMap((thread) => thread.comments).filter((comment) => comment.review === review);
}

export function allComments(pull: Pull): ReviewComment[] {
  return pull.threads
    .flatMap((thread) => thread.comments)
    .filter((comment) => comment.review.state !== "PENDING")
    .sort((a, b) => a.id - b.id);
}

/** One comment outside of a review: GitHub wraps it in a review of its own, and so do we. */
export async function createReviewComment(
  world: World,
  pull: Pull,
  actor: Actor,
  comment: InlineComment,
): Promise<ReviewComment> {
  const review = await createReview(world, pull, actor, { event: "COMMENT", comments: [comment] }).catch((error) => {
    // The same refusal is put in another form here.
    if (!(error instanceof ApiError)) throw error;
    throw invalid("PullRequestReviewComment", "pull_request_review_thread", "custom", String(error.errors?.[0]));
  });
  return commentsOf(review)[0] as ReviewComment;
}

/** A reply joins the thread of the comment that it answers. */
export function replyTo(world: World, first: ReviewComment, actor: Actor, body: string): ReviewComment {
  if (body.trim() === "") throw invalid("PullRequestReviewComment", "body", "missing_field");
  checkBody(body, "PullRequestReviewComment");
  const { pull } = first;
  const review: Review = world.identify("PullRequestReview", "PRR", {
    pull,
    state: "COMMENTED" as ReviewState,
    commitId: pull.headSha,
    submittedAt: world.now(),
    ...authored(world, actor, ""),
  });
  pull.reviews.push(review);
  const place = { position: first.position, diffHunk: first.diffHunk };
  const comment = addComment(
    world,
    review,
    actor,
    { path: first.path, body, line: first.line, startLine: first.startLine, side: first.side },
    place,
    first.thread,
  );
  touch(world, pull.issue);
  emitReview(world, review, "submitted", actor.user);
  emitReviewComment(world, comment, "created", actor.user);
  return comment;
}

export function editReviewComment(world: World, comment: ReviewComment, actor: Actor, body: string): void {
  const from = comment.body;
  editBody(world, comment, actor, body, "PullRequestReviewComment");
  emitReviewComment(world, comment, "edited", actor.user, { changes: { body: { from } } });
}

export function deleteReviewComment(world: World, comment: ReviewComment, actor: Actor): void {
  const { thread, pull } = comment;
  thread.comments = thread.comments.filter((candidate) => candidate !== comment);
  if (thread.comments.length === 0) pull.threads = pull.threads.filter((candidate) => candidate !== thread);
  emitReviewComment(world, comment, "deleted", actor.user);
}

export function resolveThread(world: World, thread: Thread, actor: Actor, resolved: boolean): void {
  if ((thread.resolvedBy !== undefined) === resolved) return;
  thread.resolvedBy = resolved ? actor.user : undefined;
  world.webhooks.emit({
    event: "pull_request_review_thread",
    action: resolved ? "resolved" : "unresolved",
    repository: thread.pull.issue.repository,
    sender: actor.user,
    body: {
      pull_request: simplePull(world, thread.pull),
      thread: {
        node_id: thread.nodeId,
        comments: thread.comments.map((comment) => reviewCommentJson(world, comment)),
      },
    },
  });
}

interface Place {
  position: number;
  diffHunk: string;
}

/** Where in the diff a comment is; 422 where its file or line is not part of the pull request's diff. */
async function locate(pull: Pull, comment: InlineComment): Promise<Place> {
  if (comment.body.trim() === "") throw new ApiError(422, "Unprocessable Entity", ["Body can't be blank"]);
  const file = (await pullFiles(pull)).find((candidate) => candidate.path === comment.path);
  if (!file) throw new ApiError(422, "Unprocessable Entity", ["Path could not be resolved"]);
  if (comment.subjectType === "file") return { position: 1, diffHunk: "" };
  const lines = (file.patch ?? "").split("\n");
  const position = comment.position ?? positionOf(lines, comment.line, comment.side ?? "RIGHT");
  if (position === undefined || position >= lines.length) {
    throw new ApiError(422, "Unprocessable Entity", ["Line could not be resolved"]);
  }
  const hunk = lines.slice(0, position + 1).findLastIndex((line) => line.startsWith("@@"));
  return { position, diffHunk: lines.slice(hunk, position + 1).join("\n") };
}

function positionOf(lines: string[], line: number | undefined, side: "LEFT" | "RIGHT"): number | undefined {
  let left = 0;
  let right = 0;
  for (const [at, text] of lines.entries()) {
    const header = /^@@ -(\d+)(?:,\d+)? \+(\d+)(?:,\d+)? @@/.exec(text);
    if (header) {
      left = Number(header[1]);
      right = Number(header[2]);
      continue;
    }
    const onSide = side === "RIGHT" ? !text.startsWith("-") : !text.startsWith("+");
    if (onSide && (side === "RIGHT" ? right : left) === line) return at;
    if (!text.startsWith("+")) left += 1;
    if (!text.startsWith("-")) right += 1;
  }
  return undefined;
}

function addComment(
  world: World,
  review: Review,
  actor: Actor,
  input: InlineComment,
  place: Place,
  known: Thread | undefined,
): ReviewComment {
  const { pull } = review;
  const thread = known ?? newThread(world, pull);
  const comment: ReviewComment = world.identify("PullRequestReviewComment", "PRRC", {
    pull,
    review,
    thread,
    path: input.path,
    line: input.line,
    startLine: input.startLine,
    side: input.side ?? "RIGHT",
    position: place.position,
    diffHunk: place.diffHunk,
    commitId: review.commitId,
    originalCommitId: review.commitId,
    subjectType: input.subjectType ?? "line",
    minimizedReason: null,
    ...authored(world, actor, input.body),
  });
  thread.comments.push(comment);
  return comment;
}

function newThread(world: World, pull: Pull): Thread {
  const thread: Thread = world.identify("PullRequestReviewThread", "PRRT", {
    pull,
    comments: [],
    resolvedBy: undefined,
  });
  pull.threads.push(thread);
  return thread;
}

function emitReview(world: World, review: Review, action: string, sender: User): void {
  world.webhooks.emit({
    event: "pull_request_review",
    action,
    repository: review.pull.issue.repository,
    sender,
    body: { review: webhookReview(world, review), pull_request: simplePull(world, review.pull) },
  });
}

function emitReviewComment(
  world: World,
  comment: ReviewComment,
  action: string,
  sender: User,
  extra: Record<string, unknown> = {},
): void {
  world.webhooks.emit({
    event: "pull_request_review_comment",
    action,
    repository: comment.pull.issue.repository,
    sender,
    body: { comment: reviewCommentJson(world, comment), pull_request: simplePull(world, comment.pull), ...extra },
  });
}
