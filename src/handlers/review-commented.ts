import { ourBranch } from "../policy/markers.ts";
import {
  actorOf,
  type Delivered,
  type Known,
  type SeenComment,
  type SeenPull,
  type Verdict,
  whyNotHeard,
  workOf,
} from "./handler.ts";

/**
 * `pull_request_review_comment.created`: a reply in a thread starts `review-pr`, which answers it where the thread is one of
 * our findings (R6). On our own pull requests a reply is a review, which `iterate-pr` works on (B17).
 */
export function reviewCommented(
  { id, payload }: Delivered<{ comment: SeenComment & { in_reply_to_id?: number }; pull_request: SeenPull }>,
  known: Known,
): Verdict {
  const { comment, pull_request: pull, sender } = payload;
  const inReplyTo = comment.in_reply_to_id;
  if (inReplyTo === undefined || inReplyTo === null) return { ignore: "not a reply" };
  const unheard =
    whyNotHeard(sender, known) ?? (comment.performed_via_github_app?.id === known.app.id ? "own act" : undefined);
  if (unheard !== undefined) return { ignore: unheard };
  if (ourBranch(pull.head.ref) && pull.head.repo?.id === payload.repository.id)
    return { ignore: "a review of our own pull request" };
  if (pull.state !== "open") return { ignore: "the pull request is closed" };
  const work = workOf(payload, { kind: "pull-request", number: pull.number });
  if (work === undefined) return { ignore: "no installation" };
  return {
    start: {
      work,
      id: `review-comment:${comment.id}`,
      pipeline: "review-pr",
      actor: actorOf(sender),
      at: new Date(comment.created_at).toISOString(),
      trigger: { kind: "review-comment", commentId: comment.id, nodeId: comment.node_id, inReplyTo },
      deliveryId: id,
      args: comment.body,
    },
  };
}
