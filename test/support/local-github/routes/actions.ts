import { jobJson, jobsOfAttempt, rerun, workflowRunJson } from "../domain/actions.ts";
import { ApiError, notFound } from "../errors.ts";
import { type Call, created, ok, type Reply, type Route, route } from "../http.ts";
import type { WorkflowJob, WorkflowRun } from "../types.ts";

const READ = { needs: ["actions:read"] };
const WRITE = { needs: ["actions:write"] };
const ROOT = "/repos/{owner}/{repo}/actions";

export const actionRoutes: Route[] = [
  route(`GET ${ROOT}/runs`, READ, (call) => {
    const { head_sha: sha, branch, status } = call.query;
    const runs = call.repository.workflowRuns
      .filter((run) => !sha || run.headSha === sha)
      .filter((run) => !branch || run.headBranch === branch)
      .filter((run) => !status || run.status === status || run.conclusion === status);
    return call.page(
      runs.toReversed(),
      (run) => workflowRunJson(call.world, run),
      (page, total) => ({ total_count: total, workflow_runs: page }),
    );
  }),
  route(`GET ${ROOT}/runs/{run_id}`, READ, (call) => ok(workflowRunJson(call.world, runOf(call)))),
  route(`GET ${ROOT}/runs/{run_id}/jobs`, READ, (call) => {
    const run = runOf(call);
    return jobsPage(call, call.query.filter === "all" ? run.jobs : jobsOfAttempt(run, run.attempt));
  }),
  route(`GET ${ROOT}/runs/{run_id}/attempts/{attempt_number}/jobs`, READ, (call) => {
    const run = runOf(call);
    const attempt = Number(call.params.attempt_number);
    if (attempt > run.attempt) throw notFound();
    return jobsPage(call, jobsOfAttempt(run, attempt));
  }),
  route(`POST ${ROOT}/runs/{run_id}/rerun`, WRITE, (call) => {
    rerun(call.world, runOf(call), "all");
    return created({});
  }),
  route(`POST ${ROOT}/runs/{run_id}/rerun-failed-jobs`, WRITE, (call) => {
    rerun(call.world, runOf(call), "failed");
    return created({});
  }),
  route(`POST ${ROOT}/jobs/{job_id}/rerun`, WRITE, (call) => {
    const job = jobOf(call);
    rerun(call.world, job.run, job);
    return created({});
  }),
  route(`GET ${ROOT}/jobs/{job_id}`, READ, (call) => ok(jobJson(call.world, jobOf(call)))),
  // GitHub answers with a link that works for a minute without a token; ours leads to the page of the log,
  // which is on another host, as there.
  route(`GET ${ROOT}/jobs/{job_id}/logs`, READ, (call) => {
    const { log, status, nodeId } = jobOf(call);
    if (log === undefined) throw status === "completed" ? new ApiError(410, "Server Error") : notFound();
    const elsewhere = call.world.url.replace("127.0.0.1", "localhost");
    return { status: 302, headers: { location: `${elsewhere}/job-logs/${nodeId}` } };
  }),
];

function jobsPage(call: Call, jobs: WorkflowJob[]): Reply {
  return call.page(
    jobs,
    (job) => jobJson(call.world, job),
    (page, total) => ({ total_count: total, jobs: page }),
  );
}

function runOf(call: Call): WorkflowRun {
  const run = call.repository.workflowRuns.find((candidate) => candidate.id === Number(call.params.run_id));
  if (!run) throw notFound();
  return run;
}

function jobOf(call: Call): WorkflowJob {
  const jobs = call.repository.workflowRuns.flatMap((run) => run.jobs);
  const job = jobs.find((candidate) => candidate.id === Number(call.params.job_id));
  if (!job) throw notFound();
  return job;
}
