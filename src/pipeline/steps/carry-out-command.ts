import type { ProbotOctokit } from "probot";
import { z } from "zod";
import { putCiCheck } from "../../github/ci-check.ts";
import { statusOf } from "../../github/client.ts";
import { putComment } from "../../github/comments.ts";
import { reactToTrigger } from "../../github/reactions.ts";
import { planMarkerOf, replyMarker } from "../../policy/markers.ts";
import { dollars, duration } from "../../status/render.ts";
import type { PullRequestRow, RunRow } from "../../store/store.ts";
import type { Deps } from "../deps.ts";
import { branchOf, Intent } from "../intent.ts";
import { Outcome } from "../outcome.ts";
import { defineStep, type StepContext } from "../step.ts";
import { carryOutCheckCommand } from "./support/check-commands.ts";
import { readDocument } from "./support/documents.ts";
import { botPerson } from "./support/people.ts";
import { readPlanEdit } from "./support/plan.ts";
import { place } from "./support/repository.ts";

const writeIssues = { issues: "write", pull_requests: "write", metadata: "read" } as const;

/** Carries out a control word through the engine and answers by a reaction or one line. Every branch can be done twice. */
export const carryOutCommand = defineStep({
  name: "carry-out-command",
  input: z.object({}),
  output: Outcome,
  async run(_input, deps, ctx) {
    const { command } = ctx.intent;
    switch (command) {
      case "stop":
        return stop(deps, ctx);
      case "closed":
      case "unlabelled":
        return follow(deps, ctx, command);
      case "retry":
        return retry(deps, ctx);
      case "approve":
        return approve(deps, ctx);
      case "reject":
        return decide(deps, ctx, "reject");
      case "plan-edited":
        return planEdited(deps, ctx);
      case "status":
        return status(deps, ctx);
      case "too-large":
        return say(
          deps,
          ctx,
          "This text is too large to work on: at most 900 KB are taken. Please shorten it and trigger the run again.",
        );
      case "changed":
        return say(deps, ctx, triggerAgain(ctx));
      case "orphaned":
        return removeOrphan(deps, ctx);
      case "reject-fix":
      case "rerun":
      case "explain":
      case "check-failed":
      case "check-passed":
        return carryOutCheckCommand(deps, ctx, command);
      case "help":
      case "unknown":
      case undefined:
        return help(deps, ctx);
    }
  },
});

/** The text does not come from a signed payload, and it is not the one that somebody asked to be worked on (M4). */
function triggerAgain({ intent }: StepContext): string {
  const what = intent.trigger.kind === "label" ? "remove the label and add it again" : "write the command again";
  return `GitHub did not tell me in time that you asked, and the text was changed after that. Please trigger again: ${what}.`;
}

const answered = (reason: string): Outcome => ({ kind: "answered", reason });

/**
 * What was found out or done once, remembered under a name: when the answer to it is lost, the command is carried out
 * again, and would else find that nothing is to be done any more, and say so.
 */
async function once<T extends string>(
  deps: Deps,
  ctx: StepContext,
  name: string,
  find: () => Promise<T>,
): Promise<T | string> {
  const noted = await deps.store.notes.get(ctx.runKey, name);
  if (noted !== undefined) return noted;
  const found = await find();
  await deps.store.notes.set(ctx.runKey, name, found);
  return found;
}

async function stop(deps: Deps, ctx: StepContext): Promise<Outcome> {
  const found = await once(deps, ctx, "stops", async () => {
    const runs = await activeRuns(deps, ctx);
    return runs.some(({ outcome }) => outcome === undefined) ? "some" : "none";
  });
  const stopped = (await deps.engine.cancel(ctx.workKey, `${ctx.intent.actor.login} stopped it.`)) || found === "some";
  return stopped ? react(ctx, "Stopped.") : say(deps, ctx, "Nothing of mine is running here.");
}

/** A closed subject cancels its runs; a removed label only those that it started. */
async function follow(deps: Deps, ctx: StepContext, state: "closed" | "unlabelled"): Promise<Outcome> {
  const { work, actor, args } = ctx.intent;
  const pull =
    work.subject.kind === "pull-request"
      ? await deps.store.pullRequests.byNumber(work.repositoryId, work.subject.number ?? 0)
      : undefined;
  if (state === "closed" && pull !== undefined) {
    await deps.store.pullRequests.put({ ...pull, state: args === "merged" ? "merged" : "closed" });
  }
  if (state === "unlabelled" && !(await activeRuns(deps, ctx)).some((run) => run.intent.trigger.kind === "label"))
    return answered("No run was started by the label.");
  const subject = work.subject.kind === "issue" ? "issue" : "pull request";
  const reason =
    state === "closed"
      ? `The ${subject} was ${args === "merged" ? "merged" : "closed"} by ${actor.login}.`
      : `${actor.login} removed the label.`;
  return answered((await deps.engine.cancel(ctx.workKey, reason)) ? reason : "Nothing was running.");
}

