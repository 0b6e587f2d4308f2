import { ourBranch } from "../policy/markers.ts";
import { actorOf, type Delivered, type Known, type SeenPull, type Verdict, whyNotHeard, workOf } from "./handler.ts";

/** What is read of a review; in webhooks its state is in lower case. */
export interface SeenReview {
  id: number;
  node_id: string;
  body?: string | null;
  state: string;
  submitted_at?: string | null;
  commit_id?: string | null;
}

/** One submitted review on our own pull request leads to new commits, once per review (B17). An approval asks for nothing. */
export function reviewSubmitted(
  { id, payload }: Delivered<{ review: SeenReview; pull_request: SeenPull }>,
  known: Known,
): Verdict {
  const { review, pull_request: pull, sender } = payload;
  if (!ourBranch(pull.head.ref) || pull.head.repo?.id !== payload.repository.id)
    return { ignore: "not our pull request" };
  const unheard = whyNotHeard(sender, known);
  if (unheard !== undefined) return { ignore: unheard };
  if (pull.state !== "open") return { ignore: "the pull request is closed" };
  if (review.state === "approved" || review.state === "dismissed") return { ignore: `the review is ${review.state}` };
  const work = workOf(payload, { kind: "pull-request", number: pull.number });
  if (work === undefined) return { ignore: "no installation" };
  return {
    start: {
      work,
      id: `review:${review.id}`,
      pipeline: "iterate-pr",
      actor: actorOf(sender),
      at: new Date(review.submitted_at ?? pull.updated_at).toISOString(),
      trigger: { kind: "review", reviewId: review.id, nodeId: review.node_id },
      deliveryId: id,
      headSha: review.commit_id ?? undefined,
      args: review.body ?? "",
      text: { title: pull.title, body: pull.body ?? "" },
    },
  };
}
