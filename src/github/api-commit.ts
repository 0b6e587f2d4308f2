import type { ProbotOctokit } from "probot";
import type { FileChange } from "../policy/change.ts";
import { statusOf } from "./client.ts";

export type ApiCommit =
  | { kind: "committed"; sha: string }
  | { kind: "moved"; actualSha: string | undefined }
  | { kind: "not-possible"; reason: string };

/**
 * Commits through GitHub's API, so that GitHub signs the commit ("Verified"). Compare-and-set by `expectedHeadOid`.
 * The API knows plain texts alone: programs, links, binary files, and what replaces an earlier commit have to be pushed by git.
 * https://docs.github.com/en/graphql/reference/mutations#createcommitonbranch
 */
export async function commitThroughApi(
  octokit: ProbotOctokit,
  commit: {
    owner: string;
    repo: string;
    branch: string;
    ontoSha: string;
    expectedSha: string | undefined;
    message: string;
    files: FileChange[];
  },
): Promise<ApiCommit> {
  const special = commit.files.find(
    (file) =>
      file.kind !== "file" ||
      (file.status !== "deleted" &&
        (file.newText === undefined || (file.newMode !== undefined && file.newMode !== "100644"))),
  );
  if (special !== undefined) return { kind: "not-possible", reason: `${special.path} is not a plain text file` };
  const ref = `heads/${commit.branch}`;
  const place = { owner: commit.owner, repo: commit.repo };
  const actualSha = await branchHead(octokit, place, ref);
  if (actualSha === undefined) await octokit.rest.git.createRef({ ...place, ref: `refs/${ref}`, sha: commit.ontoSha });
  else if (actualSha !== commit.ontoSha) {
    if (await isThisCommit(octokit, place, actualSha, commit)) return { kind: "committed", sha: actualSha };
    if (actualSha !== commit.expectedSha) return { kind: "moved", actualSha };
    // Going back to the base first would leave the pull request without commits, and GitHub would close it.
    return { kind: "not-possible", reason: "it replaces an earlier commit of the branch" };
  }

  // Unlike the other requests this one is not sent on to the new name when the repository was renamed meanwhile.
  const { full_name: repositoryNameWithOwner } = (await octokit.rest.repos.get(place)).data;
  const [headline, ...rest] = commit.message.split("\n");
  const deletions = commit.files.flatMap((file) =>
    file.status === "deleted" ? [file.path] : file.previousPath === undefined ? [] : [file.previousPath],
  );
  const answer = await octokit.graphql<{ createCommitOnBranch: { commit: { oid: string } } }>(
    `mutation ($input: CreateCommitOnBranchInput!) { createCommitOnBranch(input: $input) { commit { oid } } }`,
    {
      input: {
        branch: { repositoryNameWithOwner, branchName: commit.branch },
        expectedHeadOid: commit.ontoSha,
        message: { headline, body: rest.join("\n").trim() },
        fileChanges: {
          additions: commit.files
            .filter((file) => file.status !== "deleted")
            .map((file) => ({ path: file.path, contents: Buffer.from(file.newText ?? "", "utf8").toString("base64") })),
          deletions: deletions.map((path) => ({ path })),
        },
      },
    },
  );
  return { kind: "committed", sha: answer.createCommitOnBranch.commit.oid };
}

/** Whether the branch is where this commit put it when its answer was lost. */
async function isThisCommit(
  octokit: ProbotOctokit,
  place: { owner: string; repo: string },
  sha: string,
  commit: { ontoSha: string; message: string },
): Promise<boolean> {
  const { data } = await octokit.rest.git.getCommit({ ...place, commit_sha: sha });
  return (
    data.parents.length === 1 &&
    data.parents[0]?.sha === commit.ontoSha &&
    data.message.trim() === commit.message.trim()
  );
}

async function branchHead(
  octokit: ProbotOctokit,
  place: { owner: string; repo: string },
  ref: string,
): Promise<string | undefined> {
  try {
    return (await octokit.rest.git.getRef({ ...place, ref })).data.object.sha;
  } catch (error) {
    if (statusOf(error) === 404) return undefined;
    throw error;
  }
}