/** A review waits too, until its head stands still: that is nothing to decide on. */
function waitsForPlan({ state, pipeline }: RunRow): boolean {
  return state === "waiting-decision" && pipeline === "issue-to-pr";
}

async function activeRuns(deps: Deps, ctx: StepContext): Promise<RunRow[]> {
  const runs = await deps.store.runs.ofWork(ctx.workKey);
  return runs.filter((run) => run.state !== "ended" && run.runKey !== ctx.runKey && run.pipeline !== "answer-command");
}

/**
 * A branch that a run pushed and that was left over when the run ended without a pull request. It is removed only while it
 * is at what the run pushed and no pull request, open or closed, shows it. A second run finds it gone.
 */
async function removeOrphan(deps: Deps, ctx: StepContext): Promise<Outcome> {
  const run = await deps.store.runs.get(ctx.intent.args ?? "");
  const sha = run === undefined ? undefined : await deps.store.notes.get(run.runKey, "pushed-sha");
  if (run?.state !== "ended" || sha === undefined) return answered("No run of mine left a branch.");
  if ((await activeRuns(deps, ctx)).length > 0) return answered("The branch is being worked on.");
  const { owner, repo } = run.work;
  const branch = branchOf(run.work.subject.number ?? 0, run.workKey);
  const octokit = await ctx.github({ contents: "write", pull_requests: "read" });
  const shown = await octokit.rest.pulls.list({ owner, repo, head: `${owner}:${branch}`, state: "all", per_page: 1 });
  if (shown.data.length > 0) return answered("A pull request shows the branch.");
  const ref = `heads/${branch}`;
  try {
    const head = (await octokit.rest.git.getRef({ owner, repo, ref })).data.object.sha;
    if (head !== sha) return answered("Somebody else pushed to the branch.");
    await ctx.effect("delete-branch", () => octokit.rest.git.deleteRef({ owner, repo, ref }));
  } catch (error) {
    if (![403, 404, 409, 422].includes(statusOf(error) ?? 0)) throw error;
    return answered("The branch is gone, or GitHub keeps it.");
  }
  return answered(`The branch ${branch} was left over and is removed.`);
}

/** A retry is an intent of its own with the frozen text of the last run, in the name of whoever asked for it. */
async function retry(deps: Deps, ctx: StepContext): Promise<Outcome> {
  // The command's own id names this run.
  const id = `${ctx.intent.id}:retry`;
  const runs = (await deps.store.runs.ofWork(ctx.workKey)).filter(
    (run) => run.pipeline !== "answer-command" && run.intent.id !== id,
  );
  // A pull request that is opened or pushed to starts runs of its own: who retries means what a person began.
  const last = runs.find((run) => run.intent.trigger.kind !== "state") ?? runs[0];
  if (last === undefined) return say(deps, ctx, "There is nothing to try again here.");
  const active = runs.find((run) => run.state !== "ended" && (run === last || run.intent.trigger.kind !== "state"));
  if (active !== undefined) return say(deps, ctx, `Run \`${active.runKey}\` is still active; write \`/stop\` first.`);
  // What a state started is tried again at the head as it is now.
  const { textBlob: _, headSha: __, ...kept } = last.intent;
  const { actor, at, deliveryId } = ctx.intent;
  // The threads of a review are found by its id.
  const trigger = last.intent.trigger.kind === "review" ? last.intent.trigger : ctx.intent.trigger;
  await deps.engine.start({
    ...kept,
    ...(await frozenText(deps, last)),
    id,
    actor,
    at,
    trigger,
    deliveryId,
    answers: false,
  });
  return answered("Started again.");
}

/** An answer that the issue's author gave is data, also when it is tried again: it must not become an instruction. */
async function frozenText(deps: Deps, { intent }: RunRow): Promise<Pick<Intent, "text" | "args">> {
  const text =
    intent.textBlob === undefined ? undefined : await readDocument(deps, intent.textBlob, Intent.shape.text.unwrap());
  if (intent.answers !== true || text === undefined) return { text, args: intent.args };
  return {
    text: { ...text, body: `${text.body}\n\nAnswer by ${intent.actor.login}:\n\n${intent.args ?? ""}` },
    args: undefined,
  };
}

