import { z } from "zod";
import type { Deps } from "../deps.ts";
import { Outcome } from "../outcome.ts";
import { defineStep, type StepContext } from "../step.ts";
import { forgetContextIndex } from "./support/context-index.ts";

/** Deletes what was kept of a repository or a whole installation: rows, blobs, mirrors, trees and caches (P15). Safe to repeat. */
export const deleteData = defineStep({
  name: "delete-data",
  input: z.object({}),
  output: Outcome,
  async run(_input, deps, ctx) {
    const { work, args } = ctx.intent;
    const listed = (args ?? "")
      .split(",")
      .filter((id) => id !== "")
      .map(Number);
    const repositories =
      work.repositoryId !== 0 ? [work.repositoryId] : listed.length > 0 ? listed : await ofInstallation(deps, ctx);
    for (const id of repositories) {
      await deps.engine.cancelRepository(id, "The repository is no longer accessible.");
      await deps.workspaces.forget(id);
      await forgetContextIndex(deps.operator.dataDirectory, work.installationId, id);
      // Last, because the row of this very run may be among them.
      await deps.store.data.forgetRepository(id);
    }
    ctx.log.info({ repositories }, "data deleted");
    return { kind: "answered" as const, reason: `Deleted the data of ${repositories.length} repositories.` };
  },
});

/** Deletes the rows of an installation; what was in them is remembered, because a second run would not find it. */
async function ofInstallation(deps: Deps, ctx: StepContext): Promise<number[]> {
  const noted = await deps.store.notes.get(ctx.runKey, "repositories");
  if (noted !== undefined) return z.array(z.number()).parse(JSON.parse(noted));
  const ids = await deps.store.data.forgetInstallation(ctx.intent.work.installationId);
  await deps.store.notes.set(ctx.runKey, "repositories", JSON.stringify(ids));
  return ids;
}
