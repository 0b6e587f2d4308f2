import { type ChangedFile, type CommitFacts, diffFiles, git, readCommits, tryGit } from "../git.ts";
import { fullPull, type PullFigures } from "../serialise.ts";
import type { Pull, User } from "../types.ts";
import type { Emission } from "../webhooks.ts";
import type { World } from "../world.ts";

/** Sends a `pull_request` event that says what is true now; it keeps its place among the events before and after. */
export function announcePull(
  world: World,
  pull: Pull,
  action: string,
  sender: User,
  extra: Record<string, unknown> = {},
): void {
  const { issue } = pull;
  const emission: Emission = { event: "pull_request", action, repository: issue.repository, sender, body: {} };
  const snapshot = { ...pull };
  const shown = fullPull(world, pull, { mergeable: null, commits: 0, additions: 0, deletions: 0, changedFiles: 0 });
  world.webhooks.emitWith(emission, async () => {
    const figures = await pullFigures(snapshot, false);
    const counts = {
      commits: figures.commits,
      additions: figures.additions,
      deletions: figures.deletions,
      changed_files: figures.changedFiles,
    };
    return { number: issue.number, pull_request: webhookPull({ ...shown, ...counts }), ...extra };
  });
}

function webhookPull(pull: Record<string, unknown>): Record<string, unknown> {
  return {
    ...pull,
    allow_auto_merge: false,
    allow_update_branch: false,
    delete_branch_on_merge: false,
    merge_commit_message: "PR_TITLE",
    merge_commit_title: "MERGE_MESSAGE",
    squash_merge_commit_message: "COMMIT_MESSAGES",
    squash_merge_commit_title: "COMMIT_OR_PR_TITLE",
    use_squash_pr_title_as_default: false,
  };
}

async function mergeBase(pull: Pull): Promise<string> {
  const { gitDir } = pull.issue.repository;
  return (await tryGit(gitDir, ["merge-base", pull.baseSha, pull.headSha])) ?? pull.baseSha;
}

export async function pullFiles(pull: Pull): Promise<ChangedFile[]> {
  return diffFiles(pull.issue.repository.gitDir, await mergeBase(pull), pull.headSha);
}

/** The pull request's commits, oldest first. */
export function pullCommits(pull: Pull): Promise<CommitFacts[]> {
  return readCommits(pull.issue.repository.gitDir, ["--reverse", `${pull.baseSha}..${pull.headSha}`]);
}

/** Numbers and mergeability. GitHub works mergeability out after someone has asked: null the first time. */
export async function pullFigures(pull: Pull, asked: boolean): Promise<PullFigures> {
  const { gitDir } = pull.issue.repository;
  const key = `${pull.baseSha}:${pull.headSha}`;
  const known = pull.mergeabilityKnownFor === key;
  if (asked) pull.mergeabilityKnownFor = key;
  const [files, commits, clean] = await Promise.all([
    pullFiles(pull),
    git(gitDir, ["rev-list", "--count", `${pull.baseSha}..${pull.headSha}`]),
    known && pull.issue.state === "open" ? mergesCleanly(pull) : null,
  ]);
  return {
    mergeable: clean,
    commits: Number(commits),
    additions: files.reduce((sum, file) => sum + file.additions, 0),
    deletions: files.reduce((sum, file) => sum + file.deletions, 0),
    changedFiles: files.length,
  };
}

async function mergesCleanly(pull: Pull): Promise<boolean> {
  return (await mergedTree(pull)) !== undefined;
}

/** The tree of a merge without conflicts; undefined where there are some. */
export async function mergedTree(pull: Pull): Promise<string | undefined> {
  const { gitDir } = pull.issue.repository;
  return (await tryGit(gitDir, ["merge-tree", "--write-tree", pull.baseSha, pull.headSha]))?.split("\n")[0];
}
