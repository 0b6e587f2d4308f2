import { jobJson, rerun, workflowRunJson } from "../domain/actions.ts";
import { notFound } from "../errors.ts";
import { type Call, ok, type Route, route } from "../http.ts";
import type { WorkflowJob, WorkflowRun } from "../types.ts";

const READ = { needs: ["actions:read"] };
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
  route(`GET ${ROOT}/runs/{run_id}/jobs`, READ, (call) =>
    call.page(
      runOf(call).jobs,
      (job) => jobJson(call.world, job),
      (page, total) => ({ total_count: total, jobs: page }),
    ),
  ),
  route(`POST ${ROOT}/runs/{run_id}/rerun`, { needs: ["actions:write"] }, (call) => again(call)),
  route(`POST ${ROOT}/runs/{run_id}/rerun-failed-jobs`, { needs: ["actions:write"] }, (call) => again(call)),
  route(`GET ${ROOT}/jobs/{job_id}`, READ, (call) => ok(jobJson(call.world, jobOf(call)))),
  // GitHub answers with a link that works for a minute without a token; ours leads to the page of the log.
  route(`GET ${ROOT}/jobs/{job_id}/logs`, READ, (call) => ({
    status: 302,
    headers: { location: `${call.world.url}/job-logs/${jobOf(call).nodeId}` },
  })),
];

function again(call: Call) {
  rerun(call.world, runOf(call));
  return { status: 201, body: {} };
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
