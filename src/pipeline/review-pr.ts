import type { Pipeline } from "./run.ts";

/** A pull request gets one short review that does not repeat itself. */
export const reviewPr: Pipeline = async (run) => {
  const trigger = await run.step("authorise-trigger", {});
  if (trigger.kind === "ended") return trigger.outcome;
  const read = await run.step("read-pull-request", {});
  if (read.kind === "ended") return read.outcome;
  return { kind: "nothing-to-say", reason: "Nothing was looked at." };
};
