import { z } from "zod";
import type { Prompt, WorkResult } from "../../agent/model.ts";
import type { CoderName } from "../../coder/coder.ts";
import { neutralise } from "../../policy/neutralise.ts";
import type { Deps } from "../deps.ts";
import { defineStep, type StepContext } from "../step.ts";
import { Base, Change, ContextText, Ended, ended, Plan, Task } from "./shapes.ts";
import { agentTools } from "./support/agent-tools.ts";
import { recorder, remainingBudget } from "./support/budget.ts";
import { treeOf } from "./support/commands.ts";
import { fileDocument, readDocument } from "./support/documents.ts";
import { botPerson } from "./support/people.ts";
import { promptFor } from "./support/prompt.ts";
import { configOf, openJob } from "./support/repository.ts";
import { earlierTranscript, fileBundle, savedSlice, withWritten } from "./support/slice.ts";

/** One slice of writing is at most this long: a lost machine loses no more than one slice. */
const sliceMinutes = 4;

const Input = z.object({
  base: Base,
  analysis: Plan,
  contextBlob: z.string(),
  attempt: z.number().int(),
  change: Change,
  /** Where this writing began, and which of its files carry conflict marks (B17). */
  start: z.object({ sha: z.string(), conflicts: z.array(z.string()) }),
});

/**
 * The agent writes in the job's tree, one slice at a time. After every turn the tree's commit and the transcript are
 * saved together; a second run resets the tree to that commit and goes on from there. Nothing leaves the machine.
 */
export const writeChange = defineStep({
  name: "write-change",
  input: Input,
  output: z.discriminatedUnion("kind", [
    z.object({ kind: z.literal("written"), change: Change }),
    z.object({ kind: z.literal("unfinished"), change: Change }),
    Ended,
  ]),
  async run(input, deps, ctx) {
    const { base, attempt, change, start } = input;
    const remaining = await remainingBudget(deps, ctx, await configOf(deps, base), sliceMinutes);
    if (remaining.kind === "used-up") {
      const advice = "Next: have the limit raised, or trigger the run again later.";
      return stopped(input, await withWritten(deps, ctx, input), remaining.reason, advice);
    }
    const slice = await savedSlice(deps, ctx, attempt);
    const { saved, lastResort } = slice;
    const job = await openJob(deps, ctx, base, saved ?? change);
    await job.reset(saved?.sha ?? change.sha);
    let head = saved?.sha ?? change.sha;
    const person = await botPerson(deps, ctx);

    const prompt = await writingPrompt(input, lastResort, deps, ctx);
    // What another coder wrote is in the tree; its conversation says nothing to this one.
    const own = saved?.coder === deps.coder.name ? saved : undefined;
    const result = await deps.coder.code({
      prompt,
      at: treeOf(ctx, job),
      tools: agentTools(deps, ctx, job),
      transcript: own === undefined ? undefined : await readDocument(deps, own.transcriptBlob, z.array(z.unknown())),
      // The smallest prompt is for whom the conversation so far did not help (B20).
      earlier: own !== undefined || prompt.name === "simplest-change" ? undefined : await earlierTranscript(deps, ctx),
      budget: remaining.budget,
      signal: ctx.signal,
      record: recorder(deps, ctx),
      async onTurn(turn) {
        // Only tools change the tree.
        if (turn.toolCalls > 0) head = (await job.commit(`work in progress ${ctx.runKey}`, person, person)) ?? head;
        const transcriptBlob = await fileDocument(deps, ctx, "transcript", turn.transcript);
        await slice.save({ sha: head, transcriptBlob, coder: deps.coder.name });
      },
      onTool: (call) => ctx.progress({ message: call }),
    });
    if (result.kind !== "done") head = (await job.commit(`work in progress ${ctx.runKey}`, person, person)) ?? head;
    const bundleBlob = head === base.baseSha ? undefined : await fileBundle(deps, ctx, job, head);
    const next: Change = { ...change, sha: head, bundleBlob, attempts: attempt };
    if (result.kind === "unfinished") {
      const { saved: now } = await savedSlice(deps, ctx, attempt);
      if (now !== undefined) await slice.save({ ...now, sha: head, bundleBlob });
      return { kind: "unfinished" as const, change: next };
    }
    if (result.kind !== "done") {
      const spent = ["out-of-budget", "out-of-time", "out-of-turns"].includes(result.kind);
      if (spent || head !== start.sha || lastResort !== undefined) {
        const words = neutralise(result.message, { allowHosts: [], maxBytes: 1_000 });
        const advice = "Next: split or reword the issue, or trigger the run again.";
        return stopped(input, next, whyStopped(result, deps.coder.name), `${words}.\n\n${advice}`);
      }
      // Nothing was written and something can still be spent: once more with a smaller prompt (B20).
      await deps.store.notes.set(ctx.runKey, "last-resort", whyStopped(result, deps.coder.name));
      return { kind: "unfinished" as const, change: next };
    }
    const summaryBlob = await fileDocument(deps, ctx, "text", result.text);
    if (head === start.sha && start.sha !== base.baseSha) {
      const words = neutralise(result.text, { allowHosts: [], maxBytes: 4_000 });
      return ended({ kind: "no-change-needed", reason: "Nothing was changed on the pull request.", detail: words });
    }
    if (head === start.sha) {
      return ended({
        kind: "failed",
        reason: "The model finished without changing anything.",
        detail: "Next: say in the issue what should be different, or name the files, and trigger the run again.",
      });
    }
    return { kind: "written" as const, change: { ...next, summaryBlob } };
  },
});

