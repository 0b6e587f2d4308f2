import type { ProbotOctokit } from "probot";
import type { FiledIntent } from "../pipeline/intent.ts";

type Content = "eyes" | "-1" | "+1" | "confused";

/** Reacts to what asked for the run; GitHub keeps one reaction per App and content. Reviews take none, so the pull request does; buttons and states need no answer. */
export async function reactToTrigger(
  octokit: ProbotOctokit,
  { work, trigger }: FiledIntent,
  content: Content,
): Promise<void> {
  const place = { owner: work.owner, repo: work.repo, content };
  switch (trigger.kind) {
    case "comment":
      await octokit.rest.reactions.createForIssueComment({ ...place, comment_id: trigger.commentId });
      return;
    case "review-comment":
      await octokit.rest.reactions.createForPullRequestReviewComment({ ...place, comment_id: trigger.commentId });
      return;
    case "label":
    case "review":
      await octokit.rest.reactions.createForIssue({ ...place, issue_number: work.subject.number! });
      return;
    case "button":
    case "state":
      return;
  }
}
