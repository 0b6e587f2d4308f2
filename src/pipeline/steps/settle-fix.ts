import { z } from "zod";
import { FailureAnalysis } from "../../agent/schemas.ts";
import { changedExports } from "../../policy/exported-api.ts";
import { whyOffer } from "../../policy/route-fix.ts";
import { defineStep } from "../step.ts";
import { ciWaitsFor } from "./publish-change.ts";
import { Base, Change, PullFacts, Reproduction, Verdict } from "./shapes.ts";
import { configOf, openJob } from "./support/repository.ts";

/** What a person should look at although it is pushed: what others can use and would find different (F7). */
const Notes = z.array(z.string()).max(10);

/**
 * What becomes of a fix that was written (F6, F7): pushed when what was red is green and the configuration agrees, offered
 * when a person has to decide, handed over when its checks are not green. Touches nothing.
 */
export const settleFix = defineStep({
  name: "settle-fix",
  input: z.object({
    base: Base,
    pull: PullFacts,
    change: Change,
    verdict: Verdict,
    reproduction: Reproduction,
    analysis: z.object({
      category: FailureAnalysis.shape.category,
      confidence: z.number(),
      evidenceHolds: z.boolean(),
      /** Why a person is asked in any case. */
      doubt: z.string().optional(),
    }),
  }),
  output: z.discriminatedUnion("kind", [
    z.object({ kind: z.literal("publish"), notes: Notes }),
    z.object({ kind: z.literal("offer"), reason: z.string(), notes: Notes }),
    z.object({ kind: z.literal("hand-over"), reason: z.string() }),
  ]),
  async run({ base, pull, change, verdict, reproduction, analysis }, deps, ctx) {
    const failure = change.checks?.failure;
    if (failure !== undefined)
      return {
        kind: "hand-over" as const,
        reason: `The fix that was tried does not make the checks pass: ${failure.summary}`,
      };
    const config = await configOf(deps, base);
    const job = await openJob(deps, ctx, base, change);
    const files = await job.changes(pull.headSha, change.sha);
    const whyUnverified = whyNotVerified(change, reproduction);
    const reason =
      analysis.doubt ??
      whyOffer(
        analysis,
        {
          verified: whyUnverified === undefined,
          whyUnverified,
          guard: verdict.decision,
          fork: pull.fork,
          onDefaultBranch: pull.onDefaultBranch,
          ciWaits: ciWaitsFor(config, base),
          paths: files.flatMap(({ path, previousPath }) => [
            path,
            ...(previousPath === undefined ? [] : [previousPath]),
          ]),
        },
        config.fix,
      );
    const notes = changedExports(files)
      .slice(0, 10)
      .map((note) => note.slice(0, 300));
    return reason === undefined ? { kind: "publish" as const, notes } : { kind: "offer" as const, reason, notes };
  },
});

/** Green alone proves nothing: it must have been red here before. */
function whyNotVerified(change: Change, reproduction: Reproduction): string | undefined {
  if (reproduction.kind === "not-reproduced")
    return `The failure could not be reproduced in the sandbox. ${reproduction.reason}`;
  if (change.stopped !== undefined) return change.stopped;
  const ran = change.checks?.commands ?? [];
  if (!ran.some(({ result }) => result === "passed")) return "No check was run after the fix.";
  return undefined;
}
