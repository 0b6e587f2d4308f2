import type { Intent } from "../pipeline/intent.ts";
import { parseCommand } from "./command.ts";
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

/**
 * `issue_comment.created`: `/code` on an issue starts `issue-to-pr`, on a pull request of ours `iterate-pr`; `/fix` and
 * `/review` on any pull request start `fix-check` and `review-pr`; control words start `answer-command`; a plain comment on an issue that waits for information may be the answer (B7).
 */
export function issueCommented(
  { id, payload }: Delivered<{ issue: SeenIssue; comment: SeenComment }>,
  known: Known,
): Verdict {
  const { issue, comment, sender } = payload;
  const unheard =
    whyNotHeard(sender, known) ?? (comment.performed_via_github_app?.id === known.app.id ? "own act" : undefined);
  if (unheard !== undefined) return { ignore: unheard };
  const onPullRequest = issue.pull_request != null;
  const work = workOf(payload, { kind: onPullRequest ? "pull-request" : "issue", number: issue.number });
  if (work === undefined) return { ignore: "no installation" };
  const command = parseCommand(comment.body, known.operator.shortCommands);
  const intent: Omit<Intent, "pipeline"> = {
    work,
    id: `comment:${comment.id}`,
    actor: actorOf(sender),
    at: new Date(comment.created_at).toISOString(),
    trigger: { kind: "comment", commentId: comment.id, nodeId: comment.node_id },
    deliveryId: id,
    author: issue.user == null ? undefined : actorOf(issue.user),
  };
  const text = { title: issue.title, body: issue.body ?? "" };
  if (command === undefined) {
    const waits =
      issue.state === "open" && issue.labels?.some((label) => label.name === known.operator.labels.needsInfo);
    if (onPullRequest || waits !== true) return { ignore: "not a command" };
    return { start: { ...intent, pipeline: "issue-to-pr", text, args: comment.body, answers: true } };
  }
  if (command.word === "review" || command.word === "fix") {
    if (!onPullRequest) return { ignore: "an issue, not a pull request" };
    if (issue.state === "closed") return { ignore: "the pull request is closed" };
    return {
      start: {
        ...intent,
        pipeline: command.word === "fix" ? "fix-check" : "review-pr",
        args: command.args,
        ...(command.short && { short: true }),
      },
    };
  }
  if (command.word !== "code") {
    return {
      start: {
        ...intent,
        pipeline: "answer-command",
        command: command.word,
        args: command.args,
        ...(command.short && { short: true }),
        text,
      },
    };
  }
  if (issue.state === "closed") return { ignore: onPullRequest ? "the pull request is closed" : "the issue is closed" };
  return { start: { ...intent, pipeline: onPullRequest ? "iterate-pr" : "issue-to-pr", args: command.args, text } };
}
