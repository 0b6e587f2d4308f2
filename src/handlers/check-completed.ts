import type { Intent } from "../pipeline/intent.ts";
import { countsAsFailed } from "../policy/check-conclusion.ts";
import { actorOf, type Event, type Known, type PayloadRepository, type Verdict, workOf } from "./handler.ts";

/**
 * `check_run.completed` with a failure starts `fix-check` on its pull request. The jobs of GitHub Actions come all together
 * with `workflow_run.completed`, so that one run sees all of them.
 */
export function checkRunCompleted({ id, payload }: Event<"check_run.completed">, known: Known): Verdict {
  const { check_run: check, sender } = payload;
  if (check.app?.id === known.app.id) return { ignore: "own act" };
  if (check.app?.slug === "github-actions") return { ignore: "its workflow run tells it" };
  if (!countsAsFailed(check.conclusion)) return { ignore: `the check ended as ${check.conclusion}` };
  return onHead(payload, {
    ...{ id: `check:${check.id}:${check.completed_at}`, headSha: check.head_sha },
    ...{ actor: actorOf(sender), at: iso(check.completed_at), deliveryId: id },
    pulls: check.pull_requests,
  });
}

/** `workflow_run.completed` likewise. One that passes at a later attempt is evidence that its jobs are flaky. */
export function workflowRunCompleted({ id, payload }: Event<"workflow_run.completed">, _known: Known): Verdict {
  const { workflow_run: run, sender } = payload;
  const facts = {
    ...{ id: `workflow:${run.id}:${run.run_attempt}`, headSha: run.head_sha },
    ...{ actor: actorOf(sender), at: iso(run.updated_at), deliveryId: id },
  };
  if (countsAsFailed(run.conclusion)) return onHead(payload, { ...facts, pulls: run.pull_requests });
  if (run.conclusion !== "success" || run.run_attempt < 2) return { ignore: `the workflow ended as ${run.conclusion}` };
  return onCommit(payload, facts, "check-passed");
}

/** `status` with a failure names a commit alone: a run of `answer-command` finds its pull requests. */
export function statusFailed({ id, payload }: Event<"status">, _known: Known): Verdict {
  if (!countsAsFailed(payload.state)) return { ignore: `the status is ${payload.state}` };
  const facts = {
    ...{ id: `status:${payload.id}`, headSha: payload.sha },
    ...{ actor: actorOf(payload.sender), at: iso(payload.updated_at), deliveryId: id },
  };
  return onCommit(payload, facts, "check-failed");
}

type Payload = { installation?: { id: number } | null; repository: PayloadRepository };
type Facts = Pick<Intent, "id" | "headSha" | "actor" | "at" | "deliveryId">;
type Pulls = readonly ({ number: number; base: { repo: { id: number } } } | null)[];

/** On the pull request that the payload names; it names none of a fork's. */
function onHead(payload: Payload, { pulls, ...facts }: Facts & { pulls: Pulls }): Verdict {
  const pull = pulls.find((one) => one?.base.repo.id === payload.repository.id);
  if (pull == null) return onCommit(payload, facts, "check-failed");
  const work = workOf(payload, { kind: "pull-request", number: pull.number });
  if (work === undefined) return { ignore: "no installation" };
  return { start: { ...facts, work, pipeline: "fix-check", trigger: { kind: "state" } } };
}

function onCommit(payload: Payload, facts: Facts, command: "check-failed" | "check-passed"): Verdict {
  const work = workOf(payload, { kind: "repository" });
  if (work === undefined) return { ignore: "no installation" };
  return { start: { ...facts, work, pipeline: "answer-command", command, trigger: { kind: "state" } } };
}

function iso(time: string | null): string {
  return (time === null ? new Date() : new Date(time)).toISOString();
}
