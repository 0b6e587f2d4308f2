import { z } from "zod";
import { Outcome } from "../outcome.ts";
import { defineStep } from "../step.ts";
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
      work.repositoryId !== 0
        ? [work.repositoryId]
        : listed.length > 0
          ? listed
          : await deps.store.data.forgetInstallation(work.installationId);
    for (const id of repositories) {
      await deps.engine.cancelRepository(id, "The repository is no longer accessible.");
      await deps.store.data.forgetRepository(id);
      await deps.workspaces.forget(id);
      await forgetContextIndex(deps.operator.dataDirectory, work.installationId, id);
    }
    ctx.log.info({ repositories }, "data deleted");
    return { kind: "answered" as const, reason: `Deleted the data of ${repositories.length} repositories.` };
  },
});
