import type { Pipeline } from "./run.ts";

/** A failed check of a pull request becomes a verified fix, an offer, or a hand-over to a person. */
export const fixCheck: Pipeline = async (run) => {
  const trigger = await run.step("authorise-trigger", {});
  if (trigger.kind === "ended") return trigger.outcome;
  const read = await run.step("read-pull-request", {});
  if (read.kind === "ended") return read.outcome;
  return { kind: "nothing-to-say", reason: "No check fails." };
};
