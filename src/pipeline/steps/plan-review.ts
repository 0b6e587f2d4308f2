import { z } from "zod";
import { defineStep } from "../step.ts";
import { Base } from "./shapes.ts";
import { configOf } from "./support/repository.ts";

/**
 * Says what this run has to do: answer a reply, or review; and for how many minutes more the head has to stand still before
 * that, counted from when it became the head. Whoever asks does not wait. Touches nothing.
 */
export const planReview = defineStep({
  name: "plan-review",
  input: z.object({ base: Base }),
  output: z.discriminatedUnion("kind", [
    z.object({ kind: z.literal("reply") }),
    z.object({ kind: z.literal("review"), waitMinutes: z.number() }),
  ]),
  async run({ base }, deps, { intent }) {
    if (intent.trigger.kind === "review-comment") return { kind: "reply" as const };
    if (intent.trigger.kind !== "state") return { kind: "review" as const, waitMinutes: 0 };
    const { review } = await configOf(deps, base);
    const stoodMinutes = (Date.now() - Date.parse(intent.at)) / 60_000;
    const waitMinutes = Math.min(review.debounceMinutes, Math.max(0, review.debounceMinutes - stoodMinutes));
    return { kind: "review" as const, waitMinutes };
  },
});
