import type { ProbotOctokit } from "probot";
import { z } from "zod";
import { putCiCheck } from "../../github/ci-check.ts";
import { putPullRequest, requestReview } from "../../github/pull-request.ts";
import type { Deps } from "../deps.ts";
import { Outcome } from "../outcome.ts";
import { defineStep, type StepContext } from "../step.ts";
import { Base, Change, type Checks, Plan, Published, Verdict } from "./shapes.ts";
import { conventionalTitle } from "./support/commit-message.ts";
import { draftReasons, pullRequestBody } from "./support/describe.ts";
import { rememberPullRequest } from "./support/remember.ts";
import { configOf, repositoryRef, subjectNumber } from "./support/repository.ts";
import { whyStale } from "./support/truth.ts";

const templates = [
  ".github/pull_request_template.md",
  ".github/PULL_REQUEST_TEMPLATE.md",
  "docs/pull_request_template.md",
  "pull_request_template.md",
  "PULL_REQUEST_TEMPLATE.md",
];

/** Opens the pull request: ready when the checks pass, else a draft that says why. A second run finds the open one and updates it. */
export const openPullRequest = defineStep({
  name: "open-pull-request",
  input: z.object({ base: Base, analysis: Plan, change: Change, verdict: Verdict, published: Published }),
  output: Outcome,
  async run({ base, analysis, change, verdict, published }, deps, ctx) {
    const stale = await whyStale(deps, ctx);
    if (stale !== undefined) return { kind: "cancelled" as const, reason: stale };
    const config = await configOf(deps, base);
    const drafts = draftReasons(change, verdict, config.checks.withoutTests === "draft");
    const template = await pullRequestTemplate(deps, ctx, base);
    const { owner, repo } = ctx.intent.work;
    const octokit = await ctx.github({
      pull_requests: "write",
      issues: "write",
      contents: "read",
      ...(published.ciWaits && { checks: "write" as const }),
    });
    const shown = ctx.intent.pipeline === "iterate-pr" ? await currentText(octokit, ctx) : undefined;
    const facts = { base, plan: analysis, change, verdict, published, drafts, template, shown: shown?.body };
    const body = await pullRequestBody(deps, ctx, facts);
    const wanted = {
      owner,
      repo,
      branch: base.branch,
      baseRef: base.baseRef,
      title: shown?.title ?? conventionalTitle(analysis),
      body,
      draft: drafts.length > 0,
    };
    const pull = await ctx.effect("open-pull-request", () => putPullRequest(octokit, wanted));
    await rememberPullRequest(deps, ctx, base, pull, published.sha, published.ciWaits);
    if (published.ciWaits)
      await ctx.effect("ci-check", () =>
        putCiCheck(octokit, deps.operator.app.id, { owner, repo, sha: published.sha }, "waits"),
      );
    if (config.pullRequest.requestReview && ctx.intent.actor.type === "User") {
      await ctx.effect("request-review", () =>
        requestReview(octokit, { owner, repo, number: pull.number }, ctx.intent.actor.login),
      );
    }
    const pullRequest = { number: pull.number, url: pull.url };
    if (drafts.length === 0)
      return {
        kind: "ready" as const,
        reason: howItPassed(change.checks),
        pullRequest,
      };
    return {
      kind: "draft" as const,
      reason: "The work is in a draft; a person has to decide.",
      detail: [
        ...drafts.slice(0, 12).map((reason) => `- ${reason}`),
        "",
        "Next: look at the pull request, which shows what failed; then finish it by hand, or say in a review what should be different.",
      ].join("\n"),
      pullRequest,
    };
  },
});

/** One sentence that claims no more than what was seen. */
function howItPassed(checks: Checks | undefined): string {
  const tests = checks?.testsRan ?? 0;
  const ran = tests === 0 ? "No tests were run" : `${tests} ${tests === 1 ? "test" : "tests"} ran`;
  const before = checks?.commands.filter((command) => command.failsOnBase === true) ?? [];
  if (before.length > 0)
    return `${ran}; ${before.map(({ run }) => `\`${run.replaceAll("`", "'")}\``).join(", ")} failed before this change in the same way, all else passed.`;
  return tests === 0 ? `${ran}; the pull request says why.` : `${ran}, all checks passed.`;
}

/** What the pull request says now: an iteration keeps its title and what it is for, as people may have edited them. */
async function currentText(octokit: ProbotOctokit, ctx: StepContext): Promise<{ title: string; body: string }> {
  const { owner, repo } = ctx.intent.work;
  const { data } = await octokit.rest.pulls.get({ owner, repo, pull_number: subjectNumber(ctx.intent) });
  return { title: data.title, body: data.body ?? "" };
}

async function pullRequestTemplate(deps: Deps, ctx: StepContext, base: Base): Promise<string | undefined> {
  for (const path of templates) {
    const text = await deps.workspaces.readFile(repositoryRef(ctx.intent), base.baseSha, path);
    if (text !== undefined) return text.slice(0, 20_000);
  }
  return undefined;
}
