import { z } from "zod";
import type { Deps } from "../deps.ts";
import { defineStep } from "../step.ts";
import { Base, Ended, ended, Offer, PullFacts } from "./shapes.ts";

/**
 * Takes the fix that a person lets be applied: the one that the check run's button names, while the pull request is still at
 * the head that it was made for. A second run of the same decision finds its own, and one that could not be pushed may be
 * tried again.
 */
export const takeOffer = defineStep({
  name: "take-offer",
  input: z.object({ base: Base, pull: PullFacts }),
  output: z.discriminatedUnion("kind", [z.object({ kind: z.literal("taken"), offer: Offer }), Ended]),
  async run({ pull }, deps, ctx) {
    const { repositoryId } = ctx.intent.work;
    const row = await deps.store.offers.get(ctx.intent.args ?? "");
    if (row === undefined || row.repositoryId !== repositoryId || row.pullNumber !== pull.number)
      return ended({ kind: "refused", reason: "There is no such offer for this pull request." });
    if (row.headSha !== pull.headSha)
      return ended({ kind: "superseded", reason: "The pull request has a newer head than the fix was made for." });
    if (pull.fork || pull.onDefaultBranch)
      return ended({ kind: "refused", reason: "Nothing is pushed to a fork or to the default branch." });
    const by = `${ctx.intent.actor.login} ${ctx.runKey}`;
    await deps.store.offers.decide(row.runKey, "applied", by);
    const decided = await deps.store.offers.get(row.runKey);
    if (decided?.state !== "applied" || (decided.decidedBy !== by && !(await couldNot(deps, decided.decidedBy))))
      return ended({ kind: "no-change-needed", reason: "This offer was decided on before." });
    return { kind: "taken" as const, offer: Offer.parse(row.content) };
  },
});

/** Whether the run that decided has ended without a fix: one run of a pull request is active at a time, and this one is. */
async function couldNot(deps: Deps, decidedBy = ""): Promise<boolean> {
  const run = await deps.store.runs.get(decidedBy.split(" ").at(-1) ?? "");
  return run?.state === "ended" && run.outcome?.kind !== "fixed";
}
