import type { LocalGitHub } from "../../support/local-github/index.ts";
import type { Authored, Issue, Repository } from "../../support/local-github/types.ts";
import { fullNameOf } from "../../support/local-github/world.ts";

/** Everything that somebody could have changed on the local GitHub: a name for each thing, and how it stands. */
export type WorldState = Map<string, string>;

export async function stateOf(github: LocalGitHub): Promise<WorldState> {
  const state: WorldState = new Map();
  for (const repository of github.world.repositories.values()) await addRepository(state, github, repository);
  for (const { id, account, selection, permissions, suspendedAt } of github.world.installations.values())
    state.set(`installation ${id}`, JSON.stringify([account.login, selection, permissions, suspendedAt]));
  for (const login of github.world.users.keys()) state.set(`account ${login}`, "");
  return state;
}

/** Names of what is new, different or gone. */
export function changesBetween(before: WorldState, after: WorldState): string[] {
  const names = new Set([...before.keys(), ...after.keys()]);
  return [...names].filter((name) => before.get(name) !== after.get(name));
}

async function addRepository(state: WorldState, github: LocalGitHub, repository: Repository): Promise<void> {
  const name = fullNameOf(repository);
  const add = (what: string, value: unknown) => state.set(`${name} ${what}`, JSON.stringify(value));
  add("settings", [
    repository.description,
    repository.private,
    repository.archived,
    repository.defaultBranch,
    [...repository.collaborators],
    [...repository.protections],
  ]);
  const refs = await github.repository(name).git("for-each-ref", "--format=%(refname) %(objectname)");
  for (const line of refs.split("\n").filter(Boolean)) add(line.split(" ")[0] ?? "", line.split(" ")[1]);
  for (const label of repository.labels.values()) add(`label ${label.name}`, [label.color, label.description]);
  for (const issue of repository.issues.values()) addIssue(add, issue);
  for (const run of repository.checkRuns) add(`check run ${run.name} at ${run.headSha}`, [run.status, run.conclusion]);
  for (const status of repository.statuses) add(`status ${status.context} at ${status.sha}`, status.state);
  for (const run of repository.workflowRuns) add(`workflow run ${run.id}`, [run.status, run.attempt]);
}

function addIssue(add: (what: string, value: unknown) => void, issue: Issue): void {
  const { number, pull } = issue;
  const authored = ({ author, body, edits, reactions }: Authored) => [
    author.login,
    body,
    edits.length,
    reactions.map(({ user, content }) => [user.login, content]),
  ];
  add(`#${number}`, [
    issue.title,
    issue.state,
    issue.locked,
    issue.labels.map((label) => label.name),
    issue.assignees.map((user) => user.login),
    issue.parent?.number,
    authored(issue),
    issue.comments.map((comment) => [...authored(comment), comment.minimizedReason]),
    pull && [
      pull.draft,
      pull.headRef,
      pull.headSha,
      pull.baseRef,
      pull.mergedAt,
      pull.requestedReviewers.map((user) => user.login),
      pull.reviews.map((review) => [...authored(review), review.state]),
      pull.threads.map((thread) => [thread.resolvedBy?.login, thread.comments.map(authored)]),
    ],
  ]);
}
