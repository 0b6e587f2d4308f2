import { z } from "zod";
import { defineStep } from "../step.ts";
import { Ended, ended } from "./shapes.ts";

const Decision = z.object({
  kind: z.enum(["approve", "edit", "reject"]),
  actor: z.string(),
  blob: z.string().optional(),
});

/** Turns a decision, or its absence, into how the story goes on. Touches nothing. */
export const settlePlan = defineStep({
  name: "settle-plan",
  input: z.object({ revision: z.number().int(), decision: z.union([Decision, z.literal("timed-out")]) }),
  output: z.discriminatedUnion("kind", [
    z.object({ kind: z.literal("approved") }),
    z.object({ kind: z.literal("replan"), planBlob: z.string() }),
    Ended,
  ]),
  async run({ revision, decision }) {
    if (decision === "timed-out") {
      return ended({
        kind: "cancelled",
        reason: "Nobody approved the plan in time, so nothing was built.",
        detail: "Trigger the run again when it is wanted.",
      });
    }
    if (decision.kind === "reject")
      return ended({ kind: "cancelled", reason: `${decision.actor} rejected the plan, so nothing was built.` });
    if (decision.kind === "approve") return { kind: "approved" as const };
    if (revision >= 5)
      return ended({
        kind: "question",
        reason: "The plan was edited five times; please write what is wanted into the issue and trigger the run again.",
      });
    if (decision.blob === undefined) throw new Error("An edited plan came without its text");
    return { kind: "replan" as const, planBlob: decision.blob };
  },
});
