import {
  type CheckRunInput,
  changeCheckRun,
  createCheckRun,
  createStatus,
  latestStatuses,
  rerequest,
} from "../domain/checks.ts";
import { commitOf } from "../domain/pulls.ts";
import { ApiError, forbidden, notFound } from "../errors.ts";
import { type Call, created, ok, type Route, route } from "../http.ts";
import { checkRunJson, repositoryUrl, statusJson, webhookRepository } from "../serialise.ts";
import type { CheckRun } from "../types.ts";

const REPO = "/repos/{owner}/{repo}";
const RUN = `${REPO}/check-runs/{check_run_id}`;

export const checkRoutes: Route[] = [
  route(`POST ${REPO}/check-runs`, { needs: ["checks:write"] }, async (call) => {
    const { app } = call.actor;
    if (!app) throw forbidden("You must authenticate via a GitHub App.");
    if (!(await commitOf(call.repository, call.body.head_sha))) {
      throw new ApiError(422, `No commit found for SHA: ${call.body.head_sha}`);
    }
    return created(checkRunJson(call.world, createCheckRun(call.world, call.repository, app, input(call))));
  }),
  route(`GET ${RUN}`, { needs: ["checks:read"] }, (call) => ok(checkRunJson(call.world, runOf(call)))),
  route(`PATCH ${RUN}`, { needs: ["checks:write"] }, (call) => {
    const run = runOf(call);
    if (call.actor.app !== run.app) throw forbidden("Invalid app_id `check_run` was not created by this app.");
    changeCheckRun(call.world, run, input(call));
    return ok(checkRunJson(call.world, run));
  }),
  route(`POST ${RUN}/rerequest`, { needs: ["checks:write"] }, (call) => {
    const run = runOf(call);
    if (call.actor.app && call.actor.app !== run.app) throw forbidden("This check run is not rerequestable");
    if (run.status !== "completed") throw new ApiError(422, "This check run is not rerequestable");
    rerequest(call.world, run, call.actor.user);
    return created({});
  }),
  route(`GET ${RUN}/annotations`, { needs: ["checks:read"] }, (call) => {
    const run = runOf(call);
    const blob = `${repositoryUrl(call.world, run.repository)}/git/blobs/${run.headSha}`;
    return call.page(run.annotations, (annotation) => ({
      start_column: null,
      end_column: null,
      title: null,
      raw_details: null,
      ...annotation,
      blob_href: blob,
    }));
  }),
  route(`GET ${REPO}/commits/{ref}/check-runs`, { needs: ["checks:read"] }, async (call) => {
    const sha = await commitOf(call.repository, call.params.ref ?? "");
    if (!sha) throw new ApiError(422, `No commit found for SHA: ${call.params.ref}`);
    const { check_name: name, status, app_id: appId, filter = "latest" } = call.query;
    const runs = call.repository.checkRuns
      .filter((run) => run.headSha === sha)
      .filter((run) => !name || run.name === name)
      .filter((run) => !status || run.status === status)
      .filter((run) => !appId || run.app.id === Number(appId));
    const latest = runs.filter(
      (run) => !runs.some((other) => other.id > run.id && other.name === run.name && other.suiteId === run.suiteId),
    );
    return call.page(
      (filter === "all" ? runs : latest).toReversed(),
      (run) => checkRunJson(call.world, run),
      (page, total) => ({ total_count: total, check_runs: page }),
    );
  }),
  route(`POST ${REPO}/statuses/{sha}`, { needs: ["statuses:write"] }, async (call) => {
    const sha = await commitOf(call.repository, call.params.sha ?? "");
    if (!sha) throw new ApiError(422, `No commit found for SHA: ${call.params.sha}`);
    const { state, context = "default", description, target_url: targetUrl } = call.body;
    const facts = { sha, state, context, description: description ?? null, targetUrl: targetUrl ?? null };
    const status = await createStatus(call.world, call.repository, call.actor, facts);
    return created(statusJson(call.world, call.repository, status));
  }),
  route(`GET ${REPO}/commits/{ref}/statuses`, { needs: ["statuses:read"] }, async (call) => {
    const sha = await commitOf(call.repository, call.params.ref ?? "");
    const statuses = call.repository.statuses.filter((status) => status.sha === sha).toReversed();
    return call.page(statuses, (status) => statusJson(call.world, call.repository, status));
  }),
  route(`GET ${REPO}/commits/{ref}/status`, { needs: ["statuses:read"] }, async (call) => {
    const { repository, world } = call;
    const sha = await commitOf(repository, call.params.ref ?? "");
    if (!sha) throw notFound();
    const statuses = latestStatuses(repository, sha);
    const bad = statuses.some((status) => status.state === "error" || status.state === "failure");
    const good = statuses.length > 0 && statuses.every((status) => status.state === "success");
    const url = `${repositoryUrl(world, repository)}/commits/${sha}`;
    return call.page(
      statuses,
      (status) => {
        const { creator: _creator, ...shown } = statusJson(world, repository, status);
        return shown;
      },
      (page, total) => ({
        state: bad ? "failure" : good ? "success" : "pending",
        statuses: page,
        sha,
        total_count: total,
        repository: webhookRepository(world, repository),
        commit_url: url,
        url: `${url}/status`,
      }),
    );
  }),
];

function runOf(call: Call): CheckRun {
  const run = call.repository.checkRuns.find((candidate) => candidate.id === Number(call.params.check_run_id));
  if (!run) throw notFound();
  return run;
}

function input(call: Call): CheckRunInput {
  const { body } = call;
  return {
    name: body.name,
    headSha: body.head_sha,
    status: body.status,
    conclusion: body.conclusion,
    detailsUrl: body.details_url,
    externalId: body.external_id,
    startedAt: body.started_at === undefined ? undefined : new Date(body.started_at),
    completedAt: body.completed_at === undefined ? undefined : new Date(body.completed_at),
    output: body.output,
    actions: body.actions,
  };
}
