import type { ProbotOctokit } from "probot";
import { statusOf } from "./client.ts";

export interface PullRequestText {
  owner: string;
  repo: string;
  branch: string;
  baseRef: string;
  title: string;
  body: string;
  draft: boolean;
}

export interface OwnPullRequest {
  number: number;
  nodeId: string;
  url: string;
  draft: boolean;
}

/**
 * Find-or-create by branch: GitHub refuses a second open pull request for one head and base. Falls back to a ready one
 * where drafts are not available (422). Call inside `ctx.effect`.
 */
export async function putPullRequest(octokit: ProbotOctokit, wanted: PullRequestText): Promise<OwnPullRequest> {
  const existing = await openPullRequestOf(octokit, wanted);
  if (existing !== undefined) return update(octokit, wanted, existing);
  try {
    return await create(octokit, wanted, wanted.draft);
  } catch (error) {
    if (statusOf(error) !== 422) throw error;
    const now = await openPullRequestOf(octokit, wanted);
    if (now !== undefined) return update(octokit, wanted, now);
    if (wanted.draft && /draft/i.test((error as Error).message)) return create(octokit, wanted, false);
    throw error;
  }
}

async function openPullRequestOf(
  octokit: ProbotOctokit,
  { owner, repo, branch }: Pick<PullRequestText, "owner" | "repo" | "branch">,
): Promise<OwnPullRequest | undefined> {
  const { data } = await octokit.rest.pulls.list({
    owner,
    repo,
    head: `${owner}:${branch}`,
    state: "open",
    per_page: 1,
  });
  const [pull] = data;
  return pull === undefined
    ? undefined
    : { number: pull.number, nodeId: pull.node_id, url: pull.html_url, draft: pull.draft ?? false };
}

async function create(
  octokit: ProbotOctokit,
  { owner, repo, branch, baseRef, title, body }: PullRequestText,
  draft: boolean,
): Promise<OwnPullRequest> {
  const { data } = await octokit.rest.pulls.create({
    owner,
    repo,
    head: branch,
    base: baseRef,
    title,
    body,
    draft,
    maintainer_can_modify: false,
  });
  return { number: data.number, nodeId: data.node_id, url: data.html_url, draft: data.draft ?? false };
}

async function update(
  octokit: ProbotOctokit,
  wanted: PullRequestText,
  existing: OwnPullRequest,
): Promise<OwnPullRequest> {
  await octokit.rest.pulls.update({
    owner: wanted.owner,
    repo: wanted.repo,
    pull_number: existing.number,
    title: wanted.title,
    body: wanted.body,
  });
  if (existing.draft === wanted.draft) return existing;
  const mutation = wanted.draft
    ? `mutation ($id: ID!) { convertPullRequestToDraft(input: { pullRequestId: $id }) { pullRequest { isDraft } } }`
    : `mutation ($id: ID!) { markPullRequestReadyForReview(input: { pullRequestId: $id }) { pullRequest { isDraft } } }`;
  await octokit.graphql(mutation, { id: existing.nodeId });
  return { ...existing, draft: wanted.draft };
}

/** Asks for a review; what GitHub refuses (the person has no access) is not worth a failure. */
export async function requestReview(
  octokit: ProbotOctokit,
  place: { owner: string; repo: string; number: number },
  login: string,
): Promise<void> {
  try {
    await octokit.rest.pulls.requestReviewers({
      owner: place.owner,
      repo: place.repo,
      pull_number: place.number,
      reviewers: [login],
    });
  } catch (error) {
    if (statusOf(error) !== 422) throw error;
  }
}
