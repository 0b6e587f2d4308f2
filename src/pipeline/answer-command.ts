import type { Pipeline } from "./run.ts";

/** A control word, a ticked box, a removed label or a closed issue: reaches other runs, takes no turn, answers in one line (B18). */
export const answerCommand: Pipeline = async (run) => {
  const trigger = await run.step("authorise-trigger", {});
  if (trigger.kind === "ended") return trigger.outcome;
  return run.step("carry-out-command", {});
};
