import { actorOf, type Delivered, type Known, type SeenIssue, type Verdict, workOf } from "./handler.ts";

type Gone = Delivered<{
  action: "closed" | "deleted" | "transferred" | "unlabeled";
  issue: SeenIssue;
  label?: { name: string };
}>;

/** A closed issue, or our label taken off, cancels whoever did it: these are states, not commands (B18). */
export function issueClosed({ id, payload }: Gone, known: Known): Verdict {
  const { issue, sender } = payload;
  if (payload.action === "unlabeled" && payload.label?.name !== known.operator.labels.trigger)
    return { ignore: "another label" };
  if (sender.login === `${known.app.slug}[bot]`) return { ignore: "own act" };
  const work = workOf(payload, { kind: "issue", number: issue.number });
  if (work === undefined) return { ignore: "no installation" };
  return {
    start: {
      work,
      id: idOf(payload) ?? `delivery:${id}`,
      pipeline: "answer-command",
      command: payload.action === "unlabeled" ? "unlabelled" : "closed",
      actor: actorOf(sender),
      at: new Date(issue.updated_at).toISOString(),
      trigger: { kind: "state" },
      deliveryId: id,
    },
  };
}

/** The list of an issue's events has no trace of an issue that was deleted or moved away. */
function idOf({ action, issue, label }: Gone["payload"]): string | undefined {
  if (action === "unlabeled") return `unlabelled:${label?.name}:${issue.updated_at}`;
  return action === "closed" ? `closed:${issue.closed_at ?? issue.updated_at}` : undefined;
}
