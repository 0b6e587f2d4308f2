import type { ProbotOctokit } from "probot";
import type { Permissions } from "../pipeline/step.ts";
import { statusOf } from "./client.ts";
import type { FailedCheck } from "./failed-checks.ts";

export type Rerun =
  /** It runs again now, or did already when this was asked for a second time. */
  | { kind: "asked"; repeated: boolean }
  /** A sentence for people. */
  | { kind: "impossible"; why: string };

/** What a token needs for `rerunFailed`. */
export const rerunsChecks = { actions: "write", checks: "write" } as const satisfies Permissions;

/**
 * Lets a failed check run once more: a job of GitHub Actions with what depends on it (with `wholeRun` all jobs of its run
 * that failed: of several single ones GitHub takes only the first), or another App's check run where GitHub lets us. Does
 * nothing where a newer attempt is there already. Call inside `ctx.effect`.
 */
export async function rerunFailed(
  octokit: ProbotOctokit,
  { owner, repo }: { owner: string; repo: string },
  check: Pick<FailedCheck, "kind" | "id" | "workflowRunId">,
  options: { wholeRun?: boolean } = {},
): Promise<Rerun> {
  switch (check.kind) {
    case "status":
      return { kind: "impossible", why: "A commit status cannot be run again through GitHub." };
    case "job":
      return rerunJob(octokit, { owner, repo }, check, options.wholeRun ?? false);
    case "check":
      return rerequest(octokit, { owner, repo }, check.id);
  }
}

async function rerunJob(
  octokit: ProbotOctokit,
  place: { owner: string; repo: string },
  { id, workflowRunId }: Pick<FailedCheck, "id" | "workflowRunId">,
  wholeRun: boolean,
): Promise<Rerun> {
  try {
    const { data: job } = await octokit.rest.actions.getJobForWorkflowRun({ ...place, job_id: id });
    const runId = workflowRunId ?? job.run_id;
    const { data: run } = await octokit.rest.actions.getWorkflowRun({ ...place, run_id: runId });
    if ((run.run_attempt ?? 1) > (job.run_attempt ?? 1)) return { kind: "asked", repeated: true };
    if (wholeRun) await octokit.rest.actions.reRunWorkflowFailedJobs({ ...place, run_id: runId });
    else await octokit.rest.actions.reRunJobForWorkflowRun({ ...place, job_id: id });
    return { kind: "asked", repeated: false };
  } catch (error) {
    if (/already (running|in progress)/i.test((error as Error).message)) return { kind: "asked", repeated: true };
    return refused(error);
  }
}

async function rerequest(octokit: ProbotOctokit, place: { owner: string; repo: string }, id: number): Promise<Rerun> {
  try {
    const { data: run } = await octokit.rest.checks.get({ ...place, check_run_id: id });
    if (run.status !== "completed") return { kind: "asked", repeated: true };
    await octokit.rest.checks.rerequestRun({ ...place, check_run_id: id });
    return { kind: "asked", repeated: false };
  } catch (error) {
    if (statusOf(error) === 403)
      return { kind: "impossible", why: "GitHub lets only the App that made this check run it again." };
    return refused(error);
  }
}

/** A refusal is an answer; anything else is thrown on. */
function refused(error: unknown): Rerun {
  switch (statusOf(error)) {
    case 404:
    case 410:
      return { kind: "impossible", why: "GitHub does not have this run any more." };
    case 403:
    case 422:
      return { kind: "impossible", why: "GitHub does not let this run be run again: it is too old, or may not be." };
    default:
      throw error;
  }
}
