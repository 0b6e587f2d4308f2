import type { Event, Known, Verdict } from "./handler.ts";
import { actorOf, workOf } from "./handler.ts";

/** A closed issue, or our label taken off, cancels whoever did it: these are states, not commands (B18). */
export function issueClosed(
  { id, payload }: Event<"issues.closed" | "issues.deleted" | "issues.transferred" | "issues.unlabeled">,
  known: Known,
): Verdict {
  const { issue, sender } = payload;
  if (payload.action === "unlabeled" && payload.label?.name !== known.operator.labels.trigger)
    return { ignore: "another label" };
  if (sender.login === `${known.app.slug}[bot]`) return { ignore: "own act" };
  const work = workOf(payload, { kind: "issue", number: issue.number });
  if (work === undefined) return { ignore: "no installation" };
  return {
    start: {
      work,
      id: `delivery:${id}`,
      pipeline: "answer-command",
      command: payload.action === "unlabeled" ? "unlabelled" : "closed",
      actor: actorOf(sender),
      at: new Date(issue.updated_at).toISOString(),
      trigger: { kind: "state" },
      deliveryId: id,
    },
  };
}
