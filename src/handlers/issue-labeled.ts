import { actorOf, type Delivered, type Known, type SeenIssue, type Verdict, whyNotHeard, workOf } from "./handler.ts";

/** `issues.labeled` with our label starts `issue-to-pr`. */
export function issueLabeled(
  { id, payload }: Delivered<{ issue: SeenIssue; label?: { name: string } }>,
  known: Known,
): Verdict {
  const { issue, label, sender } = payload;
  if (label?.name !== known.operator.labels.trigger) return { ignore: "another label" };
  const unheard = whyNotHeard(sender, known);
  if (unheard !== undefined) return { ignore: unheard };
  if (issue.state === "closed") return { ignore: "the issue is closed" };
  if (issue.pull_request != null) return { ignore: "a pull request, not an issue" };
  const work = workOf(payload, { kind: "issue", number: issue.number });
  if (work === undefined) return { ignore: "no installation" };
  return {
    start: {
      work,
      id: `label:${label.name}:${issue.updated_at}`,
      pipeline: "issue-to-pr",
      actor: actorOf(sender),
      at: new Date(issue.updated_at).toISOString(),
      trigger: { kind: "label", label: label.name },
      deliveryId: id,
      text: { title: issue.title, body: issue.body ?? "" },
      author: issue.user == null ? undefined : actorOf(issue.user),
    },
  };
}
