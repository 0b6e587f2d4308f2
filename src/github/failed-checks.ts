import type { ProbotOctokit } from "probot";
import type { Permissions } from "../pipeline/step.ts";
import { countsAsFailed, countsAsPassed, workflowRunIn } from "../policy/check-conclusion.ts";

/** What ended badly on a commit: a job of GitHub Actions, a check run of another App, or a commit status. */
export interface FailedCheck {
  kind: "job" | "check" | "status";
  /** Of the check run, which is that of the job too, or of the commit status. */
  id: number;
  /** The check run's name or the status' context; written by a stranger. */
  name: string;
  /** The App's slug; for a status, the login of who set it. */
  appSlug: string;
  conclusion: string;
  /** ISO times, where GitHub says them. */
  startedAt?: string;
  completedAt?: string;
  /** Of a job. */
  workflowRunId?: number;
  url: string;
  /** A status says no more than this; written by a stranger. */
  description?: string;
}

/** One try of a check on one commit. */
export interface CheckAttempt {
  id: number;
  conclusion: string;
  startedAt?: string;
  completedAt?: string;
  /** Attempts of one group ran the same thing: the workflow run, the check suite or the status' context. */
  group: string;
}

export interface CheckHistory {
  /** `none` also where it still runs, was cancelled or skipped, or where several of this name disagree. */
  state: "passed" | "failed" | "none";
  /** Those that came to an end, oldest first. */
  attempts: CheckAttempt[];
  /** Whether one group failed and passed on this very commit. */
  flaky: boolean;
}

interface Place {
  owner: string;
  repo: string;
}

/** What a token needs for `failedChecks` and `checkOn`. */
export const readsChecks = {
  checks: "read",
  statuses: "read",
  actions: "read",
} as const satisfies Permissions;

const actionsSlug = "github-actions";
const maxPages = 5;

/**
 * What fails on a commit now, oldest first, the newest attempt of each check; what still runs, and our own App's check
 * runs, are left out. Two requests, one more for each further hundred checks, five pages of a kind at most.
 */
export async function failedChecks(
  octokit: ProbotOctokit,
  { owner, repo, sha, appId }: Place & { sha: string; appId: number },
): Promise<FailedCheck[]> {
  const [runs, statuses] = await Promise.all([
    checkRunsAt(octokit, { owner, repo, sha, filter: "latest" }),
    statusesAt(octokit, { owner, repo, sha }),
  ]);
  const others = runs.filter((run) => run.appId !== appId);
  const failed = others.filter((run) => countsAsFailed(run.conclusion) && !others.some((other) => follows(other, run)));
  const failedStatuses = statuses.filter(({ state }) => countsAsFailed(state));
  return [...failed.map(fromRun), ...failedStatuses.map(fromStatus)].sort(
    (a, b) => (a.completedAt ?? "").localeCompare(b.completedAt ?? "") || a.id - b.id,
  );
}

/**
 * How the same check, by its name and App, ended on another commit or on this one, and all its attempts there. One
 * request; for a job one more for each of the first three workflow runs that have it.
 */
export async function checkOn(
  octokit: ProbotOctokit,
  { owner, repo }: Place,
  sha: string,
  check: Pick<FailedCheck, "kind" | "name" | "appSlug">,
): Promise<CheckHistory> {
  if (check.kind === "status") return statusHistory(octokit, { owner, repo, sha }, check);
  const found = await checkRunsAt(octokit, { owner, repo, sha, filter: "all", name: check.name });
  const runs = found.filter((run) => run.name === check.name && run.slug === check.appSlug);
  const attempts = new Map(runs.map((run) => [run.id, { ...attemptOf(run), status: run.status }]));
  if (check.kind === "job") {
    for (const run of [...new Set(runs.map(({ workflowRunId }) => workflowRunId))].slice(0, 3)) {
      if (run === undefined) continue;
      for (const attempt of await jobsOf(octokit, { owner, repo }, run, check.name)) attempts.set(attempt.id, attempt);
    }
  }
  return historyOf([...attempts.values()]);
}

