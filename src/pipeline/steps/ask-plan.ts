import { z } from "zod";
import type { Analysis } from "../../agent/schemas.ts";
import { putComment } from "../../github/comments.ts";
import { planMarkerOf } from "../../policy/markers.ts";
import { neutralise } from "../../policy/neutralise.ts";
import type { Deps } from "../deps.ts";
import { defineStep } from "../step.ts";
import { Base, Plan, Task } from "./shapes.ts";
import { readDocument } from "./support/documents.ts";
import { approveBox, planText } from "./support/plan.ts";
import { place } from "./support/repository.ts";

/** Posts the plan with a box to tick. A second run finds the comment by its marker and leaves it as people edited it. */
export const askPlan = defineStep({
  name: "ask-plan",
  input: z.object({ base: Base, analysis: Plan, revision: z.number().int() }),
  output: z.object({ commentId: z.number().int() }),
  async run({ base, analysis, revision }, deps, ctx) {
    const known = await deps.store.notes.get(ctx.runKey, `plan-comment:${revision}`);
    if (known !== undefined) return { commentId: Number(known) };
    const plan = planText(await agreedAnalysis(deps, analysis.taskBlob));
    const body = [
      "### ✋ Plan: may this be built?",
      "",
      plan,
      "",
      approveBox(false),
      "",
      `<sub>Tick the box, react with 👍 to this comment or write \`/millwright approve\`. Edit this comment to change the plan, or write \`/millwright reject\`. Only people with write access count. Without an answer the run ends in ${Math.round(base.planTimeoutMinutes / 60)} h.</sub>`,
    ].join("\n");
    // Known before the comment is there: a person may tick it at once.
    await deps.store.notes.set(
      ctx.runKey,
      `plan-text:${revision}`,
      await deps.store.blobs.put(plan, {
        repositoryId: ctx.intent.work.repositoryId,
        runKey: ctx.runKey,
        kind: "text",
      }),
    );
    await deps.store.notes.set(ctx.runKey, "plan-revision", String(revision));
    const octokit = await ctx.github({ issues: "write", pull_requests: "write" });
    const comment = await ctx.effect("ask-plan", () =>
      putComment(octokit, deps.operator.app.id, place(ctx.intent), planMarkerOf(ctx.runKey, revision), body),
    );
    await deps.store.notes.set(ctx.runKey, "plan-comment", String(comment.id));
    await deps.store.notes.set(ctx.runKey, `plan-comment:${revision}`, String(comment.id));
    return { commentId: comment.id };
  },
});

async function agreedAnalysis(deps: Deps, taskBlob: string): Promise<Analysis> {
  const task = await readDocument(deps, taskBlob, Task);
  if (task.kind !== "implement") throw new Error("Only a change that was analysed has a plan to ask for");
  const { analysis } = task;
  const clean = (text: string) => neutralise(text, { allowHosts: [], maxBytes: 4_000 });
  return {
    ...analysis,
    summary: clean(analysis.summary),
    riskReason: clean(analysis.riskReason),
    acceptanceCriteria: analysis.acceptanceCriteria.map(clean),
    plan: analysis.plan.map(clean),
    relevantFiles: analysis.relevantFiles.map((file) => ({ path: file.path, reason: clean(file.reason) })),
  };
}
