import { ApiError } from "../errors.ts";
import { htmlUrl, pullsAt, repositoryUrl, simpleUser, time, webhookRepository } from "../serialise.ts";
import type { App, CheckRun, JobConclusion, Repository, User, WorkflowJob, WorkflowRun } from "../types.ts";
import type { World } from "../world.ts";
import { emit } from "./checks.ts";

type Json = Record<string, unknown>;
const WORKFLOW_ID = 1;
/** The id that the App has on github.com. */
const ACTIONS_APP_ID = 15_368;

export interface JobInput {
  name: string;
  /** Null: it runs until `completeRun`. */
  conclusion: JobConclusion | null;
  log?: string;
  steps?: WorkflowJob["steps"];
  /** As a workflow command `::error file=…` makes them, in the form of the checks API. */
  annotations?: Record<string, unknown>[];
}

export interface WorkflowRunInput {
  name?: string;
  path?: string;
  event?: string;
  headBranch: string;
  headSha: string;
  /** Default: what its jobs add up to; null while one of them runs. */
  conclusion?: WorkflowRun["conclusion"];
  jobs: JobInput[];
}

/** What a job that runs ends with. */
export type JobEnding = Pick<JobInput, "log" | "steps" | "annotations"> & { conclusion: JobConclusion };

/**
 * A run of GitHub Actions with its jobs and their logs. Each job is a check run of the App `github-actions` too. Sends
 * `check_run.completed` for each job that has ended, and then `workflow_run.completed` if all have.
 */
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
    status: "in_progress" as const,
    conclusion: null,
    attempt: 1,
    suiteId: world.identify("CheckSuite", "CS", {}).id,
    actor,
    createdAt: now,
    updatedAt: now,
    jobs: [],
  });
  repository.workflowRuns.push(run);
  for (const { name, log, steps, annotations, conclusion } of input.jobs) {
    const job = addJob(world, run, name, "in_progress");
    if (conclusion !== null) end(world, job, { conclusion, log, steps, annotations });
  }
  endIfDone(world, run, input.conclusion);
  return run;
}

/** Asks for jobs to be done again in a new attempt: those that did not succeed, one of them, or all. */
export function rerun(world: World, run: WorkflowRun, which: "all" | "failed" | WorkflowJob): void {
  if (run.status !== "completed") throw new ApiError(403, "The workflow run is already running");
  const latest = jobsOfAttempt(run, run.attempt);
  const again = latest.filter((job) =>
    typeof which === "string" ? which === "all" || job.conclusion !== "success" : job.name === which.name,
  );
  run.attempt += 1;
  run.status = "queued";
  run.conclusion = null;
  run.updatedAt = world.now();
  for (const job of again) emit(world, checkRunOf(addJob(world, run, job.name, "queued")), "created");
  announce(world, run, "requested");
}

/** Ends the jobs that are queued or running, by name, or all in the same way; then the run's attempt has ended. */
export function completeRun(world: World, run: WorkflowRun, endings: JobEnding | Record<string, JobEnding>): void {
  const open = run.jobs.filter((job) => job.status !== "completed");
  if (open.length === 0) throw new Error(`No job of workflow run ${run.id} is running`);
  for (const job of open) {
    const ending = "conclusion" in endings ? (endings as JobEnding) : endings[job.name];
    if (ending === undefined) throw new Error(`Job ${job.name} runs, and nothing says how it ends`);
    end(world, job, ending);
  }
  endIfDone(world, run);
}

/** The jobs as an attempt shows them: the newest of each name up to then. */
export function jobsOfAttempt(run: WorkflowRun, attempt: number): WorkflowJob[] {
  const byName = new Map<string, WorkflowJob>();
  for (const job of run.jobs) if (job.attempt <= attempt) byName.set(job.name, job);
  return [...byName.values()];
}

