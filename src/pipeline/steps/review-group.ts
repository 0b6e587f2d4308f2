import { z } from "zod";
import type { Budget, ModelFailure, Prompt } from "../../agent/model.ts";
import { renderPrompt, reviewerInstructions } from "../../agent/prompts.ts";
import { asData, visibleText } from "../../policy/visible-text.ts";
import { ReviewerAnswer } from "../../review/finding.ts";
import type { Deps } from "../deps.ts";
import { defineStep, type StepContext } from "../step.ts";
import { Base, PullFacts, PullText } from "./shapes.ts";
import { recorder, remainingBudget } from "./support/budget.ts";
import { fileDocument, readDocument } from "./support/documents.ts";
import { whySuperseded } from "./support/known-findings.ts";
import { instructions } from "./support/prompt.ts";
import { configOf, repositoryRef } from "./support/repository.ts";
import { GroupText } from "./support/review-shapes.ts";
import { fetchReviewed } from "./support/reviewed-trees.ts";

const Input = z.object({
  base: Base,
  pull: PullFacts,
  reviewer: z.string(),
  group: z.object({ blob: z.string(), weight: z.number() }),
  /** Which of how many that ask at once, and share what may still be spent. */
  place: z.object({ at: z.number().int(), of: z.number().int().min(1) }),
});

/**
 * One reviewer looks at one group of files. All that does not depend on the reviewer comes first and is the same text for each
 * of them, so that it is sent once and read from the provider's cache by the others. Touches nothing.
 */
export const reviewGroup = defineStep({
  name: "review-group",
  input: Input,
  output: z.discriminatedUnion("kind", [
    z.object({ kind: z.literal("reviewed"), blob: z.string() }),
    /** It did not look at this group, or not to the end. */
    z.object({ kind: z.literal("cut"), reason: z.string() }),
    z.object({ kind: z.literal("superseded") }),
  ]),
  async run(input, deps, ctx) {
    const { base, pull, reviewer, group, place } = input;
    if ((await whySuperseded(deps, ctx, pull.headSha)) !== undefined) return { kind: "superseded" as const };
    const remaining = await remainingBudget(deps, ctx, await configOf(deps, base), 8);
    if (remaining.kind === "used-up") return { kind: "cut" as const, reason: remaining.reason };
    const budget = shareOf(remaining.budget, place);
    if (budget === undefined)
      return {
        kind: "cut" as const,
        reason: "The requests to the model that are left do not suffice for all reviewers.",
      };
    await fetchReviewed(deps, ctx, base, pull);
    const prompt = await promptOf(deps, ctx, input);
    if (prompt === undefined)
      return {
        kind: "cut" as const,
        reason: `The prompt file of the reviewer \`${reviewer}\` is not on the default branch.`,
      };
    const answer = await deps.model.object({
      prompt,
      schema: ReviewerAnswer,
      budget,
      signal: ctx.signal,
      record: recorder(deps, ctx),
    });
    if (answer.kind !== "answer") return { kind: "cut" as const, reason: whyCut(reviewer, answer.kind) };
    const blob = await fileDocument(deps, ctx, "text", { reviewer, weight: group.weight, answer: answer.value });
    return { kind: "reviewed" as const, blob };
  },
});

/** Those who ask at once do not see what the others spend: each gets its part, so that together they keep within the limits (M8). */
function shareOf(budget: Budget, { at, of }: { at: number; of: number }): Budget | undefined {
  if (at >= budget.turns) return undefined;
  return {
    turns: Math.max(1, Math.floor(budget.turns / of)),
    inputTokens: Math.floor(budget.inputTokens / of),
    outputTokens: Math.floor(budget.outputTokens / of),
    costUsd: budget.costUsd / of,
    deadline: budget.deadline,
  };
}

async function promptOf(
  deps: Deps,
  ctx: StepContext,
  { base, pull, reviewer, group }: z.infer<typeof Input>,
): Promise<Prompt | undefined> {
  const own = await instructionsOf(deps, ctx, base, reviewer);
  if (own === undefined) return undefined;
  const text = await readDocument(deps, group.blob, GroupText);
  const about = await readDocument(deps, pull.textBlob, PullText);
  const { review, models } = await configOf(deps, base);
  const { version, system, task } = renderPrompt("review-group", {
    reviewer: own.text,
    focus: focusOf(ctx),
    language: review.language,
  });
  const repository = [
    await instructions(
      deps,
      ctx,
      base,
      text.files.map(({ path }) => path),
    ),
    "The pull request, in its author's words:",
    asData("pull request", about),
    "The part of its change that you review:",
    asData("change", text.files),
    "Excerpts of other files that call what it changes, or that it calls:",
    asData("related code", text.related),
  ].join("\n\n");
  return {
    name: `review-${reviewer}`,
    version: `${version}-${own.version}`,
    system,
    repository,
    needsRepository: true,
    task,
    allowedModels: models.allowed,
  };
}

/** A built-in reviewer's text, or that of the repository's own prompt file: from the default branch, never from the pull request. */
async function instructionsOf(
  deps: Deps,
  ctx: StepContext,
  base: Base,
  reviewer: string,
): Promise<{ version: string; text: string } | undefined> {
  const { review } = await configOf(deps, base);
  const own = review.ownReviewers.find(({ name }) => name === reviewer);
  if (own === undefined) return reviewerInstructions(reviewer);
  const text = await deps.workspaces.readFile(
    repositoryRef(ctx.intent),
    base.instructionsSha ?? base.baseSha,
    own.prompt,
  );
  if (text === undefined || text.trim() === "") return undefined;
  const seen = visibleText(text, { maxBytes: 20_000 }).text;
  return {
    version: "own",
    text: `You are the reviewer \`${reviewer}\` of this repository. What its maintainers want you to look for:\n\n${seen}`,
  };
}

/** What a person with write access asked to be looked at. */
function focusOf({ intent }: StepContext): string {
  if (intent.trigger.kind !== "comment" || intent.args === undefined || intent.args.trim() === "") return "";
  const words = visibleText(intent.args, { maxBytes: 2_000 }).text;
  return `A maintainer asks to look at this above all, without leaving out the rest:\n\n${asData("focus", words)}`;
}

/** Why a reviewer did not finish, for people. */
function whyCut(reviewer: string, kind: ModelFailure): string {
  const reasons: Record<ModelFailure, string> = {
    "out-of-budget": "its budget was used up",
    "out-of-time": "its time was used up",
    "out-of-turns": "its requests to the model were used up",
    "gave-up": "the model gave up",
    refused: "the model refused",
    "invalid-answer": "the model's answer could not be used, also after two repairs",
    "context-overflow": "the change does not fit the model's window",
  };
  return `The reviewer \`${reviewer}\` did not look at everything: ${reasons[kind]}.`;
}
