import { writeUntilChecksPass } from "./issue-to-pr.ts";
import type { Pipeline } from "./run.ts";

/** `/code …` or a review on our own pull request leads to new commits on the same branch, and a reply on each thread (B17). */
export const iteratePr: Pipeline = async (run) => {
  const trigger = await run.step("authorise-trigger", {});
  if (trigger.kind === "ended") return trigger.outcome;

  const base = await run.step("read-repository", {});
  if (base.kind === "ended") return base.outcome;
  const review = await run.step("read-review", { base });
  if (review.kind === "ended") return review.outcome;
  const context = await run.step("select-context", {
    base,
    issueBlob: review.issueBlob,
    headSha: review.headSha,
  });

  const environment = await run.step("prepare-environment", { base });
  const merged = await run.step("merge-base", { base, headSha: review.headSha, conflicts: review.conflicts });
  const written = await writeUntilChecksPass(run, base, review.analysis, context.contextBlob, environment, merged);
  if (written.kind === "ended") return written.outcome;

  const verdict = await run.step("guard-change", {
    base,
    analysis: review.analysis,
    change: written.change,
    fromSha: base.baseSha,
  });
  if (verdict.kind === "ended") return verdict.outcome;
  const published = await run.step("publish-change", {
    base,
    analysis: review.analysis,
    change: written.change,
    ontoSha: review.headSha,
    mergedSha: merged.kind === "merged" ? base.baseSha : undefined,
  });
  if (published.kind === "ended") return published.outcome;
  await run.step("reply-threads", {
    base,
    requestBlob: review.requestBlob,
    change: written.change,
    published,
    fromSha: merged.sha,
  });
  return run.step("open-pull-request", { base, analysis: review.analysis, change: written.change, verdict, published });
};
