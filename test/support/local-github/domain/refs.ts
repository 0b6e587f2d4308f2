import { git, readCommits, tryGit, ZERO_SHA } from "../git.ts";
import { htmlUrl, noReplyAddress, time } from "../serialise.ts";
import type { Actor, Repository } from "../types.ts";
import { fullNameOf, type World } from "../world.ts";
import { announcePull } from "./announce.ts";
import { closePull, pullsOf } from "./pulls.ts";

/** GitHub lists up to 2,048 commits in a push event; a push is described by the newest of them here. */
const MAX_COMMITS_IN_PUSH = 20;

export interface RefMove {
  ref: string;
  /** ZERO_SHA where the ref is new. */
  before: string;
  /** ZERO_SHA where the ref is deleted. */
  after: string;
}

/** Moves a ref if it still is at `before` (compare-and-set by git itself), then lets everything follow it. */
export async function moveRef(world: World, repository: Repository, actor: Actor, move: RefMove): Promise<void> {
  const args =
    move.after === ZERO_SHA
      ? ["update-ref", "-d", move.ref, move.before]
      : ["update-ref", move.ref, move.after, move.before];
  await git(repository.gitDir, args);
  await refMoved(world, repository, actor, move);
}

/** What follows when a ref has moved, by push or by API: pull requests, events, times. */
export async function refMoved(world: World, repository: Repository, actor: Actor, move: RefMove): Promise<void> {
  repository.pushedAt = world.now();
  if (!/^refs\/(heads|tags)\//.test(move.ref)) return;
  const created = move.before === ZERO_SHA;
  const deleted = move.after === ZERO_SHA;
  const [, kind, name] = /^refs\/(heads|tags)\/(.*)$/.exec(move.ref) ?? [];
  if (created || deleted) {
    world.webhooks.emit({
      event: created ? "create" : "delete",
      repository,
      sender: actor.user,
      body: {
        ref: name,
        ref_type: kind === "heads" ? "branch" : "tag",
        pusher_type: "user",
        ...(created ? { master_branch: repository.defaultBranch, description: repository.description } : {}),
      },
    });
  }
  if (world.webhooks.hasAudience("push", repository)) {
    const body = await pushBody(world, repository, actor, move);
    world.webhooks.emit({ event: "push", repository, sender: actor.user, body });
  }
  if (kind === "heads" && name) await followPulls(world, repository, actor, name, move);
}

async function followPulls(
  world: World,
  repository: Repository,
  actor: Actor,
  branch: string,
  move: RefMove,
): Promise<void> {
  for (const candidate of world.repositories.values()) {
    for (const pull of pullsOf(candidate)) {
      if (pull.issue.state !== "open") continue;
      if (candidate === repository && pull.baseRef === branch && move.after !== ZERO_SHA) pull.baseSha = move.after;
      if (pull.headRepository !== repository || pull.headRef !== branch) continue;
      if (move.after === ZERO_SHA) {
        closePull(world, pull, actor);
        continue;
      }
      if (candidate !== repository) await git(candidate.gitDir, ["fetch", "--quiet", repository.gitDir, move.after]);
      pull.headSha = move.after;
      pull.issue.updatedAt = world.now();
      await git(candidate.gitDir, ["update-ref", `refs/pull/${pull.issue.number}/head`, move.after]);
      announcePull(world, pull, "synchronize", actor.user, { before: move.before, after: move.after });
    }
  }
}

async function pushBody(
  world: World,
  repository: Repository,
  actor: Actor,
  move: RefMove,
): Promise<Record<string, unknown>> {
  const created = move.before === ZERO_SHA;
  const deleted = move.after === ZERO_SHA;
  const known = created ? ["--not", `--exclude=${move.ref}`, "--all"] : [`^${move.before}`];
  const commits = deleted
    ? []
    : await readCommits(repository.gitDir, ["--reverse", "-n", String(MAX_COMMITS_IN_PUSH), move.after, ...known]);
  const described = await Promise.all(commits.map((commit) => describe(world, repository, commit.sha)));
  const forced =
    !created &&
    !deleted &&
    (await tryGit(repository.gitDir, ["merge-base", "--is-ancestor", move.before, move.after])) === undefined;
  return {
    ref: move.ref,
    before: move.before,
    after: move.after,
    base_ref: null,
    compare: `${htmlUrl(world, repository)}/compare/${move.before.slice(0, 12)}...${move.after.slice(0, 12)}`,
    created,
    deleted,
    forced,
    pusher: { name: actor.user.login, email: noReplyAddress(actor.user) },
    commits: described,
    head_commit: deleted ? null : (described.at(-1) ?? (await describe(world, repository, move.after))),
  };
}

async function describe(world: World, repository: Repository, name: string): Promise<Record<string, unknown>> {
  const [commit] = await readCommits(repository.gitDir, ["-1", name]);
  if (!commit) throw new Error(`${name} is no commit of ${fullNameOf(repository)}`);
  const changed = await git(repository.gitDir, [
    ...["diff-tree", "--root", "--no-commit-id", "--no-renames", "-r", "-m", "--first-parent", "--name-status"],
    commit.sha,
  ]);
  const paths = (letter: string): string[] =>
    changed
      .split("\n")
      .filter((line) => line.startsWith(`${letter}\t`))
      .map((line) => line.slice(2));
  return {
    id: commit.sha,
    tree_id: commit.tree,
    distinct: true,
    message: commit.message,
    timestamp: time(commit.committer.date),
    url: `${htmlUrl(world, repository)}/commit/${commit.sha}`,
    author: { name: commit.author.name, email: commit.author.email },
    committer: { name: commit.committer.name, email: commit.committer.email },
    added: paths("A"),
    removed: paths("D"),
    modified: paths("M"),
  };
}
