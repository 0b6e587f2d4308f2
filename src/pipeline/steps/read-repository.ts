import { z } from "zod";
import { type ConfigProblem, parseRepositoryConfig, repositoryConfigPath } from "../../config/repository.ts";
import { statusOf } from "../../github/client.ts";
import type { Deps } from "../deps.ts";
import { branchOf } from "../intent.ts";
import type { Outcome } from "../outcome.ts";
import { defineStep, type StepContext } from "../step.ts";
import { Base, Ended, ended } from "./shapes.ts";
import { fileDocument } from "./support/documents.ts";
import { credential, repositoryRef, subjectNumber } from "./support/repository.ts";

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
    const own = await deps.workspaces.readFile(repositoryRef(ctx.intent), defaultSha, repositoryConfigPath);
    const place = own === undefined ? `${work.owner}/.github:${repositoryConfigPath}` : repositoryConfigPath;
    const parsed = parseRepositoryConfig(own ?? (await organisationConfig(ctx)));
    if (parsed.kind === "invalid") return ended(invalidConfig(place, parsed.problems));
    const config = parsed.config;
    if (!config.enabled)
      return ended({
        kind: "refused",
        reason: `Millwright is paused here: \`enabled: false\` in \`${place}\`.`,
      });

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
      opaque: [
        ...facts.submodules.map((path) => `${path} (submodule)`),
        ...facts.lfs.map((path) => `${path} (LFS)`),
      ].slice(0, 20),
    };
  },
});

const emptyRepository: Outcome = {
  kind: "failed",
  reason: "This repository has no commits yet.",
  detail: "Push a first commit, for example with a README, and trigger the run again.",
};

function whyUnfit(
  repository: { archived: boolean; disabled?: boolean; size: number },
  deps: Deps,
): { reason: string; detail: string } | undefined {
  if (repository.archived || repository.disabled === true) {
    return {
      reason: "This repository is archived, so nothing can be pushed to it.",
      detail: "Unarchive it and trigger the run again.",
    };
  }
  const bytes = repository.size * 1024;
  if (bytes > deps.operator.maxRepositoryBytes) {
    const megabytes = (value: number) => `${Math.round(value / 1_000_000)} MB`;
    return {
      reason: `This repository has ${megabytes(bytes)}; this installation works on at most ${megabytes(deps.operator.maxRepositoryBytes)}.`,
      detail: "The operator can raise `MILLWRIGHT_MAX_REPOSITORY_BYTES`.",
    };
  }
  return undefined;
}

async function pin(deps: Deps, ctx: StepContext, ref: string): Promise<string | undefined> {
  const shas = await deps.workspaces.fetch(repositoryRef(ctx.intent), [ref], credential(ctx, "read"), ctx.signal);
  return shas[ref];
}

/** The organisation-wide default: the same file in the organisation's `.github` repository, where the App may read it (P4). */
async function organisationConfig(ctx: StepContext): Promise<string | undefined> {
  const octokit = await ctx.github({ metadata: "read", contents: "read" });
  try {
    const { data } = await octokit.rest.repos.getContent({
      owner: ctx.intent.work.owner,
      repo: ".github",
      path: repositoryConfigPath,
      mediaType: { format: "raw" },
    });
    return typeof data === "string" ? data : undefined;
  } catch (error) {
    // A private `.github` repository is out of reach of a token for this repository alone: there is no default then.
    if (statusOf(error) === 404 || statusOf(error) === 403) return undefined;
    throw error;
  }
}

function invalidConfig(place: string, problems: ConfigProblem[]): Outcome {
  const cell = (text: string) => text.replaceAll("|", "\\|").replaceAll("\n", " ");
  return {
    kind: "refused",
    reason: `\`${place}\` is not valid, so nothing was started.`,
    detail: [
      "| path | rule | value |",
      "|---|---|---|",
      ...problems
        .slice(0, 20)
        .map(
          (problem) =>
            `| \`${cell(problem.path)}\` | ${cell(problem.rule)} | \`${cell(problem.value).replaceAll("`", "'")}\` |`,
        ),
      "",
      "Correct it on the default branch and trigger the run again.",
    ].join("\n"),
  };
}

async function issueNumberOf(deps: Deps, ctx: StepContext): Promise<number> {
  const number = subjectNumber(ctx.intent);
  if (ctx.intent.work.subject.kind === "issue") return number;
  return (await deps.store.pullRequests.byNumber(ctx.intent.work.repositoryId, number))?.issueNumber ?? number;
}
