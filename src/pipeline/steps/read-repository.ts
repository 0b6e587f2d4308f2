import { z } from "zod";
import type { Deps } from "../deps.ts";
import { branchOf } from "../intent.ts";
import type { Outcome } from "../outcome.ts";
import { defineStep, type StepContext } from "../step.ts";
import { Base, Ended, ended } from "./shapes.ts";
import { invalidConfig, pinnedConfiguration } from "./support/configuration.ts";
import { fileDocument } from "./support/documents.ts";
import { credential, opaquePaths, repositoryRef, subjectNumber, whyUnfit } from "./support/repository.ts";

/**
 * Pins the base commit and reads the configuration at the default branch's commit. A second run finds the mirror;
 * what it pins is recorded once, so a moved branch does not matter.
 */
export const readRepository = defineStep({
  name: "read-repository",
  input: z.object({}),
  output: z.discriminatedUnion("kind", [Base, Ended]),
  async run(_input, deps, ctx) {
    const octokit = await ctx.github({ metadata: "read", contents: "read" });
    const { work } = ctx.intent;
    const { data: repository } = await octokit.rest.repos.get({ owner: work.owner, repo: work.repo });
    const unfit = whyUnfit(repository, deps);
    if (unfit !== undefined) return ended({ kind: "failed", ...unfit });

    const defaultRef = repository.default_branch;
    const defaultSha = await pin(deps, ctx, defaultRef);
    if (defaultSha === undefined) return ended(emptyRepository);
    const found = await pinnedConfiguration(deps, ctx, defaultSha);
    if (found.kind === "ended") return found;
    const { config, place } = found;

    const baseRef = config.base ?? defaultRef;
    const baseSha = baseRef === defaultRef ? defaultSha : await pin(deps, ctx, baseRef);
    if (baseSha === undefined) {
      return ended(
        invalidConfig(place, [{ path: "base", rule: "must name an existing branch", value: JSON.stringify(baseRef) }]),
      );
    }
    const facts = await deps.workspaces.facts(repositoryRef(ctx.intent), baseSha);
    if (facts.empty) return ended(emptyRepository);
    const issueNumber = await issueNumberOf(deps, ctx);
    return {
      kind: "read" as const,
      baseRef,
      baseSha,
      private: repository.private,
      configBlob: await fileDocument(deps, ctx, "config", config),
      plan: config.plan,
      planTimeoutMinutes: config.planTimeoutHours * 60,
      openAt: config.pullRequest.openAt,
      maxAttempts: Math.min(deps.operator.limits.run.attempts, config.limits.attempts ?? Infinity),
      limits: config.limits,
      issueNumber,
      branch: branchOf(issueNumber, ctx.workKey),
      opaque: opaquePaths(facts),
    };
  },
});

const emptyRepository: Outcome = {
  kind: "failed",
  reason: "This repository has no commits yet.",
  detail: "Push a first commit, for example with a README, and trigger the run again.",
};

async function pin(deps: Deps, ctx: StepContext, ref: string): Promise<string | undefined> {
  const shas = await deps.workspaces.fetch(repositoryRef(ctx.intent), [ref], credential(ctx, "read"), ctx.signal);
  return shas[ref];
}

async function issueNumberOf(deps: Deps, ctx: StepContext): Promise<number> {
  const number = subjectNumber(ctx.intent);
  if (ctx.intent.work.subject.kind === "issue") return number;
  return (await deps.store.pullRequests.byNumber(ctx.intent.work.repositoryId, number))?.issueNumber ?? number;
}
