import { z } from "zod";
import type { RepositoryConfig } from "../../config/repository.ts";
import { commitThroughApi } from "../../github/api-commit.ts";
import type { PushResult } from "../../workspace/workspace.ts";
import type { Deps } from "../deps.ts";
import type { Outcome } from "../outcome.ts";
import { defineStep, type StepContext } from "../step.ts";
import { Base, Change, Ended, ended, Plan, Published } from "./shapes.ts";
import { commitMessage } from "./support/commit-message.ts";
import { botPerson } from "./support/people.ts";
import { configOf, credential, openJob } from "./support/repository.ts";
import { whyStale } from "./support/truth.ts";

/**
 * One commit on top of `ontoSha`, pushed with compare-and-set. The commit's date is the trigger's, so that a second
 * run makes the same commit and finds it on the branch.
 */
export const publishChange = defineStep({
  name: "publish-change",
  input: z.object({
    base: Base,
    analysis: Plan,
    change: Change,
    ontoSha: z.string(),
    mergedSha: z.string().optional(),
  }),
  output: z.discriminatedUnion("kind", [Published, Ended]),
  async run({ base, analysis, change, ontoSha, mergedSha }, deps, ctx) {
    const stale = await whyStale(deps, ctx);
    if (stale !== undefined) return ended({ kind: "cancelled", reason: stale });
    if (mergedSha !== undefined && change.checks?.failure !== undefined) return ended(badMerge(base, change));
    const config = await configOf(deps, base);
    // Who lets a fix be applied has seen what CI will run.
    const ciWaits = ctx.intent.pipeline !== "apply-fix" && ciWaitsFor(config, base);
    const message = withCiMark(await commitMessage(deps, ctx, base, analysis, change), ciWaits);
    const job = await openJob(deps, ctx, base, change);
    const expectedSha = await expectedHead(deps, ctx, base, ontoSha);

    if (config.commit.viaApi && mergedSha === undefined) {
      const octokit = await ctx.github({ contents: "write" });
      const files = await job.changes(ontoSha, change.sha);
      const committed = await ctx.effect("commit-through-api", () =>
        commitThroughApi(octokit, { ...ctx.intent.work, branch: base.branch, ontoSha, expectedSha, message, files }),
      );
      if (committed.kind === "committed") return published(deps, ctx, committed.sha, ciWaits);
      if (committed.kind === "moved") return ended(movedAway(ctx, base.branch, expectedSha, committed.actualSha));
      ctx.log.info({ reason: committed.reason }, "the commit is pushed by git instead");
    }
    const person = await botPerson(deps, ctx);
    const parents = mergedSha === undefined ? [] : [mergedSha];
    const sha = await job.squash(ontoSha, message, person, person, parents, new Date(ctx.intent.at));
    const push = (expected: string | undefined): Promise<PushResult> =>
      ctx.effect("push", () => job.push(base.branch, sha, expected, credential(ctx, "write")));
    let result = await push(expectedSha);
    // The branch was deleted since, for example with its closed pull request: then it is made anew.
    if (result.kind === "moved" && result.actualSha === undefined && expectedSha !== undefined && !isFix(ctx))
      result = await push(undefined);
    switch (result.kind) {
      case "pushed":
      case "already-there":
        return published(deps, ctx, sha, ciWaits);
      case "moved":
        return ended(movedAway(ctx, base.branch, expectedSha, result.actualSha));
      case "refused":
        return ended({
          kind: "failed",
          reason: "GitHub refused the push.",
          detail: `${result.message}\n\nNext: check the branch protection rules for \`${isFix(ctx) ? base.branch.replaceAll("`", "'") : "millwright/*"}\` and the App's permissions, then \`/retry\`.`,
        });
    }
  },
});

async function published(deps: Deps, ctx: StepContext, sha: string, ciWaits: boolean): Promise<Published> {
  await deps.store.notes.set(ctx.runKey, "pushed-sha", sha);
  return { kind: "published", sha, ciWaits };
}

/** A conflict is resolved by a merge that passes the same checks, or reported (B17): a broken merge would only hide the conflict. */
function badMerge(base: Base, change: Change) {
  return {
    kind: "failed" as const,
    reason: `The conflict with \`${base.baseRef}\` could not be resolved so that the checks pass; nothing was pushed.`,
    detail: `After ${change.attempts} attempts these fail: ${change.checks?.failure?.summary ?? ""}. Next: merge \`${base.baseRef}\` into \`${base.branch}\` by hand, or say in \`/code …\` how it should be resolved.`,
  };
}

/** Whether the repository's own CI waits for a person before it runs what a model wrote (security.md M13). */
export function ciWaitsFor({ publish }: RepositoryConfig, base: Pick<Base, "private">): boolean {
  return publish.ci === "wait" || (publish.ci === "auto" && !base.private);
}

/** `[skip ci]` stands before the trailers. https://docs.github.com/en/actions/managing-workflow-runs/skipping-workflow-runs */
function withCiMark(message: string, ciWaits: boolean): string {
  if (!ciWaits) return message;
  const [title, ...rest] = message.split("\n");
  return [title, "", "[skip ci]", ...rest].join("\n");
}

/** A fix goes onto the branch of a pull request that is there already, and makes none. */
function isFix({ intent }: StepContext): boolean {
  return intent.pipeline === "fix-check" || intent.pipeline === "apply-fix";
}

/** What the branch must be at: what this run pushed, what an earlier run of the same work pushed last, or nothing. */
async function expectedHead(deps: Deps, ctx: StepContext, base: Base, ontoSha: string): Promise<string | undefined> {
  if (ontoSha !== base.baseSha || isFix(ctx)) return ontoSha;
  return (await deps.store.pullRequests.ofWork(ctx.workKey))?.headSha;
}

function movedAway(
  ctx: StepContext,
  branch: string,
  expectedSha: string | undefined,
  actualSha: string | undefined,
): Outcome {
  // Somebody else's pull request goes on without us; its next failure is looked into anew.
  if (isFix(ctx))
    return { kind: "superseded", reason: "The pull request has a newer head, so the fix was not pushed." };
  return {
    kind: "failed",
    reason: `Somebody else pushed to \`${branch}\`, so this change was not pushed over it.`,
    detail: `Expected ${expectedSha?.slice(0, 12) ?? "no branch"}, found ${actualSha?.slice(0, 12) ?? "none"}. Next: comment \`/code …\` on the pull request to continue from there.`,
  };
}
