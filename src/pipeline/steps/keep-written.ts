import { z } from "zod";
import { defineStep } from "../step.ts";
import { Base, Change } from "./shapes.ts";
import { withWritten } from "./support/slice.ts";

/**
 * After `write-change` failed for good, for example because the model's server stayed away: what its turns had written is
 * kept (P6) and goes on as a draft. Calls no model and writes nothing anywhere but to the store; safe to repeat.
 */
export const keepWritten = defineStep({
  name: "keep-written",
  input: z.object({
    base: Base,
    attempt: z.number().int(),
    change: Change,
    startSha: z.string(),
    /** What people are told of the failure; absent when it is not about their request. */
    failure: z.string().optional(),
  }),
  output: z.discriminatedUnion("kind", [
    z.object({ kind: z.literal("written"), change: Change }),
    z.object({ kind: z.literal("nothing") }),
  ]),
  async run({ base, attempt, change, startSha, failure }, deps, ctx) {
    const written = await withWritten(deps, ctx, { base, attempt, change });
    if (written.sha === startSha) return { kind: "nothing" as const };
    const stopped = `The change may not be finished: ${failure ?? `something went wrong while it was being written (run ${ctx.runKey}).`}`;
    return { kind: "written" as const, change: { ...written, stopped } };
  },
});
