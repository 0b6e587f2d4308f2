import { createHash } from "node:crypto";
import { planMarker } from "../policy/markers.ts";
import {
  actorOf,
  type Delivered,
  type Known,
  type SeenComment,
  type SeenIssue,
  type Verdict,
  whyNotHeard,
  workOf,
} from "./handler.ts";

/** `issue_comment.edited` on our own plan comment by a person: a ticked box approves it, another text re-plans (B9). */
export function commentEdited(
  { id, payload }: Delivered<{ issue: Pick<SeenIssue, "number" | "title">; comment: SeenComment }>,
  known: Known,
): Verdict {
  const { comment, issue, sender } = payload;
  if (comment.performed_via_github_app?.id !== known.app.id || !comment.body.includes(planMarker))
    return { ignore: "not our plan" };
  const unheard = whyNotHeard(sender, known);
  if (unheard !== undefined) return { ignore: unheard };
  const work = workOf(payload, { kind: "issue", number: issue.number });
  if (work === undefined) return { ignore: "no installation" };
  return {
    start: {
      work,
      // Two edits may be made in one second.
      id: `edited:${comment.id}:${comment.updated_at}:${createHash("sha256").update(comment.body).digest("hex").slice(0, 12)}`,
      pipeline: "answer-command",
      command: "plan-edited",
      actor: actorOf(sender),
      at: new Date(comment.updated_at).toISOString(),
      trigger: { kind: "comment", commentId: comment.id, nodeId: comment.node_id },
      deliveryId: id,
      text: { title: issue.title, body: comment.body },
    },
  };
}
