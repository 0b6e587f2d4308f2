import { ApiError, invalid } from "../errors.ts";
import { git, refSha, resolveObject } from "../git.ts";
import { simpleUser } from "../serialise.ts";
import type { Actor, Pull, Repository } from "../types.ts";
import type { World } from "../world.ts";
import { announcePull } from "./announce.ts";
import { checkBody, closeIssue, editBody, newIssue, record, reopenIssue, touch } from "./issues.ts";

export interface PullInput {
  title: string;
  body?: string | null;
  /** A branch, or `owner:branch` for a fork. */
  head: string;
  base: string;
  draft?: boolean;
  maintainerCanModify?: boolean;
}

/**
 * A new pull request.
 * Throws 422 when there is one open for the same head and base, no branch, nothing to merge, or no drafts.
 */
export async function openPull(world: World, repository: Repository, actor: Actor, input: PullInput): Promise<Pull> {
  const { headRepository, headRef } = headOf(world, repository, input.head);
  const headSha = await refSha(headRepository.gitDir, `refs/heads/${headRef}`);
  if (!headSha) throw invalid("PullRequest", "head", "invalid");
  const baseSha = await refSha(repository.gitDir, `refs/heads/${input.base}`);
  if (!baseSha) throw invalid("PullRequest", "base", "invalid");
  if (input.draft && !repository.drafts) {
    throw new ApiError(422, "Draft pull requests are not supported in this repository.");
  }
  refuseSecond(repository, headRepository, headRef, input.base);
  if (headRepository !== repository) await git(repository.gitDir, ["fetch", "--quiet", headRepository.gitDir, headSha]);
  const ahead = await git(repository.gitDir, ["rev-list", "--count", `${baseSha}..${headSha}`]);
  if (ahead === "0") {
    throw invalid("PullRequest", "base", "custom", `No commits between ${input.base} and ${headRef}`);
  }
  refuseSecond(repository, headRepository, headRef, input.base);
  const issue = newIssue(world, repository, actor, input.title, input.body ?? null);
  const pull: Pull = world.identify("PullRequest", "PR", {
    issue,
    draft: input.draft ?? false,
    headRepository,
    headRef,
    headSha,
    baseRef: input.base,
    baseSha,
    mergedAt: undefined,
    mergedBy: undefined,
    mergeCommitSha: null,
    maintainerCanModify: headRepository !== repository && (input.maintainerCanModify ?? true),
    requestedReviewers: [],
    reviews: [],
    threads: [],
    mergeabilityKnownFor: undefined,
  });
  issue.pull = pull;
  await git(repository.gitDir, ["update-ref", `refs/pull/${issue.number}/head`, headSha]);
  announcePull(world, pull, "opened", actor.user);
  return pull;
}

function headOf(world: World, repository: Repository, head: string): { headRepository: Repository; headRef: string } {
  const [owner, ref] = head.includes(":") ? head.split(":", 2) : [repository.owner.login, head];
  if (owner?.toLowerCase() === repository.owner.login.toLowerCase()) {
    return { headRepository: repository, headRef: ref ?? "" };
  }
  for (const fork of world.repositories.values()) {
    if (fork.fork === repository && fork.owner.login.toLowerCase() === owner?.toLowerCase()) {
      return { headRepository: fork, headRef: ref ?? "" };
    }
  }
  throw invalid("PullRequest", "head", "invalid");
}

function refuseSecond(repository: Repository, headRepository: Repository, headRef: string, baseRef: string): void {
  const open = pullsOf(repository).some(
    (pull) =>
      pull.issue.state === "open" &&
      pull.headRepository === headRepository &&
      pull.headRef === headRef &&
      pull.baseRef === baseRef,
  );
  if (open) {
    const name = `${headRepository.owner.login}:${headRef}`;
    throw invalid("PullRequest", "head", "custom", `A pull request already exists for ${name}.`);
  }
}

export function pullsOf(repository: Repository): Pull[] {
  return [...repository.issues.values()].flatMap((issue) => (issue.pull ? [issue.pull] : []));
}

