import { z } from "zod";
import { defineStep } from "../step.ts";
import { Base } from "./shapes.ts";
import { botPerson } from "./support/people.ts";
import { credential, openJob } from "./support/repository.ts";

/**
 * Merges the pinned base into the branch where they conflict, leaving conflict marks for the agent, whose result passes
 * the same checks and guard (B17). Without a conflict the branch stays as it is. Safe to repeat.
 */
export const mergeBase = defineStep({
  name: "merge-base",
  input: z.object({ base: Base, headSha: z.string(), conflicts: z.boolean() }),
  output: z.object({ kind: z.enum(["as-it-is", "merged"]), sha: z.string(), conflicts: z.array(z.string()).max(200) }),
  async run({ base, headSha, conflicts }, deps, ctx) {
    if (!conflicts) return { kind: "as-it-is" as const, sha: headSha, conflicts: [] };
    const job = await openJob(deps, ctx, base, { sha: headSha });
    await job.reset(headSha);
    const merged = await job.merge(base.baseSha, credential(ctx, "read"));
    switch (merged.kind) {
      case "up-to-date":
        return { kind: "as-it-is" as const, sha: headSha, conflicts: [] };
      case "merged":
        return { kind: "merged" as const, sha: merged.sha, conflicts: [] };
      case "conflict": {
        const person = await botPerson(deps, ctx);
        const sha = await job.commit(`merge of ${base.baseRef} with conflicts in ${ctx.runKey}`, person, person);
        return { kind: "merged" as const, sha: sha ?? headSha, conflicts: merged.paths.slice(0, 200) };
      }
    }
  },
});
