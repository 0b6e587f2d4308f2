import { invalid } from "../errors.ts";
import { git, readCommit } from "../git.ts";
import { checkRunJson, commitJson, repositoryUrl, time } from "../serialise.ts";
import type { Actor, App, CheckRun, CommitStatus, Repository, User } from "../types.ts";
import { fullNameOf, type World } from "../world.ts";

export interface CheckRunInput {
  name?: string;
  headSha?: string;
  status?: CheckRun["status"];
  conclusion?: string;
  detailsUrl?: string;
  externalId?: string;
  startedAt?: Date;
  completedAt?: Date;
  output?: {
    title?: string;
    summary?: string;
    text?: string;
    annotations?: Record<string, unknown>[];
  };
  actions?: CheckRun["actions"];
}

/** A check run of an App on a commit; a conclusion means that it is completed. */
export function createCheckRun(world: World, repository: Repository, app: App, input: CheckRunInput): CheckRun {
  const run: CheckRun = world.identify("CheckRun", "CR", {
    repository,
    app,
    name: input.name ?? "",
    headSha: input.headSha ?? "",
    status: "queued" as CheckRun["status"],
    conclusion: null,
    detailsUrl: null,
    externalId: null,
    startedAt: input.startedAt ?? world.now(),
    completedAt: undefined,
    output: { title: null, summary: null, text: null },
    annotations: [],
    actions: [],
    suiteId: suiteOf(repository, app, input.headSha ?? "") ?? world.identify("CheckSuite", "CS", {}).id,
  });
  apply(world, run, input);
  repository.checkRuns.push(run);
  emit(world, run, run.status === "completed" ? "completed" : "created");
  return run;
}

export function changeCheckRun(world: World, run: CheckRun, input: CheckRunInput): void {
  const before = run.status;
  apply(world, run, input);
  if (before !== "completed" && run.status === "completed") emit(world, run, "completed");
}

function apply(world: World, run: CheckRun, input: CheckRunInput): void {
  if (input.status === "completed" && !input.conclusion && !run.conclusion) {
    throw invalid("CheckRun", "conclusion", "missing_field");
  }
  if (input.name) run.name = input.name;
  if (input.status) run.status = input.status;
  if (input.detailsUrl) run.detailsUrl = input.detailsUrl;
  if (input.externalId) run.externalId = input.externalId;
  if (input.startedAt) run.startedAt = input.startedAt;
  if (input.actions) run.actions = input.actions;
  if (input.status && input.status !== "completed" && !input.conclusion) {
    run.conclusion = null;
    run.completedAt = undefined;
  }
  if (input.conclusion) {
    run.status = "completed";
    run.conclusion = input.conclusion;
    run.completedAt = input.completedAt ?? world.now();
  }
  if (input.output) {
    const { title, summary, text, annotations = [] } = input.output;
    run.output = {
      title: title ?? run.output.title,
      summary: summary ?? run.output.summary,
      text: text ?? run.output.text,
    };
    run.annotations.push(...annotations);
  }
}

function suiteOf(repository: Repository, app: App, sha: string): number | undefined {
  return repository.checkRuns.find((run) => run.app === app && run.headSha === sha)?.suiteId;
}

/** Somebody presses a button of a check run. GitHub tells only the App that made it. */
export function requestAction(world: World, run: CheckRun, sender: User, identifier: string): void {
  emit(world, run, "requested_action", { sender, onlyTo: run.app, extra: { requested_action: { identifier } } });
}

/** Somebody asks for a check run to be done again. GitHub tells only the App that made it, which decides what to do. */
export function rerequest(world: World, run: CheckRun, sender: User): void {
  emit(world, run, "rerequested", { sender, onlyTo: run.app });
}

/** Announces a check run as it is now. */
export function emit(
  world: World,
  run: CheckRun,
  action: string,
  options: { sender?: User; onlyTo?: App; extra?: Record<string, unknown> } = {},
): void {
  const shown = checkRunJson(world, run);
  const suite = `${repositoryUrl(world, run.repository)}/check-suites/${run.suiteId}`;
  const branch = [...run.repository.issues.values()].find((issue) => issue.pull?.headSha === run.headSha)?.pull
    ?.headRef;
  world.webhooks.emit({
    event: "check_run",
    action,
    repository: run.repository,
    sender: options.sender ?? run.app.bot,
    onlyTo: options.onlyTo,
    body: {
      ...options.extra,
      check_run: {
        ...shown,
        check_suite: {
          id: run.suiteId,
          node_id: `CS_${run.suiteId}`,
          head_branch: branch ?? null,
          head_sha: run.headSha,
          status: run.status,
          conclusion: run.conclusion,
          url: suite,
          before: null,
          after: run.headSha,
          pull_requests: shown.pull_requests,
          app: shown.app,
          created_at: time(run.startedAt),
          updated_at: time(world.now()),
        },
      },
    },
  });
}

export type StatusInput = Pick<CommitStatus, "sha" | "state" | "context" | "description" | "targetUrl">;

export async function createStatus(
  world: World,
  repository: Repository,
  actor: Actor,
  input: StatusInput,
): Promise<CommitStatus> {
  const status = world.identify("StatusContext", "SC", { ...input, creator: actor.user, createdAt: world.now() });
  repository.statuses.push(status);
  const root = repositoryUrl(world, repository);
  const names = await git(repository.gitDir, [
    ...["for-each-ref", `--points-at=${status.sha}`, "--format=%(refname:lstrip=2)", "refs/heads"],
  ]);
  world.webhooks.emit({
    event: "status",
    repository,
    sender: actor.user,
    body: {
      id: status.id,
      sha: status.sha,
      name: fullNameOf(repository),
      target_url: status.targetUrl,
      avatar_url: null,
      context: status.context,
      description: status.description,
      state: status.state,
      commit: commitJson(world, repository, await readCommit(repository.gitDir, status.sha)),
      branches: names
        .split("\n")
        .filter(Boolean)
        .map((name) => ({
          name,
          commit: { sha: status.sha, url: `${root}/commits/${status.sha}` },
          protected: repository.protections.has(name),
        })),
      created_at: time(status.createdAt),
      updated_at: time(status.createdAt),
    },
  });
  return status;
}

/** The newest status of each context of a commit. */
export function latestStatuses(repository: Repository, sha: string): CommitStatus[] {
  const byContext = new Map<string, CommitStatus>();
  for (const status of repository.statuses) if (status.sha === sha) byContext.set(status.context, status);
  return [...byContext.values()];
}
