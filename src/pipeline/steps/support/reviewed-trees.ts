import type { Deps } from "../../deps.ts";
import type { StepContext } from "../../step.ts";
import type { Base, PullFacts } from "../shapes.ts";
import { credential, repositoryRef } from "./repository.ts";

/** More of a diff is not read; no reviewer could. */
export const maxDiffBytes = 8_000_000;

/**
 * Sees to it that the commits which a review reads are on this disk: another machine may have begun the run. The head of an
 * earlier review may be gone, because somebody pushed by force.
 */
export async function fetchReviewed(
  deps: Deps,
  ctx: StepContext,
  base: Base,
  pull: PullFacts,
  earlierSha?: string,
): Promise<{ hasEarlier: boolean }> {
  const bring = (shas: string[], trust: "own" | "fork") =>
    deps.workspaces.fetch(repositoryRef(ctx.intent, { trust }), shas, credential(ctx, "read"), ctx.signal);
  await bring([base.baseSha, pull.headSha], base.trust ?? "own");
  // Instructions are the repository's own, whatever the pull request comes from.
  if (base.instructionsSha !== undefined) await bring([base.instructionsSha], "own");
  if (earlierSha === undefined) return { hasEarlier: false };
  try {
    return { hasEarlier: (await bring([earlierSha], base.trust ?? "own"))[earlierSha] !== undefined };
  } catch (error) {
    ctx.signal.throwIfAborted();
    ctx.log.info({ err: error, earlierSha }, "the head of the earlier review is gone; the whole is looked at");
    return { hasEarlier: false };
  }
}
