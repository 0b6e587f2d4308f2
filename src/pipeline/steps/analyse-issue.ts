import { z } from "zod";
import type { ModelFailure } from "../../agent/model.ts";
import { Analysis } from "../../agent/schemas.ts";
import { neutralise } from "../../policy/neutralise.ts";
import type { Outcome } from "../outcome.ts";
import { defineStep } from "../step.ts";
import { Base, ContextText, Ended, ended, IssueText, Plan, type Task } from "./shapes.ts";
import { recorder, remainingBudget } from "./support/budget.ts";
import { fileDocument, readDocument } from "./support/documents.ts";
import { promptFor } from "./support/prompt.ts";
import { configOf } from "./support/repository.ts";

/** Asks the model for summary, criteria, files, plan, risk and open questions (B7). An edited plan replaces the old one. */
export const analyseIssue = defineStep({
  name: "analyse-issue",
  input: z.object({ base: Base, issueBlob: z.string(), contextBlob: z.string(), planBlob: z.string().optional() }),
  output: z.discriminatedUnion("kind", [Plan, Ended]),
  async run({ base, issueBlob, contextBlob, planBlob }, deps, ctx) {
    const remaining = await remainingBudget(deps, ctx, await configOf(deps, base), 9);
    if (remaining.kind === "used-up") {
      const detail = "Next: have the limit raised, or trigger the run again later.";
      return ended({ kind: "failed", reason: remaining.reason, detail });
    }
    const issue = await readDocument(deps, issueBlob, IssueText);
    const context = await readDocument(deps, contextBlob, ContextText);
    const edited = planBlob === undefined ? undefined : await deps.store.blobs.text(planBlob);
    const touched = context.ranked.slice(0, 10).map((file) => file.path);
    const prompt =
      edited === undefined
        ? await promptFor(deps, ctx, base, "analyse-issue", { issue, context: context.packed }, touched)
        : await promptFor(deps, ctx, base, "revise-plan", { issue, context: context.packed, plan: edited }, touched);
    const answer = await deps.model.object({
      prompt,
      schema: Analysis,
      budget: remaining.budget,
      signal: ctx.signal,
      record: recorder(deps, ctx),
    });
    if (answer.kind !== "answer") return ended(unanswered(answer.kind, answer.message));
    const analysis = answer.value;
    if (analysis.doable === "needs-answers") return ended(question(analysis));
    if (analysis.doable === "already-done") return ended(alreadyDone(analysis));
    return {
      kind: "plan" as const,
      taskBlob: await fileDocument(deps, ctx, "text", { kind: "implement", analysis, issue } satisfies Task),
      title: analysis.title.slice(0, 200),
      commitType: analysis.commitType,
      commitScope: analysis.commitScope,
      risk: analysis.risk,
    };
  },
});

const clean = (text: string) => neutralise(text, { allowHosts: [], maxBytes: 4_000 });

function question(analysis: Analysis): Outcome {
  return {
    kind: "question",
    reason: "The issue cannot be done as written without an answer.",
    detail: [
      clean(analysis.summary),
      "",
      ...analysis.openQuestions.map((one, index) => `${index + 1}. ${clean(one)}`),
      "",
      "Answer in a comment, and the work starts again.",
    ].join("\n"),
  };
}

function alreadyDone(analysis: Analysis): Outcome {
  return {
    kind: "no-change-needed",
    reason: "The repository already does what the issue asks for.",
    detail: clean(analysis.alreadyDoneEvidence ?? analysis.summary),
  };
}

/** Why the model gave no usable answer, for people. */
function unanswered(kind: ModelFailure, message: string): Outcome {
  const reasons: Record<ModelFailure, string> = {
    "out-of-budget": "The budget was used up before the issue was understood.",
    "out-of-time": "The time was used up before the issue was understood.",
    "out-of-turns": "The requests to the model were used up before the issue was understood.",
    "gave-up": "The model gave up on the issue.",
    refused: "The model refused to work on this issue.",
    "invalid-answer": "The model's answer could not be used, also after two repairs.",
    "context-overflow": "The issue and its context do not fit the model's window, also after shrinking.",
  };
  return {
    kind: "failed",
    reason: reasons[kind],
    detail: `${clean(message)}\n\nNext: split or reword the issue, or trigger the run again.`,
  };
}