/** Approves what waits here: a plan, else the pull request's CI. */
async function approve(deps: Deps, ctx: StepContext): Promise<Outcome> {
  const pull = await deps.store.pullRequests.ofWork(ctx.workKey);
  const what = await once(deps, ctx, "approves", async () => {
    if ((await activeRuns(deps, ctx)).some(waitsForPlan)) return "plan";
    return pull?.ciWaits === true && pull.state === "open" ? "ci" : "nothing";
  });
  if (what === "plan") return decide(deps, ctx, "approve");
  if (what === "ci" && pull !== undefined) return approveCi(deps, ctx, pull);
  return say(deps, ctx, "Nothing waits for approval here.");
}

async function decide(deps: Deps, ctx: StepContext, kind: "approve" | "reject"): Promise<Outcome> {
  const waits = await once(deps, ctx, "decides", async () =>
    (await activeRuns(deps, ctx)).some(waitsForPlan) ? "yes" : "no",
  );
  if (waits === "no") return say(deps, ctx, "No plan waits for a decision here.");
  // A second one would decide on the next plan too.
  await once(deps, ctx, "signalled", async () => {
    await deps.engine.signal(ctx.workKey, "decision", { kind, actor: ctx.intent.actor.login });
    return "yes";
  });
  return react(ctx, kind === "approve" ? "Approved." : "Rejected.");
}

/**
 * A new commit with the same tree and without `[skip ci]`: CI runs on it (security.md M13). The branch moves only if
 * it is still at what we pushed.
 */
async function approveCi(deps: Deps, ctx: StepContext, pull: PullRequestRow): Promise<Outcome> {
  const { owner, repo } = ctx.intent.work;
  const octokit = await ctx.github({ ...writeIssues, contents: "write", checks: "write" });
  const ref = `heads/${pull.branch}`;
  const approved = ctx.intent.headSha;
  if (approved !== undefined && approved !== pull.headSha)
    return say(deps, ctx, "That button belongs to an earlier commit: please look at the newest one and approve that.");
  const headOf = async () => (await octokit.rest.git.getRef({ owner, repo, ref })).data.object.sha;
  const message = `chore: run CI\n\nApproved by ${ctx.intent.actor.login}; the tree is that of ${pull.headSha.slice(0, 12)}.`;
  const { data: commit } = await octokit.rest.git.getCommit({ owner, repo, commit_sha: pull.headSha });
  const sha = await ctx.effect("approve-ci", async () => {
    const head = await headOf();
    // An earlier try moved the branch and its answer was lost.
    if (head !== pull.headSha)
      return (await isApproval(octokit, { owner, repo }, head, pull.headSha, message)) ? head : undefined;
    const person = { date: ctx.intent.at, ...(await botPerson(deps, ctx)) };
    const { data } = await octokit.rest.git.createCommit({
      owner,
      repo,
      message,
      tree: commit.tree.sha,
      parents: [pull.headSha],
      author: person,
      committer: person,
    });
    try {
      await octokit.rest.git.updateRef({ owner, repo, ref, sha: data.sha, force: false });
    } catch (error) {
      if (statusOf(error) !== 422) throw error;
      if ((await headOf()) !== data.sha) return undefined;
    }
    return data.sha;
  });
  if (sha === undefined)
    return say(deps, ctx, "Somebody else pushed to this branch since, so its CI runs as usual and needs no approval.");
  await ctx.effect("ci-check", () => putCiCheck(octokit, deps.operator.app.id, { owner, repo, sha }, "approved"));
  const outcome = await react(ctx, "CI runs.");
  // Last: until then another try finds the approval on the branch, and does what is left.
  await deps.store.pullRequests.put({ ...pull, headSha: sha, ciWaits: false });
  return outcome;
}

async function isApproval(
  octokit: ProbotOctokit,
  place: { owner: string; repo: string },
  sha: string,
  parentSha: string,
  message: string,
): Promise<boolean> {
  const { data } = await octokit.rest.git.getCommit({ ...place, commit_sha: sha });
  return data.parents[0]?.sha === parentSha && data.message.trim() === message;
}

/** The run whose plan is asked for; a person may be quicker than its step, so that it does not wait yet. */
async function runThatAsks(deps: Deps, ctx: StepContext): Promise<RunRow | undefined> {
  for (const run of await activeRuns(deps, ctx)) {
    if (waitsForPlan(run)) return run;
    if ((await deps.store.runs.steps(run.runKey)).at(-1)?.name === "ask-plan") return run;
  }
  return undefined;
}

