import { sampleProject } from "../../../bench/support/sample-project.ts";
import type { LocalGitHub, RepositoryView } from "../../support/local-github/index.ts";
import type { Comment, Reaction } from "../../support/local-github/types.ts";
import { analysis } from "../../support/model-replies.ts";
import type { RawReply, RawRequest } from "../../support/scripted-model.ts";

/** Owns the App and every repository. */
export const account = "acme";
/** Has write access, opens the issues and triggers the runs. */
export const person = "maintainer";

/** A repository of the small project, with what its configuration says besides its commands. */
export async function createPages(github: LocalGitHub, name: string, config = ""): Promise<RepositoryView> {
  const path = ".github/millwright.yml";
  return github.createRepository({
    owner: account,
    name,
    files: { ...sampleProject, [path]: `${config}${sampleProject[path]}` },
    private: true,
    collaborators: { [person]: "write" },
  });
}

export const pagesIssue = {
  title: "The limit of entries on one page is too low",
  body: "The limit in `src/limits.js` is 10. It should be 20, and a test should say so.",
};

/**
 * The model of a whole run on the small project: an analysis, a turn for each of two edits, and last words. It waits
 * `latencyMs` before each answer, as a model does.
 */
export async function pagesModel(request: RawRequest, latencyMs = 0): Promise<RawReply> {
  if (!asksModel(request)) return { status: 200, body: { input_tokens: 1_000 } };
  await new Promise((resolve) => setTimeout(resolve, latencyMs));
  const stage = /stage: ([a-z-]+)/.exec(JSON.stringify(request.body.system ?? ""))?.[1];
  if (stage === "analyse-issue") return analysis({ title: "show twenty entries on one page" });
  const turn = (request.body.messages as { role: string }[]).filter(({ role }) => role === "assistant").length;
  const edit = edits[turn];
  return { message: { content: edit === undefined ? "The limit is 20 now, and the test says so." : [edit] } };
}

/** Whether a request asks the model for words, not for a count of tokens or a list. */
export function asksModel({ method, path }: Pick<RawRequest, "method" | "path">): boolean {
  return method === "POST" && !path.includes("count_tokens");
}

const edits = [edit("src/limits.js", "pageLimit = 10", "pageLimit = 20"), edit("test/limits.sh", "= 10", "= 20")];

function edit(file_path: string, old_string: string, new_string: string) {
  const id = `toolu_${file_path}`.replaceAll(/\W/g, "_");
  return { type: "tool_use", id, name: "edit", input: { file_path, old_string, new_string } };
}

/** How often each effect of one run on an issue shows on GitHub. */
export interface Shown {
  "status comments": number;
  "👀 reactions": number;
  "pull requests": number;
  "review requests": number;
  "check runs": number;
}

/** What shows now of the run that `trigger`, the issue itself unless it is a comment on it, asked for. */
export function shownOf(repository: RepositoryView, number: number, trigger?: Comment): Shown {
  const issue = repository.issue(number);
  const pulls = pullsOf(repository, number);
  const reactions: Reaction[] = (trigger ?? issue).reactions;
  const heads = new Set(pulls.map(({ headSha }) => headSha));
  return {
    "status comments": issue.comments.filter(isStatus).length,
    "👀 reactions": reactions.filter(({ content }) => content === "eyes").length,
    "pull requests": pulls.length,
    "review requests": repository.entity.events.filter(
      ({ event, issue: { pull } }) => event === "review_requested" && pull !== undefined && pulls.includes(pull),
    ).length,
    "check runs": repository.entity.checkRuns.filter(({ headSha }) => heads.has(headSha)).length,
  };
}

function isStatus({ body }: Comment): boolean {
  return body.includes("millwright:status");
}

function pullsOf(repository: RepositoryView, number: number) {
  return repository.pulls.filter(({ headRef }) => headRef.startsWith(branchPrefix(number)));
}

function branchPrefix(number: number): string {
  return `millwright/issue-${number}-`;
}

/** What is wrong with an issue whose run should have ended ready. */
export interface Judgement {
  /** The run did not end as it should: each a sentence. */
  lost: string[];
  /** Effects that show more often than meant: each a sentence. */
  duplicated: string[];
}

/**
 * Judges an issue whose run has ended: a ready pull request of `commits` commits, labels, and each effect once.
 * `without` names effects that this run does not have.
 */
export async function judge(
  repository: RepositoryView,
  number: number,
  { commits = 1, without = [], trigger }: { commits?: number; without?: (keyof Shown)[]; trigger?: Comment } = {},
): Promise<Judgement> {
  const lost: string[] = [];
  const duplicated: string[] = [];
  const where = `${account}/${repository.entity.name}#${number}`;
  const expect = (what: string, found: number, wanted: number) => {
    if (found < wanted) lost.push(`${where} has ${found} ${what}, not ${wanted}`);
    if (found > wanted) duplicated.push(`${where} has ${found} ${what}, not ${wanted}`);
  };
  for (const [what, count] of Object.entries(shownOf(repository, number, trigger)) as [keyof Shown, number][]) {
    expect(what, count, without.includes(what) ? 0 : 1);
  }
  const [status] = repository.issue(number).comments.filter(isStatus);
  if (status !== undefined && /⬜|🔄/u.test(status.body))
    lost.push(`the status comment of ${where} is not the final one`);
  const labels = repository.issue(number).labels.map(({ name }) => name);
  if (labels.join() !== "agent:done") lost.push(`${where} is labelled ${labels.join(", ") || "nothing"}`);
  const branches = Object.entries(await repository.branches()).filter(([name]) =>
    name.startsWith(branchPrefix(number)),
  );
  expect("branches", branches.length, 1);
  const [pull] = pullsOf(repository, number);
  const [branch] = branches;
  if (pull === undefined || branch === undefined) return { lost, duplicated };
  if (pull.draft || pull.issue.state !== "open") lost.push(`the pull request of ${where} is not open and ready`);
  if (pull.headSha !== branch[1])
    lost.push(`the pull request of ${where} is at ${pull.headSha}, its branch at ${branch[1]}`);
  const count = await repository.git("rev-list", "--count", `${repository.entity.defaultBranch}..${branch[1]}`);
  expect("commits", Number(count), commits);
  if (!(await repository.file("src/limits.js", branch[1]))?.includes("pageLimit = 20"))
    lost.push(`the branch of ${where} does not have the change`);
  return { lost, duplicated };
}
