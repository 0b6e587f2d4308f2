import { statusOf } from "../../../github/client.ts";
import type { Deps } from "../../deps.ts";
import type { StepContext } from "../../step.ts";
import { place, subjectNumber } from "./repository.ts";

/** Truth is re-read before every effect (architecture.md rule 8): why this work is no longer wanted, or undefined. */
export async function whyStale(deps: Deps, ctx: StepContext): Promise<string | undefined> {
  const octokit = await ctx.github({ issues: "read", pull_requests: "read", metadata: "read" });
  const { owner, repo, number } = place(ctx.intent, subjectNumber(ctx.intent));
  try {
    const { data } = await octokit.rest.issues.get({ owner, repo, issue_number: number });
    const subject = data.pull_request === undefined ? "issue" : "pull request";
    if (data.state !== "open") return `The ${subject} was closed.`;
    const { trigger } = ctx.intent;
    const names = data.labels.map((label) => (typeof label === "string" ? label : label.name));
    const label = deps.operator.labels.trigger;
    return trigger.kind === "label" && !names.includes(label) ? `The label \`${label}\` was removed.` : undefined;
  } catch (error) {
    if (statusOf(error) === 404 || statusOf(error) === 410) return "The issue was deleted or moved.";
    throw error;
  }
}