async function planEdited(deps: Deps, ctx: StepContext): Promise<Outcome> {
  const waiting = await runThatAsks(deps, ctx);
  if (waiting === undefined) return answered("No plan waits for a decision.");
  if (ctx.intent.textBlob === undefined) return answered("The plan is not known any more.");
  const { body } = await readDocument(deps, ctx.intent.textBlob, Intent.shape.text.unwrap());
  // The handler made sure that our App wrote the comment; its mark says which plan it is.
  const revision = await deps.store.notes.get(waiting.runKey, "plan-revision");
  if (revision === undefined || !body.includes(planMarkerOf(waiting.runKey, Number(revision))))
    return answered("Another plan waits for a decision.");
  const posted = await deps.store.notes.get(waiting.runKey, `plan-text:${revision}`);
  const postedText = posted === undefined ? undefined : await deps.store.blobs.text(posted);
  if (postedText === undefined) return answered("The plan is not known any more.");
  const edit = readPlanEdit(body, postedText);
  const actor = ctx.intent.actor.login;
  switch (edit.kind) {
    case "nothing":
      return answered("The edit changed nothing.");
    case "approve":
      await deps.engine.signal(ctx.workKey, "decision", { kind: "approve", actor });
      return answered("Approved.");
    case "edit": {
      const blob = await deps.store.blobs.put(edit.plan, {
        repositoryId: ctx.intent.work.repositoryId,
        runKey: waiting.runKey,
        kind: "text",
      });
      await deps.engine.signal(ctx.workKey, "decision", { kind: "edit", actor, blob });
      return answered("The plan is made anew.");
    }
  }
}

async function status(deps: Deps, ctx: StepContext): Promise<Outcome> {
  const runs = (await deps.store.runs.ofWork(ctx.workKey)).filter((run) => run.pipeline !== "answer-command");
  const [last] = runs;
  if (last === undefined) return say(deps, ctx, "No run of mine here yet.");
  const usage = await deps.store.usage.ofRun(last.runKey);
  const seconds = (Date.parse(last.endedAt ?? new Date().toISOString()) - Date.parse(last.createdAt)) / 1000;
  const state =
    last.outcome === undefined ? last.state.replace("-", " ") : `ended: ${last.outcome.kind}. ${last.outcome.reason}`;
  return say(deps, ctx, `Run \`${last.runKey}\` is ${state} · ${duration(seconds)} · ${dollars(usage.costUsd)}.`);
}

async function help(deps: Deps, ctx: StepContext): Promise<Outcome> {
  const mayTalk = await deps.store.rateLimit(`help:${ctx.intent.work.repositoryId}:${ctx.intent.actor.id}`, 3, 3_600);
  if (!mayTalk && ctx.attempt === 1) return answered("Help was given often enough.");
  const unknown =
    ctx.intent.command === "unknown"
      ? [`I do not know \`/millwright ${(ctx.intent.args ?? "").replaceAll(/[^\w-]/g, "")}\`.`, ""]
      : [];
  const lines = [
    ...unknown,
    "| command | what it does |",
    "|---|---|",
    "| `/millwright code [instructions]` | builds this issue, or changes this pull request of mine |",
    "| `/millwright review [focus]` | reviews this pull request, where reviews are switched on |",
    "| `/millwright fix` | looks into the failed checks of a pull request |",
    "| `/millwright review [focus]` | reviews a pull request |",
    "| `/millwright stop` | stops what runs here |",
    "| `/millwright retry` | tries the last run again |",
    "| `/millwright status` | says what the last run does and costs |",
    "| `/millwright approve` · `reject` | decides on a plan; `approve` also lets the CI of my pull request run |",
    "",
    `Short forms here: ${deps.operator.shortCommands.map((word) => `\`/${word}\``).join(", ")}. The label \`${deps.operator.labels.trigger}\` starts a build too.`,
  ];
  return say(deps, ctx, lines.join("\n"));
}

async function react(ctx: StepContext, reason: string): Promise<Outcome> {
  const octokit = await ctx.github(writeIssues);
  await ctx.effect("answer", () => reactToTrigger(octokit, ctx.intent, "+1"));
  return answered(reason);
}

async function say(deps: Deps, ctx: StepContext, line: string): Promise<Outcome> {
  const octokit = await ctx.github(writeIssues);
  await ctx.effect("answer", () =>
    putComment(octokit, deps.operator.app.id, place(ctx.intent), replyMarker(ctx.runKey, "answer"), line),
  );
  return answered(line.split("\n")[0] ?? line);
}
