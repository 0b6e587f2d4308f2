import type { Outcome } from "./outcome.ts";
import type { Pipeline, Run, StepInput, StepOutput } from "./run.ts";

type Base = Extract<StepOutput<"read-repository">, { kind: "read" }>;
type Analysis = Extract<StepOutput<"analyse-issue">, { kind: "plan" }>;

/** A labelled issue becomes a tested pull request. */
export const issueToPr: Pipeline = async (run) => {
  const trigger = await run.step("authorise-trigger", {});
  if (trigger.kind === "ended") return trigger.outcome;

  const base = await run.step("read-repository", {});
  if (base.kind === "ended") return base.outcome;
  const issue = await run.step("read-issue", { base });
  if (issue.kind === "ended") return issue.outcome;
  const context = await run.step("select-context", { base, issueBlob: issue.issueBlob });

  const analysis = await agreeOnPlan(run, base, issue.issueBlob, context.contextBlob);
  if (analysis.kind === "ended") return analysis.outcome;

  const opened = base.openAt === "start" ? await run.step("open-draft", { base, analysis }) : undefined;
  const environment = await run.step("prepare-environment", { base });
  const written = await writeUntilChecksPass(run, base, analysis, context.contextBlob, environment);
  if (written.kind === "ended") return written.outcome;

  const verdict = await run.step("guard-change", { base, analysis, change: written.change, fromSha: base.baseSha });
  if (verdict.kind === "ended") return verdict.outcome;
  const published = await run.step("publish-change", {
    base,
    analysis,
    change: written.change,
    ontoSha: opened?.sha ?? base.baseSha,
  });
  if (published.kind === "ended") return published.outcome;
  return run.step("open-pull-request", { base, analysis, change: written.change, verdict, published });
};

/** The plan, agreed on by a person where the repository asks for that (B9). */
async function agreeOnPlan(
  run: Run,
  base: Base,
  issueBlob: string,
  contextBlob: string,
): Promise<Analysis | { kind: "ended"; outcome: Outcome }> {
  let analysis = await run.step("analyse-issue", { base, issueBlob, contextBlob });
  for (let revision = 1; ; revision += 1) {
    if (analysis.kind === "ended" || base.plan === "auto") return analysis;
    await run.step("ask-plan", { base, analysis, revision });
    const decision = await run.waitFor("decision", base.planTimeoutMinutes);
    const settled = await run.step("settle-plan", { revision, decision });
    if (settled.kind === "approved") return analysis;
    if (settled.kind === "ended") return settled;
    analysis = await run.step("analyse-issue", { base, issueBlob, contextBlob, planBlob: settled.planBlob });
  }
}

export type Change = Extract<StepOutput<"run-checks">, { kind: "checked" }>["change"];

/** Writes, checks and refines: failures go back to the model until they pass, nothing changes or attempts are used up (B12). */
export async function writeUntilChecksPass(
  run: Run,
  base: Base,
  analysis: Analysis,
  contextBlob: string,
  environment: StepOutput<"prepare-environment">,
  start: { sha: string; conflicts: string[] } = { sha: base.baseSha, conflicts: [] },
  target?: StepInput<"run-checks">["target"],
): Promise<{ kind: "written"; change: Change } | { kind: "ended"; outcome: Outcome }> {
  let change: Change = { sha: start.sha, attempts: 0, summaryBlob: undefined, checks: undefined, stopped: undefined };
  for (let attempt = 1; attempt <= base.maxAttempts; attempt += 1) {
    const before = change;
    const slice = { base, analysis, contextBlob, attempt, start };
    let written = await writeSlice(run, { ...slice, change: before });
    while (written.kind === "unfinished") written = await writeSlice(run, { ...slice, change: written.change });
    if (written.kind === "ended") return written;
    const checked = await run.step("run-checks", {
      base,
      environment,
      attempt,
      change: written.change,
      startSha: start.sha,
      ...(target !== undefined && { target }),
    });
    if (checked.kind === "ended") return checked;
    change = checked.change;
    const failure = change.checks?.failure;
    if (failure === undefined || change.stopped !== undefined) break;
    if (attempt > 1 && (change.sha === before.sha || failure.signature === before.checks?.failure?.signature)) break;
  }
  return { kind: "written", change };
}

/** One slice of the writing. Where it fails for good, what the turns before had written goes on as a draft (P6). */
async function writeSlice(run: Run, slice: StepInput<"write-change">): Promise<StepOutput<"write-change">> {
  try {
    return await run.step("write-change", slice);
  } catch (error) {
    const { base, attempt, change, start } = slice;
    // After a cancel this rejects as every step does.
    const kept = await run.step("keep-written", { base, attempt, change, startSha: start.sha, failure: told(error) });
    if (kept.kind === "nothing") throw error;
    return kept;
  }
}

/** The words of an error that was made for people. */
function told(error: unknown): string | undefined {
  const { name, message } = error as Error;
  return name === "UserFacingError" ? message : undefined;
}