function addJob(world: World, run: WorkflowRun, name: string, status: "queued" | "in_progress"): WorkflowJob {
  const job: WorkflowJob = world.identify("CheckRun", "CR", {
    run,
    name,
    attempt: run.attempt,
    status,
    conclusion: null,
    steps: [],
    log: undefined,
    startedAt: world.now(),
    completedAt: undefined,
  });
  run.jobs.push(job);
  run.repository.checkRuns.push({
    id: job.id,
    nodeId: job.nodeId,
    repository: run.repository,
    app: actionsApp(world),
    name,
    headSha: run.headSha,
    status,
    conclusion: null,
    detailsUrl: `${htmlUrl(world, run.repository)}/actions/runs/${run.id}/job/${job.id}`,
    externalId: job.nodeId,
    startedAt: job.startedAt,
    completedAt: undefined,
    output: { title: null, summary: null, text: null },
    annotations: [],
    actions: [],
    suiteId: run.suiteId,
  });
  return job;
}

function end(world: World, job: WorkflowJob, ending: JobEnding): void {
  const check = checkRunOf(job);
  const { conclusion } = ending;
  const ended = { status: "completed" as const, conclusion, completedAt: world.now() };
  Object.assign(job, ended, {
    log: ending.log ?? "",
    steps: ending.steps ?? [{ name: "Run tests", conclusion }],
  });
  Object.assign(check, ended);
  check.annotations.push(...(ending.annotations ?? []));
  emit(world, check, "completed");
}

function endIfDone(world: World, run: WorkflowRun, conclusion: WorkflowRun["conclusion"] = sumOf(run)): void {
  if (conclusion === null) return;
  run.status = "completed";
  run.conclusion = conclusion;
  run.updatedAt = world.now();
  announce(world, run, "completed");
}

function sumOf(run: WorkflowRun): WorkflowRun["conclusion"] {
  const ends = jobsOfAttempt(run, run.attempt).map(({ conclusion }) => conclusion);
  if (ends.includes(null)) return null;
  const worst = (["failure", "timed_out", "action_required", "cancelled"] as const).find((each) => ends.includes(each));
  if (worst !== undefined) return worst === "timed_out" ? "failure" : worst;
  return ends.length > 0 && ends.every((each) => each === "skipped") ? "skipped" : "success";
}

/** The check run that a job is. */
function checkRunOf(job: WorkflowJob): CheckRun {
  const found = job.run.repository.checkRuns.find(({ id }) => id === job.id);
  if (!found) throw new Error(`Job ${job.name} has no check run`);
  return found;
}

/** GitHub's own App, which belongs to nobody's installation and hears of nothing. */
function actionsApp(world: World): App {
  const known = world.apps.get(ACTIONS_APP_ID);
  if (known) return known;
  const app: App = {
    id: ACTIONS_APP_ID,
    nodeId: `A_${ACTIONS_APP_ID}`,
    slug: "github-actions",
    name: "GitHub Actions",
    owner: world.users.get("github") ?? world.createUser("github", "Organization"),
    bot: world.users.get("github-actions[bot]") ?? world.createUser("github-actions[bot]", "Bot", "GitHub Actions"),
    publicKey: "",
    clientId: "Iv1.github-actions",
    permissions: { actions: "write", checks: "write", contents: "read", metadata: "read" },
    events: [],
    webhookSecret: "",
    webhookUrl: undefined,
    createdAt: world.now(),
  };
  world.apps.set(app.id, app);
  return app;
}

export function workflowRunJson(world: World, run: WorkflowRun): Json {
  const root = repositoryUrl(world, run.repository);
  const url = `${root}/actions/runs/${run.id}`;
  const actor = simpleUser(world, run.actor);
  return {
    id: run.id,
    name: run.name,
    node_id: run.nodeId,
    check_suite_id: run.suiteId,
    check_suite_node_id: `CS_${run.suiteId}`,
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
    check_suite_url: `${root}/check-suites/${run.suiteId}`,
    artifacts_url: `${url}/artifacts`,
    cancel_url: `${url}/cancel`,
    rerun_url: `${url}/rerun`,
    previous_attempt_url: run.attempt > 1 ? `${url}/attempts/${run.attempt - 1}` : null,
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
    run_attempt: job.attempt,
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
