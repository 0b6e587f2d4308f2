import {
  type ConfigProblem,
  parseRepositoryConfig,
  type RepositoryConfig,
  repositoryConfigPath,
} from "../../../config/repository.ts";
import { statusOf } from "../../../github/client.ts";
import type { Deps } from "../../deps.ts";
import type { Outcome } from "../../outcome.ts";
import type { StepContext } from "../../step.ts";
import { type Ended, ended } from "../shapes.ts";
import { repositoryRef } from "./repository.ts";

type Configuration = { kind: "config"; config: RepositoryConfig; place: string } | Ended;

/** The repository's configuration at the pinned commit of its default branch, else its organisation's (P4). */
export async function pinnedConfiguration(deps: Deps, ctx: StepContext, defaultSha: string): Promise<Configuration> {
  const own = await deps.workspaces.readFile(repositoryRef(ctx.intent), defaultSha, repositoryConfigPath);
  const found = await parsed(ctx, own);
  if (found.kind === "ended") return found;
  // Before anything of the repository is sent to a model that it does not allow.
  const refused = deps.models.whyNot(ctx.intent.pipeline, found.config.models.allowed);
  return refused === undefined ? found : ended({ kind: "refused", reason: refused.reason, detail: refused.advice });
}

/** The same as GitHub shows it now, for a look before anything is fetched: what is done later goes by the pinned one. */
export async function currentConfiguration(ctx: StepContext): Promise<Configuration> {
  return parsed(ctx, await fileOnGitHub(ctx, ctx.intent.work.repo));
}

async function parsed(ctx: StepContext, own: string | undefined): Promise<Configuration> {
  const place = own === undefined ? `${ctx.intent.work.owner}/.github:${repositoryConfigPath}` : repositoryConfigPath;
  // The organisation-wide default, where the App may read it: not in a private `.github` repository.
  const found = parseRepositoryConfig(own ?? (await fileOnGitHub(ctx, ".github")));
  if (found.kind === "invalid") return ended(invalidConfig(place, found.problems));
  if (found.config.enabled) return { kind: "config", config: found.config, place };
  return ended({ kind: "refused", reason: `Millwright is paused here: \`enabled: false\` in \`${place}\`.` });
}

async function fileOnGitHub(ctx: StepContext, repo: string): Promise<string | undefined> {
  const octokit = await ctx.github({ metadata: "read", contents: "read" });
  try {
    const { data } = await octokit.rest.repos.getContent({
      owner: ctx.intent.work.owner,
      repo,
      path: repositoryConfigPath,
      mediaType: { format: "raw" },
    });
    return typeof data === "string" ? data : undefined;
  } catch (error) {
    if (statusOf(error) === 404 || statusOf(error) === 403) return undefined;
    throw error;
  }
}

/** The ending for a configuration that cannot be used: path, rule and value of each problem. */
export function invalidConfig(place: string, problems: ConfigProblem[]): Outcome {
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
