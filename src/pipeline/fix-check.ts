import { writeUntilChecksPass } from "./issue-to-pr.ts";
import type { Pipeline, Run, StepInput } from "./run.ts";

/** A failed check of a pull request becomes a verified fix, an offer, or a hand-over to a person. */
export const fixCheck: Pipeline = async (run) => {
  const trigger = await run.step("authorise-trigger", {});
  if (trigger.kind === "ended") return trigger.outcome;
  const read = await run.step("read-pull-request", {});
  if (read.kind === "ended") return read.outcome;
  const { base, pull } = read;

  const failure = await run.step("read-failure", { base, pull });
  if (failure.kind === "ended") return failure.outcome;
  const origin = await run.step("look-for-origin", { base, pull, checks: failure.checks });
  if (origin.kind === "ended") return origin.outcome;
  const { checks } = origin;
  const context = await run.step("select-context", {
    ...{ base, issueBlob: failure.issueBlob, headSha: pull.headSha },
    maxTokens: 4_000,
  });

  const { analysis, reproduction } = await run.parallel({
    analysis: (branch) =>
      branch.step("analyse-failure", {
        ...{ base, pull, checks, failureBlob: failure.failureBlob, hash: failure.hash },
        contextBlob: context.contextBlob,
      }),
    reproduction: (branch) => reproduce(branch, { base, pull, commands: failure.commands }),
  });
  if (analysis.kind === "ended") return analysis.outcome;
  const { plan, evidenceHolds, category, confidence } = analysis;
  const handOver = (reason: string, tried?: string) =>
    run.step("hand-over", { base, pull, checks, reason, plan, evidenceHolds, tried });
  if (analysis.escalate !== undefined) return handOver(analysis.escalate);

  const start = { sha: pull.headSha, conflicts: [] };
  const written = await writeUntilChecksPass(
    run,
    base,
    plan,
    context.contextBlob,
    reproduction.environment,
    start,
    reproduction.result,
  );
  if (written.kind === "ended") {
    const { kind, reason, detail } = written.outcome;
    return kind === "failed" || kind === "no-change-needed" ? handOver(reason, detail) : written.outcome;
  }
  const { change } = written;
  const verdict = await run.step("guard-change", { base, analysis: plan, change, fromSha: pull.headSha });
  if (verdict.kind === "ended") return handOver(verdict.outcome.reason, verdict.outcome.detail);

  // No more is shown of what the guard found, and a step's input has its limit.
  const judged = { ...verdict, findings: verdict.findings.slice(0, 10) };
  const settled = await run.step("settle-fix", {
    ...{ base, pull, change, verdict: judged, reproduction: reproduction.result },
    analysis: { category, confidence, evidenceHolds, doubt: origin.flaky },
  });
  if (settled.kind === "hand-over") return handOver(settled.reason);
  const { notes } = settled;
  const made = { base, pull, checks, plan, change, verdict: judged, reproduction: reproduction.result, notes };
  switch (settled.kind) {
    case "offer":
      return run.step("offer-fix", { ...made, reason: settled.reason });
    case "publish": {
      const published = await run.step("publish-change", { base, analysis: plan, change, ontoSha: pull.headSha });
      if (published.kind !== "ended") return run.step("report-fix", { ...made, published });
      const { kind, reason, detail } = published.outcome;
      return kind === "failed" ? handOver(reason, detail) : published.outcome;
    }
  }
};

async function reproduce(run: Run, wanted: StepInput<"reproduce-failure">) {
  const environment = await run.step("prepare-environment", { base: wanted.base });
  return { environment, result: await run.step("reproduce-failure", wanted) };
}