/** Partial results are kept (P6): what was written so far goes on as a draft; without any change it is a failure. */
function stopped({ start }: z.infer<typeof Input>, change: Change, reason: string, detail: string) {
  if (change.sha === start.sha) return ended({ kind: "failed", reason, detail });
  return { kind: "written" as const, change: { ...change, stopped: reason } };
}

function whyStopped(result: Exclude<WorkResult, { kind: "done" | "unfinished" }>, coder: CoderName): string {
  switch (result.kind) {
    case "out-of-budget":
      return "The budget was used up while the change was being written.";
    case "out-of-time":
      return "The time was used up while the change was being written.";
    case "out-of-turns":
      return "The requests to the model were used up while the change was being written.";
    case "gave-up":
      return `${coder === "agent" ? "The model gave up" : "Claude Code stopped"} before the change was finished.`;
    case "refused":
      return "The model refused to go on with this change.";
    case "invalid-answer":
      return "The model's answers could not be used, also after repairs.";
    case "context-overflow":
      return "The work outgrew the model's window, also after shrinking.";
  }
}

function taskData(task: Task) {
  switch (task.kind) {
    case "implement":
      return { issue: task.issue, plan: task.analysis };
    case "address-review":
      return task.review;
    case "fix-check":
      return task.failure;
  }
}

async function writingPrompt(
  { base, analysis, contextBlob, attempt, change, start }: z.infer<typeof Input>,
  lastResort: string | undefined,
  deps: Deps,
  ctx: StepContext,
): Promise<Prompt> {
  const task = await readDocument(deps, analysis.taskBlob, Task);
  if (lastResort !== undefined && change.sha === start.sha) {
    return promptFor(deps, ctx, base, "simplest-change", { task: taskData(task), failures: lastResort }, []);
  }
  const context = (await readDocument(deps, contextBlob, ContextText)).packed;
  const failureBlob = change.checks?.failure?.blob;
  const failures = attempt === 1 || failureBlob === undefined ? undefined : await deps.store.blobs.text(failureBlob);
  if (task.kind === "address-review") {
    const touched = task.review.threads.map((thread) => thread.path);
    if (failures !== undefined)
      return promptFor(deps, ctx, base, "fix-checks", { task: taskData(task), failures }, touched);
    if (start.conflicts.length > 0)
      return promptFor(
        deps,
        ctx,
        base,
        "resolve-conflict",
        { task: task.review, conflicts: start.conflicts },
        start.conflicts,
      );
    return promptFor(deps, ctx, base, "address-review", { review: task.review, context }, touched);
  }
  if (task.kind === "fix-check") {
    const touched = task.failure.analysis.files;
    if (failures !== undefined)
      return promptFor(deps, ctx, base, "fix-checks", { task: taskData(task), failures }, touched);
    return promptFor(deps, ctx, base, "fix-failure", { failure: task.failure, context }, touched);
  }
  const { analysis: plan, issue } = task;
  const touched = plan.relevantFiles.map((file) => file.path);
  if (failures === undefined) return promptFor(deps, ctx, base, "write-change", { issue, plan, context }, touched);
  const lastAttempt = attempt === base.maxAttempts && attempt > 2;
  return promptFor(
    deps,
    ctx,
    base,
    lastAttempt ? "simplest-change" : "fix-checks",
    { task: taskData(task), failures },
    touched,
  );
}
