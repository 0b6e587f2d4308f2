import { ApiError } from "../errors.ts";
import { tryGit, writeCommit } from "../git.ts";
import { noReplyAddress } from "../serialise.ts";
import type { Actor, Pull, Repository } from "../types.ts";
import { fullNameOf, type World } from "../world.ts";
import { announcePull, mergedTree, pullCommits } from "./announce.ts";
import { closeIssue, record } from "./issues.ts";
import { moveRef } from "./refs.ts";

export interface MergeInput {
  method?: "merge" | "squash" | "rebase";
  title?: string;
  message?: string;
  sha?: string;
}

/** Merges, moves the base branch and closes the issues that the pull request or its commits say it closes. */
export async function mergePull(world: World, pull: Pull, actor: Actor, input: MergeInput): Promise<string> {
  const { issue } = pull;
  const { repository } = issue;
  if (issue.state === "closed" || pull.draft) throw new ApiError(405, "Pull Request is not mergeable");
  if (input.sha && input.sha !== pull.headSha) {
    throw new ApiError(409, "Head branch was modified. Review and try the merge again.");
  }
  const tree = await mergedTree(pull);
  if (!tree) throw new ApiError(405, "Pull Request is not mergeable");
  const identity = { name: actor.user.name ?? actor.user.login, email: noReplyAddress(actor.user), date: world.now() };
  const squash = input.method === "squash";
  const commits = await pullCommits(pull);
  const sha =
    input.method === "rebase" && (await isAncestor(repository, pull.baseSha, pull.headSha))
      ? pull.headSha
      : await writeCommit(repository.gitDir, {
          tree,
          parents: squash ? [pull.baseSha] : [pull.baseSha, pull.headSha],
          message: mergeMessage(pull, input, squash),
          author: identity,
          committer: { ...identity, name: "GitHub", email: "noreply@github.com" },
        });
  repository.signedCommits.add(sha);
  pull.mergedAt = world.now();
  pull.mergedBy = actor.user;
  pull.mergeCommitSha = sha;
  record(world, issue, actor, "merged", { commitId: sha });
  closeIssue(world, issue, actor);
  const before = pull.baseSha;
  await moveRef(world, repository, actor, { ref: `refs/heads/${pull.baseRef}`, before, after: sha });
  pull.baseSha = before;
  announcePull(world, pull, "closed", actor.user);
  if (pull.baseRef === repository.defaultBranch) {
    closeMentioned(world, repository, actor, [issue.body ?? "", ...commits.map((commit) => commit.message)]);
  }
  return sha;
}

function mergeMessage(pull: Pull, input: MergeInput, squash: boolean): string {
  const { issue } = pull;
  const title = squash
    ? `${issue.title} (#${issue.number})`
    : `Merge pull request #${issue.number} from ${pull.headRepository.owner.login}/${pull.headRef}`;
  const message = input.message ?? (squash ? "" : issue.title);
  return `${input.title ?? title}\n\n${message}`.trimEnd().concat("\n");
}

async function isAncestor(repository: Repository, ancestor: string, descendant: string): Promise<boolean> {
  const answer = await tryGit(repository.gitDir, ["merge-base", "--is-ancestor", ancestor, descendant]);
  return answer !== undefined;
}

/** https://docs.github.com/issues/tracking-your-work-with-issues/using-issues/linking-a-pull-request-to-an-issue */
const CLOSING = /\b(?:close[sd]?|fix(?:e[sd])?|resolve[sd]?):?\s+(?:([\w.-]+\/[\w.-]+))?#(\d+)\b/gi;

/** Numbers of the issues of this repository that a text says it closes. */
function closingNumbers(repository: Repository, text: string): number[] {
  return [...text.matchAll(CLOSING)]
    .filter(([, name]) => !name || name.toLowerCase() === fullNameOf(repository).toLowerCase())
    .map(([, , number]) => Number(number));
}

function closeMentioned(world: World, repository: Repository, actor: Actor, texts: string[]): void {
  for (const number of new Set(texts.flatMap((text) => closingNumbers(repository, text)))) {
    const issue = repository.issues.get(number);
    if (issue && !issue.pull) closeIssue(world, issue, actor);
  }
}
