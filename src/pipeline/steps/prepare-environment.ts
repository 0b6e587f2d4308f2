import { z } from "zod";
import { defineStep } from "../step.ts";
import { Base, Environment } from "./shapes.ts";
import { commandsOf, ensureEnvironment } from "./support/environment.ts";
import { openJob } from "./support/repository.ts";

/** Installs what the repository's setup asks for, at the pinned base commit, or restores it from the cache. Does nothing when it is there. */
export const prepareEnvironment = defineStep({
  name: "prepare-environment",
  input: z.object({ base: Base }),
  output: Environment,
  async run({ base }, deps, ctx) {
    const job = await openJob(deps, ctx, base, { sha: base.baseSha });
    return ensureEnvironment(deps, ctx, base, job, await commandsOf(deps, base, job, base.baseSha), base.baseSha);
  },
});
