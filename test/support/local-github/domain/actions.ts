import { htmlUrl, pullsAt, repositoryUrl, simpleUser, time, webhookRepository } from "../serialise.ts";
import type { Repository, User, WorkflowJob, WorkflowRun } from "../types.ts";
import type { World } from "../world.ts";

type Json = Record<string, unknown>;
const WORKFLOW_ID = 1;

export interface WorkflowRunInput {
  name?: string;
  path?: string;
  event?: string;
  headBranch: string;
  headSha: string;
  conclusion: "success" | "failure" | "cancelled" | "timed_out";
  jobs: {
    name: string;
    conclusion: "success" | "failure" | "cancelled" | "skipped";
    log: string;
    steps?: WorkflowJob["steps"];
  }[];
}

/** A run of GitHub Actions that has ended, with its jobs and their logs; sends `workflow_run.completed`. */
export function addWorkflowRun(
  world: World,
  repository: Repository,
  actor: User,
  input: WorkflowRunInput,
): WorkflowRun {
  const now = world.now();
  const run: WorkflowRun = world.identify("WorkflowRun", "WFR", {
    repository,
    name: input.name ?? "CI",
    path: input.path ?? ".github/workflows/ci.yml",
    event: input.event ?? "push",
    headBranch: input.headBranch,
    headSha: input.headSha,
    status: "completed" as const,
    conclusion: input.conclusion,
    attempt: 1,
    actor,
    createdAt: now,
    updatedAt: now,
    jobs: [],
  });
  for (const job of input.jobs) {
    const steps = job.steps ?? [{ name: "Run tests", conclusion: job.conclusion }];
    const facts = { ...job, steps, run, status: "completed" as const, startedAt: now, completedAt: now };
    run.jobs.push(world.identify("CheckRun", "CR", facts));
  }
  repository.workflowRuns.push(run);
  announce(world, run, "completed");
  return run;
}

/** Asks for the run to be done again: a new attempt, queued. */
export function rerun(world: World, run: WorkflowRun): void {
  run.attempt += 1;
  run.status = "queued";
  run.conclusion = null;
  run.updatedAt = world.now();
  announce(world, run, "requested");
}

export function workflowRunJson(world: World, run: WorkflowRun): Json {
  const root = repositoryUrl(world, run.repository);
  const url = `${root}/actions/runs/${run.id}`;
  const actor = simpleUser(world, run.actor);
  return {
    id: run.id,
    name: run.name,
    node_id: run.nodeId,
    check_suite_id: run.id,
    check_suite_node_id: `CS_${run.id}`,
    head_branch: run.headBranch,
    head_sha: run.headSha,
    path: run.path,
    run_number: run.repository.workflowRuns.indexOf(run) + 1,
    run_attempt: run.attempt,
    event: run.event,
    display_title: run.name,
    status: run.status,
    conclusion: run.conclusion,
    workflow_id: WORKFLOW_ID,
    url,
    html_url: `${htmlUrl(world, run.repository)}/actions/runs/${run.id}`,
    pull_requests: pullsAt(world, run.repository, run.headSha),
    created_at: time(run.createdAt),
    updated_at: time(run.updatedAt),
    run_started_at: time(run.createdAt),
    actor,
    triggering_actor: actor,
    jobs_url: `${url}/jobs`,
    logs_url: `${url}/logs`,
    check_suite_url: `${root}/check-suites/${run.id}`,
    artifacts_url: `${url}/artifacts`,
    cancel_url: `${url}/cancel`,
    rerun_url: `${url}/rerun`,
    previous_attempt_url: null,
    workflow_url: `${root}/actions/workflows/${WORKFLOW_ID}`,
    head_commit: {
      id: run.headSha,
      tree_id: run.headSha,
      message: "",
      timestamp: time(run.createdAt),
      author: { name: run.actor.login, email: `${run.actor.login}@users.noreply.github.com` },
      committer: { name: "GitHub", email: "noreply@github.com" },
    },
    repository: webhookRepository(world, run.repository),
    head_repository: webhookRepository(world, run.repository),
  };
}

export function jobJson(world: World, job: WorkflowJob): Json {
  const root = repositoryUrl(world, job.run.repository);
  const stamp = time(job.startedAt);
  const ended = job.completedAt ? time(job.completedAt) : null;
  return {
    id: job.id,
    run_id: job.run.id,
    run_url: `${root}/actions/runs/${job.run.id}`,
    run_attempt: job.run.attempt,
    node_id: job.nodeId,
    head_sha: job.run.headSha,
    head_branch: job.run.headBranch,
    workflow_name: job.run.name,
    url: `${root}/actions/jobs/${job.id}`,
    html_url: `${htmlUrl(world, job.run.repository)}/actions/runs/${job.run.id}/job/${job.id}`,
    status: job.status,
    conclusion: job.conclusion,
    created_at: stamp,
    started_at: stamp,
    completed_at: ended,
    name: job.name,
    steps: job.steps.map((step, at) => ({
      name: step.name,
      status: job.status,
      conclusion: step.conclusion,
      number: at + 1,
      started_at: stamp,
      completed_at: ended,
    })),
    check_run_url: `${root}/check-runs/${job.id}`,
    labels: ["ubuntu-latest"],
    runner_id: 1,
    runner_name: "local",
    runner_group_id: 1,
    runner_group_name: "Default",
  };
}

function announce(world: World, run: WorkflowRun, action: string): void {
  const root = repositoryUrl(world, run.repository);
  const html = htmlUrl(world, run.repository);
  world.webhooks.emit({
    event: "workflow_run",
    action,
    repository: run.repository,
    sender: run.actor,
    body: {
      workflow_run: workflowRunJson(world, run),
      workflow: {
        id: WORKFLOW_ID,
        node_id: `W_${WORKFLOW_ID}`,
        name: run.name,
        path: run.path,
        state: "active",
        created_at: time(run.repository.createdAt),
        updated_at: time(run.repository.createdAt),
        url: `${root}/actions/workflows/${WORKFLOW_ID}`,
        html_url: `${html}/blob/${run.repository.defaultBranch}/${run.path}`,
        badge_url: `${html}/workflows/badge.svg`,
      },
    },
  });
}