/** The open pull requests whose head this commit is, those of forks too; needs `pull_requests: read`. */
export async function pullsOfCommit(
  octokit: ProbotOctokit,
  { owner, repo }: Place,
  sha: string,
): Promise<{ number: number; fork: boolean; author: string; headRef: string; draft: boolean }[]> {
  const { data } = await octokit.rest.repos.listPullRequestsAssociatedWithCommit({
    owner,
    repo,
    commit_sha: sha,
    per_page: 100,
  });
  const known = data.filter((pull) => pull.state === "open" && pull.head.sha === sha);
  if (known.length > 0) return known.map(pullOf);
  // A commit that only a fork has is associated with nothing here.
  for (let page = 1; page <= maxPages; page++) {
    const { data: open } = await octokit.rest.pulls.list({
      owner,
      repo,
      state: "open",
      sort: "updated",
      direction: "desc",
      per_page: 100,
      page,
    });
    const found = open.filter((pull) => pull.head.sha === sha);
    if (found.length > 0 || open.length < 100) return found.map(pullOf);
  }
  return [];
}

interface Pull {
  number: number;
  draft?: boolean;
  user: { login: string } | null;
  head: { ref: string; repo?: { id: number } | null };
  base: { repo: { id: number } };
}

function pullOf(pull: Pull) {
  return {
    number: pull.number,
    // The repository of a fork that was deleted is null.
    fork: pull.head.repo?.id !== pull.base.repo.id,
    author: pull.user?.login ?? "ghost",
    headRef: pull.head.ref,
    draft: pull.draft ?? false,
  };
}

interface FoundRun {
  id: number;
  name: string;
  slug: string;
  appId: number | undefined;
  suiteId: number | undefined;
  status: string;
  conclusion: string | null;
  startedAt: string | undefined;
  completedAt: string | undefined;
  workflowRunId: number | undefined;
  url: string;
}

async function checkRunsAt(
  octokit: ProbotOctokit,
  { owner, repo, sha, filter, name }: Place & { sha: string; filter: "latest" | "all"; name?: string },
): Promise<FoundRun[]> {
  const found: FoundRun[] = [];
  for (let page = 1; page <= maxPages; page++) {
    const { data } = await octokit.rest.checks.listForRef({
      owner,
      repo,
      ref: sha,
      filter,
      per_page: 100,
      page,
      ...(name === undefined ? {} : { check_name: name }),
    });
    for (const run of data.check_runs) {
      const slug = run.app?.slug ?? "";
      found.push({
        id: run.id,
        name: run.name,
        slug,
        appId: run.app?.id,
        suiteId: run.check_suite?.id,
        status: run.status,
        conclusion: run.conclusion,
        startedAt: run.started_at ?? undefined,
        completedAt: run.completed_at ?? undefined,
        workflowRunId: slug === actionsSlug ? workflowRunIn(run.details_url) : undefined,
        url: run.html_url ?? run.details_url ?? "",
      });
    }
    if (data.check_runs.length < 100) break;
  }
  return found;
}

/**
 * Whether `other` is a later attempt of the same check: in one suite the newer one, else one that began when this one had
 * ended. Two workflow runs that ran side by side, for a push and for its pull request, are two checks of one name.
 */
function follows(other: FoundRun, run: FoundRun): boolean {
  if (other.id === run.id || other.name !== run.name || other.appId !== run.appId) return false;
  if (other.suiteId === run.suiteId) return other.id > run.id;
  return (
    other.startedAt !== undefined &&
    run.completedAt !== undefined &&
    other.id > run.id &&
    Date.parse(other.startedAt) >= Date.parse(run.completedAt)
  );
}

function fromRun(run: FoundRun): FailedCheck {
  return {
    kind: run.workflowRunId === undefined ? "check" : "job",
    id: run.id,
    name: run.name,
    appSlug: run.slug,
    conclusion: run.conclusion ?? "",
    ...timesOf(run),
    ...(run.workflowRunId === undefined ? {} : { workflowRunId: run.workflowRunId }),
    url: run.url,
  };
}

function timesOf({ startedAt, completedAt }: Pick<FoundRun, "startedAt" | "completedAt">) {
  return { ...(startedAt === undefined ? {} : { startedAt }), ...(completedAt === undefined ? {} : { completedAt }) };
}

