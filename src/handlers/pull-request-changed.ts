import { actorOf, type Delivered, type SeenPull, type Verdict, workOf } from "./handler.ts";

/** What happened to the pull request, in the words of `review.on`. */
const events: Record<string, "opened" | "ready" | "pushed"> = {
  opened: "opened",
  reopened: "opened",
  ready_for_review: "ready",
  synchronize: "pushed",
};

/**
 * `pull_request.opened`, `reopened`, `ready_for_review` and `synchronize` start `review-pr` for the head as it is now.
 * Whether this repository wants it, and of this author, is read from its default branch by the run. Our own pull requests are
 * reviewed too: a review pushes nothing, so nothing can go round in circles.
 */
export function pullRequestChanged({
  id,
  payload,
}: Delivered<{ action: string; pull_request: SeenPull & { head: { sha: string } } }>): Verdict {
  const { action, pull_request: pull, sender } = payload;
  const event = events[action];
  if (event === undefined) return { ignore: "another change" };
  if (pull.state !== "open") return { ignore: "the pull request is closed" };
  const work = workOf(payload, { kind: "pull-request", number: pull.number });
  if (work === undefined) return { ignore: "no installation" };
  // One head is one review, however it came to be the head; a draft that becomes ready has been passed over with the same one.
  const isHead = action === "opened" || action === "synchronize";
  return {
    start: {
      work,
      id: isHead ? `head:${pull.head.sha}` : `${action}:${pull.updated_at}`,
      pipeline: "review-pr",
      actor: actorOf(sender),
      at: new Date(pull.updated_at).toISOString(),
      trigger: { kind: "state", event },
      deliveryId: id,
      headSha: pull.head.sha,
    },
  };
}
