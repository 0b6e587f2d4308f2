import type { Pipeline } from "./run.ts";

/** The button *Apply fix*: what was offered for this head is pushed (F8). */
export const applyFix: Pipeline = async (run) => {
  const trigger = await run.step("authorise-trigger", {});
  if (trigger.kind === "ended") return trigger.outcome;
  const read = await run.step("read-pull-request", {});
  if (read.kind === "ended") return read.outcome;
  const { pull } = read;
  const taken = await run.step("take-offer", { base: read.base, pull });
  if (taken.kind === "ended") return taken.outcome;
  const { base, plan, change } = taken.offer;
  const published = await run.step("publish-change", { base, analysis: plan, change, ontoSha: pull.headSha });
  if (published.kind === "ended") return published.outcome;
  return run.step("report-fix", { ...taken.offer, pull, published });
};