export interface PullChange {
  title?: string;
  body?: string | null;
  state?: "open" | "closed";
  base?: string;
}

export async function changePull(world: World, pull: Pull, actor: Actor, change: PullChange): Promise<void> {
  const { issue } = pull;
  const changes: Record<string, unknown> = {};
  if (change.title !== undefined && change.title !== issue.title) {
    changes.title = { from: issue.title };
    record(world, issue, actor, "renamed", { rename: { from: issue.title, to: change.title } });
    issue.title = change.title;
  }
  if (change.body !== undefined && change.body !== issue.body) {
    checkBody(change.body, "PullRequest");
    changes.body = { from: issue.body ?? "" };
    editBody(world, issue, actor, change.body, "PullRequest");
  }
  if (change.base !== undefined && change.base !== pull.baseRef) {
    const sha = await refSha(issue.repository.gitDir, `refs/heads/${change.base}`);
    if (!sha) throw invalid("PullRequest", "base", "invalid");
    refuseSecond(issue.repository, pull.headRepository, pull.headRef, change.base);
    changes.base = { ref: { from: pull.baseRef }, sha: { from: pull.baseSha } };
    pull.baseRef = change.base;
    pull.baseSha = sha;
  }
  if (Object.keys(changes).length > 0) {
    touch(world, issue);
    announcePull(world, pull, "edited", actor.user, { changes });
  }
  if (change.state === "closed") closePull(world, pull, actor);
  if (change.state === "open") await reopenPull(world, pull, actor);
}

export function closePull(world: World, pull: Pull, actor: Actor): void {
  if (pull.issue.state === "closed") return;
  closeIssue(world, pull.issue, actor);
  announcePull(world, pull, "closed", actor.user);
}

async function reopenPull(world: World, pull: Pull, actor: Actor): Promise<void> {
  if (pull.issue.state === "open") return;
  const head = await refSha(pull.headRepository.gitDir, `refs/heads/${pull.headRef}`);
  if (pull.mergedAt || !head) throw invalid("PullRequest", "state", "invalid", "state cannot be changed.");
  refuseSecond(pull.issue.repository, pull.headRepository, pull.headRef, pull.baseRef);
  pull.headSha = head;
  reopenIssue(world, pull.issue, actor);
  announcePull(world, pull, "reopened", actor.user);
}

export function setDraft(world: World, pull: Pull, actor: Actor, draft: boolean): void {
  if (pull.draft === draft) return;
  if (draft && !pull.issue.repository.drafts) {
    throw new ApiError(422, "Draft pull requests are not supported in this repository.");
  }
  pull.draft = draft;
  record(world, pull.issue, actor, draft ? "convert_to_draft" : "ready_for_review");
  touch(world, pull.issue);
  announcePull(world, pull, draft ? "converted_to_draft" : "ready_for_review", actor.user);
}

export function requestReviewers(world: World, pull: Pull, actor: Actor, logins: string[]): void {
  for (const login of logins) {
    const user = world.users.get(login.toLowerCase());
    if (!user || world.role(pull.issue.repository, user) === "none" || user === pull.issue.author) {
      throw new ApiError(422, `Reviews may only be requested from collaborators. ${login} is not one.`);
    }
    if (pull.requestedReviewers.includes(user)) continue;
    pull.requestedReviewers.push(user);
    record(world, pull.issue, actor, "review_requested", { requestedReviewer: user });
    touch(world, pull.issue);
    announcePull(world, pull, "review_requested", actor.user, {
      requested_reviewer: simpleUser(world, user),
    });
  }
}

/** The commit a name points to in the repository: a branch, a tag, a SHA or a prefix of one. */
export async function commitOf(repository: Repository, name: string): Promise<string | undefined> {
  return (
    (await resolveObject(repository.gitDir, `refs/heads/${name}`)) ??
    (await resolveObject(repository.gitDir, `refs/tags/${name}`)) ??
    (await resolveObject(repository.gitDir, name))
  );
}