function attemptOf(run: FoundRun): CheckAttempt {
  const group = run.workflowRunId === undefined ? `suite:${run.suiteId}` : `run:${run.workflowRunId}`;
  return { id: run.id, conclusion: run.conclusion ?? "", ...timesOf(run), group };
}

/** A check run of an earlier attempt can be gone from the commit's list; the run's own list has the jobs of all attempts. */
async function jobsOf(
  octokit: ProbotOctokit,
  { owner, repo }: Place,
  runId: number,
  name: string,
): Promise<(CheckAttempt & { status: string })[]> {
  const { data } = await octokit.rest.actions.listJobsForWorkflowRun({
    owner,
    repo,
    run_id: runId,
    filter: "all",
    per_page: 100,
  });
  return data.jobs
    .filter((job) => job.name === name)
    .map((job) => ({
      id: job.id,
      conclusion: job.conclusion ?? "",
      ...timesOf({ startedAt: job.started_at, completedAt: job.completed_at ?? undefined }),
      group: `run:${runId}`,
      status: job.status,
    }));
}

interface FoundStatus {
  id: number;
  state: string;
  context: string;
  description: string | null;
  targetUrl: string | null;
  login: string;
  createdAt: string;
}

/** The newest status of each context; the list is newest first and says who set it, which the combined status does not. */
async function statusesAt(octokit: ProbotOctokit, place: Place & { sha: string }): Promise<FoundStatus[]> {
  const newest = new Map<string, FoundStatus>();
  for (const status of await allStatusesAt(octokit, place))
    if (!newest.has(status.context)) newest.set(status.context, status);
  return [...newest.values()];
}

async function allStatusesAt(
  octokit: ProbotOctokit,
  { owner, repo, sha }: Place & { sha: string },
): Promise<FoundStatus[]> {
  const found: FoundStatus[] = [];
  for (let page = 1; page <= maxPages; page++) {
    const { data } = await octokit.rest.repos.listCommitStatusesForRef({ owner, repo, ref: sha, per_page: 100, page });
    for (const status of data)
      found.push({
        id: status.id,
        state: status.state,
        context: status.context,
        description: status.description,
        targetUrl: status.target_url,
        login: status.creator?.login ?? "",
        createdAt: status.created_at,
      });
    if (data.length < 100) break;
  }
  return found.sort((a, b) => b.id - a.id);
}

function fromStatus(status: FoundStatus): FailedCheck {
  return {
    kind: "status",
    id: status.id,
    name: status.context,
    appSlug: status.login,
    conclusion: status.state,
    completedAt: status.createdAt,
    url: status.targetUrl ?? "",
    ...(status.description === null || status.description === "" ? {} : { description: status.description }),
  };
}

async function statusHistory(
  octokit: ProbotOctokit,
  place: Place & { sha: string },
  { name, appSlug }: Pick<FailedCheck, "name" | "appSlug">,
): Promise<CheckHistory> {
  const statuses = (await allStatusesAt(octokit, place)).filter(
    ({ context, login }) => context === name && login === appSlug,
  );
  return historyOf(
    statuses.map(({ id, state, createdAt }) => ({
      id,
      conclusion: state === "pending" ? "" : state,
      completedAt: createdAt,
      group: `status:${name}`,
      status: state === "pending" ? "in_progress" : "completed",
    })),
  );
}

function historyOf(found: (CheckAttempt & { status: string })[]): CheckHistory {
  const ordered = found.toSorted((a, b) => a.id - b.id);
  const groups = Object.values(Object.groupBy(ordered, ({ group }) => group)).map((group) => group!);
  const ends = groups.map((group) => group.at(-1)!);
  return {
    state: ends.length === 0 ? "none" : ends.every(failed) ? "failed" : ends.every(passed) ? "passed" : "none",
    attempts: ordered.filter(({ status }) => status === "completed").map(({ status: _status, ...attempt }) => attempt),
    flaky: groups.some((group) => group.some(failed) && group.some(passed)),
  };
}

function failed({ conclusion }: CheckAttempt): boolean {
  return countsAsFailed(conclusion);
}

function passed({ conclusion }: CheckAttempt): boolean {
  return countsAsPassed(conclusion);
}
