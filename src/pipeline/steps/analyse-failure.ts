import { z } from "zod";
import { renderPrompt } from "../../agent/prompts.ts";
import { FailureAnalysis } from "../../agent/schemas.ts";
import { missingQuotes, quotesAsIn } from "../../policy/evidence.ts";
import { whyEscalate } from "../../policy/route-fix.ts";
import type { Deps } from "../deps.ts";
import { defineStep, type StepContext } from "../step.ts";
import { FailureLog } from "./read-failure.ts";
import { Base, ContextText, Ended, ended, FailedCheckRef, Plan, PullFacts, PullText, type Task } from "./shapes.ts";
import { analysisKey } from "./support/analysis-key.ts";
import { recorder, remainingBudget } from "./support/budget.ts";
import { explanationNote, onHead } from "./support/check-commands.ts";
import { fileDocument, readDocument } from "./support/documents.ts";
import { explanation } from "./support/explain-failure.ts";
import { promptFor } from "./support/prompt.ts";
import { configOf, repositoryRef } from "./support/repository.ts";

// With log, context, schema and our own text a request stays below 12,000 tokens (figure fix.input).
const maxDiffBytes = 5_500;
/** An analysis whose quotes the log does not have is believed no more than this. */
const confidenceWithoutEvidence = 40;

/** What is kept of an analysis for the next failure of the same hash. */
const Kept = z.object({ analysis: FailureAnalysis, evidenceHolds: z.boolean() });
type Kept = z.infer<typeof Kept>;

/**
 * Asks the model why it fails (F4), once for each failure of one repository at one trust level: the answer is kept under a
 * hash of all that it depends on. Every quote must occur in the log; else the model is asked once more, and then believed
 * less. Says whether a person is to be asked instead of a fix being written (F6). Safe to repeat.
 */
export const analyseFailure = defineStep({
  name: "analyse-failure",
  input: z.object({
    base: Base,
    pull: PullFacts,
    checks: z.array(FailedCheckRef),
    failureBlob: z.string(),
    contextBlob: z.string(),
    hash: z.string(),
  }),
  output: z.discriminatedUnion("kind", [
    z.object({
      kind: z.literal("analysed"),
      plan: Plan,
      category: FailureAnalysis.shape.category,
      confidence: z.number(),
      evidenceHolds: z.boolean(),
      fromCache: z.boolean(),
      /** Why a person is asked. */
      escalate: z.string().optional(),
    }),
    Ended,
  ]),
  async run({ base, pull, checks, failureBlob, contextBlob, hash }, deps, ctx) {
    const { version } = renderPrompt("analyse-failure", placeholders);
    const { installationId, repositoryId } = ctx.intent.work;
    const { trust = "own", baseSha } = base;
    const key = analysisKey({ installationId, repositoryId, trust, baseSha, modelId: deps.model.id, version, hash });
    const failure = await readDocument(deps, failureBlob, FailureLog);
    const known = asKnown(await deps.store.analyses.get(key), failure.log);
    const kept = known ?? (await ask(deps, ctx, { base, pull, failure, contextBlob }));
    if ("kind" in kept) return kept;
    await deps.store.analyses.put(key, repositoryId, kept);
    const { analysis, evidenceHolds } = kept;

    const text = await readDocument(deps, pull.textBlob, PullText);
    const task: Task = {
      kind: "fix-check",
      failure: { ...failure, analysis, pullRequest: { number: pull.number, ...text } },
    };
    const said = explanation(analysis, evidenceHolds);
    const owner = { repositoryId, runKey: ctx.runKey, kind: "text" as const };
    await deps.store.notes.set(ctx.runKey, explanationNote, await deps.store.blobs.put(said, owner));
    const { attemptsPerHead } = (await configOf(deps, base)).fix;
    const escalate = whyEscalate({
      ...{ category: analysis.category, confidence: analysis.confidence, fixable: analysis.fixable, evidenceHolds },
      attempts: await attemptsOf(deps, ctx, pull, checks),
      attemptsPerHead,
    });
    return {
      kind: "analysed" as const,
      plan: {
        kind: "plan" as const,
        taskBlob: await fileDocument(deps, ctx, "text", task),
        title: analysis.title.slice(0, 200),
        commitType: "fix",
        risk: analysis.complexity === "large" ? ("medium" as const) : ("low" as const),
      },
      category: analysis.category,
      confidence: analysis.confidence,
      evidenceHolds,
      fromCache: known !== undefined,
      escalate,
    };
  },
});

/** What is kept of the same failure, quoting this log; undefined where this log has none of its quotes. */
function asKnown(content: unknown, log: string): Kept | undefined {
  const { data: kept } = Kept.safeParse(content);
  if (kept === undefined || !kept.evidenceHolds) return kept;
  const evidence = quotesAsIn(kept.analysis.evidence, log);
  return evidence.length === 0 ? undefined : { ...kept, analysis: { ...kept.analysis, evidence } };
}

const placeholders = { failure: "", change: "", context: "" };

async function ask(
  deps: Deps,
  ctx: StepContext,
  facts: { base: Base; pull: PullFacts; failure: z.infer<typeof FailureLog>; contextBlob: string },
): Promise<Kept | Ended> {
  const { base, pull, failure } = facts;
  const context = await readDocument(deps, facts.contextBlob, ContextText);
  const change = await deps.workspaces.diff(
    repositoryRef(ctx.intent, base),
    ...([base.baseSha, pull.headSha, maxDiffBytes, ctx.signal] as const),
  );
  const touched = context.ranked.slice(0, 5).map(({ path }) => path);
  let lastAnswer: string | undefined;
  for (let look = 1; ; look += 1) {
    const remaining = await remainingBudget(deps, ctx, await configOf(deps, base), 9);
    if (remaining.kind === "used-up") return ended({ kind: "failed", reason: remaining.reason });
    const values = { failure: { ...failure, lastAnswer }, change: change.text, context: context.packed };
    const answer = await deps.model.object({
      prompt: await promptFor(deps, ctx, base, "analyse-failure", values, touched),
      schema: FailureAnalysis,
      budget: remaining.budget,
      signal: ctx.signal,
      record: recorder(deps, ctx),
    });
    if (answer.kind !== "answer")
      return ended({ kind: "failed", reason: `The model gave no usable analysis of the failure (${answer.kind}).` });
    const missing = missingQuotes(answer.value.evidence, failure.log);
    if (missing.length === 0) return { analysis: answer.value, evidenceHolds: true };
    if (look === 2) {
      const confidence = Math.min(answer.value.confidence, confidenceWithoutEvidence);
      return { analysis: { ...answer.value, confidence }, evidenceHolds: false };
    }
    lastAnswer = `Your last answer quoted what the log does not say: ${JSON.stringify(missing)}. Quote only what is there, letter by letter.`;
  }
}

/** The most that other runs tried at one of the checks; this run counts from now on. */
async function attemptsOf(
  deps: Deps,
  ctx: StepContext,
  pull: PullFacts,
  checks: readonly FailedCheckRef[],
): Promise<number> {
  const counts: number[] = [];
  for (const check of checks) {
    const on = onHead(ctx, pull, check);
    counts.push((await deps.store.checks.attempts(on, "fix", ctx.runKey)).count);
    await deps.store.checks.addAttempt({ ...on, runKey: ctx.runKey, kind: "fix" });
  }
  return Math.max(0, ...counts);
}
