import type { ProbotOctokit } from "probot";

interface Place {
  owner: string;
  repo: string;
  number: number;
}

/** A pull request as a review has to know it, read in one query. */
export interface ReviewState {
  state: "open" | "closed" | "merged";
  headSha: string;
  draft: boolean;
  /** Reviews that our App submitted, oldest first. */
  reviews: { id: number; body: string; event: string }[];
  /** Threads that our App began. */
  threads: ReviewThread[];
}

export interface ReviewThread {
  id: string;
  isResolved: boolean;
  path: string;
  line: number | undefined;
  comments: ThreadComment[];
}

export interface ThreadComment {
  id: number;
  /** As REST has it. */
  author: string;
  isBot: boolean;
  /** Written by our App. */
  own: boolean;
  body: string;
  createdAt: string;
  /** Edited by its author or somebody else after it was written. */
  edited: boolean;
  thumbsUp: string[];
  thumbsDown: string[];
}

/** So many pages of threads are read; who has more has not read them either. */
const maxPages = 5;

const query = `query ($owner: String!, $repo: String!, $number: Int!, $after: String) {
  repository(owner: $owner, name: $repo) {
    pullRequest(number: $number) {
      state isDraft headRefOid
      reviews(last: 100) { nodes { databaseId body state author { __typename login } } }
      reviewThreads(first: 100, after: $after) {
        pageInfo { hasNextPage endCursor }
        nodes {
          id isResolved path line
          comments(first: 30) {
            nodes {
              databaseId body createdAt lastEditedAt
              author { __typename login }
              up: reactions(first: 10, content: THUMBS_UP) { nodes { user { login } } }
              down: reactions(first: 10, content: THUMBS_DOWN) { nodes { user { login } } }
            }
          }
        }
      }
    }
  }
}`;

interface Author {
  __typename: string;
  login: string;
}

interface Reactions {
  nodes: { user: { login: string } | null }[];
}

interface Answer {
  repository: {
    pullRequest: {
      state: "OPEN" | "CLOSED" | "MERGED";
      isDraft: boolean;
      headRefOid: string;
      reviews: { nodes: { databaseId: number; body: string; state: string; author: Author | null }[] };
      reviewThreads: {
        pageInfo: { hasNextPage: boolean; endCursor: string | null };
        nodes: {
          id: string;
          isResolved: boolean;
          path: string;
          line: number | null;
          comments: {
            nodes: {
              databaseId: number;
              body: string;
              createdAt: string;
              lastEditedAt: string | null;
              author: Author | null;
              up: Reactions;
              down: Reactions;
            }[];
          };
        }[];
      };
    } | null;
  } | null;
}

/**
 * The pull request's head and state, our reviews of it and the threads that we began, in one request for each hundred
 * threads. Undefined when there is no such pull request. `slug` names our App: a bot's login cannot be forged.
 */
export async function readReviewState(
  octokit: ProbotOctokit,
  place: Place,
  slug: string,
): Promise<ReviewState | undefined> {
  const isOwn = (author: Author | null) =>
    author?.__typename === "Bot" && author.login.replace(/\[bot\]$/, "") === slug;
  const threads: ReviewThread[] = [];
  let after: string | null = null;
  for (let page = 1; ; page += 1) {
    const answer: Answer = await octokit.graphql<Answer>(query, { ...place, after });
    const pull = answer.repository?.pullRequest;
    if (pull == null) return undefined;
    for (const thread of pull.reviewThreads.nodes) {
      if (!isOwn(thread.comments.nodes[0]?.author ?? null)) continue;
      threads.push({
        id: thread.id,
        isResolved: thread.isResolved,
        path: thread.path,
        line: thread.line ?? undefined,
        comments: thread.comments.nodes.map((comment) => ({
          id: comment.databaseId,
          author: comment.author?.login ?? "ghost",
          isBot: comment.author?.__typename !== "User",
          own: isOwn(comment.author),
          body: comment.body,
          createdAt: comment.createdAt,
          edited: comment.lastEditedAt !== null,
          thumbsUp: loginsOf(comment.up),
          thumbsDown: loginsOf(comment.down),
        })),
      });
    }
    const { hasNextPage, endCursor } = pull.reviewThreads.pageInfo;
    if (hasNextPage && page < maxPages) {
      after = endCursor;
      continue;
    }
    return {
      state: pull.state.toLowerCase() as ReviewState["state"],
      headSha: pull.headRefOid,
      draft: pull.isDraft,
      reviews: pull.reviews.nodes
        .filter((review) => isOwn(review.author))
        .map((review) => ({ id: review.databaseId, body: review.body, event: review.state })),
      threads,
    };
  }
}

function loginsOf({ nodes }: Reactions): string[] {
  return nodes.flatMap(({ user }) => (user === null ? [] : [user.login]));
}

/** Where a comment stands, as GitHub's API takes it. */
export interface ReviewComment {
  path: string;
  line: number;
  side: "LEFT" | "RIGHT";
  start_line?: number;
  start_side?: "LEFT" | "RIGHT";
  body: string;
}

/**
 * Posts one review with all its comments in one request. GitHub does not refuse a second one: look for its mark first
 * (architecture.md rule 1). Call inside `ctx.effect`.
 * https://docs.github.com/en/rest/pulls/reviews#create-a-review-for-a-pull-request
 */
export async function postReview(
  octokit: ProbotOctokit,
  place: Place,
  review: {
    headSha: string;
    body: string;
    event: "COMMENT" | "REQUEST_CHANGES" | "APPROVE";
    comments: ReviewComment[];
  },
): Promise<{ id: number; url: string }> {
  const { data } = await octokit.rest.pulls.createReview({
    owner: place.owner,
    repo: place.repo,
    pull_number: place.number,
    commit_id: review.headSha,
    body: review.body,
    event: review.event,
    comments: review.comments,
  });
  return { id: data.id, url: data.html_url };
}

/** Takes back a request for changes; harmless when it is taken back already. Call inside `ctx.effect`. */
export async function dismissReview(octokit: ProbotOctokit, place: Place, id: number, message: string): Promise<void> {
  await octokit.rest.pulls.dismissReview({
    owner: place.owner,
    repo: place.repo,
    pull_number: place.number,
    review_id: id,
    message,
  });
}

/** Marks a thread as resolved, or as open again; harmless when it is so already. Call inside `ctx.effect`. */
export async function setResolved(octokit: ProbotOctokit, threadId: string, resolved: boolean): Promise<void> {
  const name = resolved ? "resolveReviewThread" : "unresolveReviewThread";
  await octokit.graphql(`mutation ($id: ID!) { ${name}(input: { threadId: $id }) { thread { isResolved } } }`, {
    id: threadId,
  });
}

/** Answers in a thread, which is named by its first comment. Call inside `ctx.effect`. */
export async function replyInThread(
  octokit: ProbotOctokit,
  place: Place,
  commentId: number,
  body: string,
): Promise<void> {
  await octokit.rest.pulls.createReplyForReviewComment({
    owner: place.owner,
    repo: place.repo,
    pull_number: place.number,
    comment_id: commentId,
    body,
  });
}
