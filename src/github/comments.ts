import type { ProbotOctokit } from "probot";
import { statusOf } from "./client.ts";

interface Place {
  owner: string;
  repo: string;
  number: number;
}

export interface OwnComment {
  id: number;
  nodeId: string;
  body: string;
}

/**
 * Find-or-create by marker: one comment of our App per marker, whoever else forges it. Creates, lists again and keeps
 * the oldest, because a POST may have succeeded although its answer was lost. Call inside `ctx.effect`.
 */
export async function putComment(
  octokit: ProbotOctokit,
  appId: number,
  place: Place,
  marker: string,
  body: string,
  knownId?: number,
): Promise<OwnComment> {
  const text = `${body}\n\n${marker}`;
  if (knownId !== undefined) {
    const updated = await updateComment(octokit, place, knownId, text);
    if (updated !== undefined) return updated;
  }
  const [existing] = await ownComments(octokit, appId, place, marker);
  if (existing !== undefined) {
    if (existing.body === text) return existing;
    return (await updateComment(octokit, place, existing.id, text)) ?? existing;
  }
  const { data } = await octokit.rest.issues.createComment({
    owner: place.owner,
    repo: place.repo,
    issue_number: place.number,
    body: text,
  });
  const [oldest, ...younger] = await ownComments(octokit, appId, place, marker);
  for (const comment of younger)
    await octokit.rest.issues.deleteComment({ owner: place.owner, repo: place.repo, comment_id: comment.id });
  return oldest ?? { id: data.id, nodeId: data.node_id, body: text };
}

/** Undefined when a person deleted the comment. */
async function updateComment(
  octokit: ProbotOctokit,
  place: Place,
  id: number,
  body: string,
): Promise<OwnComment | undefined> {
  try {
    const { data } = await octokit.rest.issues.updateComment({
      owner: place.owner,
      repo: place.repo,
      comment_id: id,
      body,
    });
    return { id: data.id, nodeId: data.node_id, body };
  } catch (error) {
    if (statusOf(error) === 404) return undefined;
    throw error;
  }
}

/** Our App's comments that carry the marker, oldest first. Newest pages are read first only as far as needed: issues are rarely long. */
async function ownComments(octokit: ProbotOctokit, appId: number, place: Place, marker: string): Promise<OwnComment[]> {
  const comments = await octokit.paginate(octokit.rest.issues.listComments, {
    owner: place.owner,
    repo: place.repo,
    issue_number: place.number,
    per_page: 100,
  });
  return comments
    .filter((comment) => comment.performed_via_github_app?.id === appId && comment.body?.includes(marker))
    .map((comment) => ({ id: comment.id, nodeId: comment.node_id, body: comment.body ?? "" }))
    .sort((a, b) => a.id - b.id);
}

/** Folds a comment away as outdated; harmless when it is already. */
export async function minimiseComment(octokit: ProbotOctokit, nodeId: string): Promise<void> {
  await octokit.graphql(
    `mutation ($id: ID!) { minimizeComment(input: { subjectId: $id, classifier: OUTDATED }) { minimizedComment { isMinimized } } }`,
    { id: nodeId },
  );
}
