import type { ProbotOctokit } from "probot";
import { statusOf } from "../../../github/client.ts";
import type { Deps } from "../../deps.ts";
import type { StepContext } from "../../step.ts";
import { place, subjectNumber } from "./repository.ts";

/** Truth is re-read before every effect (architecture.md rule 8): why this work is no longer wanted, or undefined. */
export async function whyStale(deps: Deps, ctx: StepContext): Promise<string | undefined> {
  const octokit = await ctx.github({ issues: "read", pull_requests: "read", metadata: "read" });
  return whyUnwanted(await currentIssue(octokit, ctx), deps, ctx);
}

/** Why work on this issue or pull request is not wanted any more: gone, closed, or without the label that started it. */
export function whyUnwanted(issue: CurrentIssue | undefined, deps: Deps, ctx: StepContext): string | undefined {
  if (issue === undefined) return gone;
  const subject = issue.pull_request === undefined ? "issue" : "pull request";
  if (issue.state !== "open") return `The ${subject} was closed.`;
  const label = deps.operator.labels.trigger;
  return ctx.intent.trigger.kind === "label" && !labelNames(issue).includes(label)
    ? `The label \`${label}\` was removed.`
    : undefined;
}

const gone = "The issue was deleted or moved.";

export interface CurrentIssue {
  state: string;
  labels: (string | { name?: string })[];
  pull_request?: unknown;
}

export function labelNames(issue: CurrentIssue | undefined): string[] {
  return (issue?.labels ?? [])
    .map((label) => (typeof label === "string" ? label : (label.name ?? "")))
    .filter((name) => name !== "");
}

/**
 * The issue or pull request as it is now; undefined when it is gone. GitHub sends whoever asks for a transferred issue on
 * to the other repository, which is not what the work is about; a renamed repository's issue stays itself.
 * https://docs.github.com/en/rest/issues/issues#get-an-issue
 */
export async function currentIssue(octokit: ProbotOctokit, ctx: StepContext): Promise<CurrentIssue | undefined> {
  const { owner, repo, number } = place(ctx.intent, subjectNumber(ctx.intent));
  try {
    const { data, url } = await octokit.rest.issues.get({ owner, repo, issue_number: number });
    const movedTo = /\/repositories\/(\d+)\//.exec(url)?.[1];
    const isOther = movedTo !== undefined && Number(movedTo) !== ctx.intent.work.repositoryId;
    return data.number === number && !isOther ? data : undefined;
  } catch (error) {
    if (statusOf(error) === 404 || statusOf(error) === 410) return undefined;
    throw error;
  }
}

/**
 * Why GitHub takes nothing here any more, when that is what this error means: the issue is gone or the repository is
 * read-only. Undefined for every other error.
 */
export async function whyUnwritable(
  error: unknown,
  octokit: ProbotOctokit,
  ctx: StepContext,
): Promise<string | undefined> {
  if (![403, 404, 410].includes(statusOf(error) ?? 0)) return undefined;
  const { owner, repo } = ctx.intent.work;
  const repository = await octokit.rest.repos.get({ owner, repo }).then(
    ({ data }) => data,
    () => undefined,
  );
  if (repository?.archived === true) return "This repository is archived, so nothing can be written to it.";
  return repository !== undefined && (await currentIssue(octokit, ctx)) === undefined ? gone : undefined;
}
