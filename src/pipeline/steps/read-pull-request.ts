import { z } from "zod";
import type { RepositoryConfig } from "../../config/repository.ts";
import { permissionOf } from "../../github/permission.ts";
import { mayAct } from "../../policy/author-policy.ts";
import { visibleText } from "../../policy/visible-text.ts";
import type { Deps } from "../deps.ts";
import type { Outcome } from "../outcome.ts";
import { defineStep, type StepContext } from "../step.ts";
import { Base, Ended, ended, PullFacts, type PullText } from "./shapes.ts";
import { whyNotAdmitted } from "./support/admission.ts";
import { beginCheckRun } from "./support/check-voice.ts";
import { currentConfiguration, pinnedConfiguration } from "./support/configuration.ts";
import { fileDocument } from "./support/documents.ts";
import { credential, opaquePaths, repositoryRef, subjectNumber, whyUnfit } from "./support/repository.ts";

/**
 * Pins head, merge base and default branch of a pull request that exists already, and begins the check run that tells what
 * becomes of a review or of a fix that is applied. Ends where the configuration on the default branch does not switch this
 * pipeline on, its author policy says no, or the head has moved on: after a state silently, because nobody asked. Safe to repeat.
 */
export const readPullRequest = defineStep({
  name: "read-pull-request",
  input: z.object({}),
  output: z.discriminatedUnion("kind", [z.object({ kind: z.literal("read"), base: Base, pull: PullFacts }), Ended]),
  async run(_input, deps, ctx) {
    const { intent } = ctx;
    const number = subjectNumber(intent);
    const isState = intent.trigger.kind === "state";
    if (isState) {
      // A repository that has not switched it on costs one look, and no copy of it.
      const current = await currentConfiguration(ctx);
      if (current.kind === "ended") return current;
      const off = whyOff(current.config, ctx);
      if (off !== undefined) return ended(off);
    }
    const octokit = await ctx.github({ contents: "read", pull_requests: "read", metadata: "read" });
    const { owner, repo } = intent.work;
    const { data: pull } = await octokit.rest.pulls.get({ owner, repo, pull_number: number });
    if (pull.state !== "open")
      return ended({ kind: "cancelled", reason: `The pull request was ${pull.merged ? "merged" : "closed"}.` });
    if (intent.headSha !== undefined && intent.headSha !== pull.head.sha)
      return ended({ kind: "superseded", reason: "The pull request has a newer head." });
    const unfit = whyUnfit(pull.base.repo, deps);
    if (unfit !== undefined) return ended({ kind: "failed", ...unfit });
    const fork = pull.head.repo?.id !== intent.work.repositoryId;
    const author = pull.user?.login ?? "ghost";

    const defaultRef = pull.base.repo.default_branch;
    const compared = await octokit.rest.repos.compareCommitsWithBasehead({
      ...{ owner, repo, per_page: 1 },
      basehead: `${pull.base.sha}...${pull.head.sha}`,
    });
    const mergeBaseSha = compared.data.merge_base_commit.sha;
    const pinned = await pin(deps, ctx, [defaultRef, mergeBaseSha, ...(fork ? [] : [pull.head.sha])], "own");
    const defaultSha = pinned[defaultRef];
    if (defaultSha === undefined) return ended({ kind: "failed", reason: `The branch \`${defaultRef}\` is gone.` });
    if (fork) await pin(deps, ctx, [`refs/pull/${number}/head`, mergeBaseSha], "fork");

    const found = await pinnedConfiguration(deps, ctx, defaultSha);
    if (found.kind === "ended") return found;
    const { config } = found;
    const refusal =
      whyOff(config, ctx) ??
      whyNotReviewed(config, ctx, pull.draft === true) ??
      (isState
        ? await whyNotActedOn(deps, ctx, config, { login: author, type: pull.user?.type ?? "User" })
        : undefined);
    if (refusal !== undefined) return ended(refusal);

    const pullRow = await deps.store.pullRequests.byNumber(intent.work.repositoryId, number);
    const trust = fork ? ("fork" as const) : ("own" as const);
    const facts = await deps.workspaces.facts(repositoryRef(intent, { trust }), mergeBaseSha);
    const text: PullText = { title: seen(pull.title), body: seen(pull.body ?? "").slice(0, 8_000) };
    // A reply is answered in its thread: the check run still says how the review ended. What fails is not known yet, and may
    // have been looked into already: `read-failure` begins.
    if (intent.trigger.kind !== "review-comment" && intent.pipeline !== "fix-check")
      await beginCheckRun(deps, ctx, pull.head.sha);
    return {
      kind: "read" as const,
      base: {
        kind: "read" as const,
        baseRef: pull.base.ref,
        baseSha: mergeBaseSha,
        instructionsSha: defaultSha,
        trust,
        private: pull.base.repo.private,
        configBlob: await fileDocument(deps, ctx, "config", config),
        plan: "auto" as const,
        planTimeoutMinutes: config.planTimeoutHours * 60,
        openAt: "finish" as const,
        maxAttempts: Math.min(deps.operator.limits.run.attempts, config.limits.attempts ?? Infinity),
        limits: config.limits,
        issueNumber: pullRow?.issueNumber ?? number,
        branch: pull.head.ref,
        opaque: opaquePaths(facts),
      },
      pull: {
        number,
        title: text.title.slice(0, 300),
        headSha: pull.head.sha,
        headRef: pull.head.ref,
        author,
        authorId: pull.user?.id ?? 0,
        fork,
        onDefaultBranch: !fork && pull.head.ref === defaultRef,
        draft: pull.draft === true,
        ours: pullRow !== undefined,
        textBlob: await fileDocument(deps, ctx, "text", text),
      },
    };
  },
});

function pin(deps: Deps, ctx: StepContext, refs: string[], trust: "own" | "fork") {
  return deps.workspaces.fetch(repositoryRef(ctx.intent, { trust }), refs, credential(ctx, "read"), ctx.signal);
}

function seen(text: string): string {
  return visibleText(text, { maxBytes: 30_000 }).text;
}

/** Which section of the configuration switches this pipeline on. */
function sectionOf(config: RepositoryConfig, ctx: StepContext) {
  return ctx.intent.pipeline === "review-pr" ? { name: "review", ...config.review } : { name: "fix", ...config.fix };
}

function whyOff(config: RepositoryConfig, ctx: StepContext): Outcome | undefined {
  const { name, enabled } = sectionOf(config, ctx);
  if (enabled) return undefined;
  return {
    kind: "refused",
    reason: `This is switched off here; \`${name}.enabled: true\` in \`.github/millwright.yml\` on the default branch switches it on.`,
  };
}

/** Without being asked, only what the configuration names is reviewed: events, and drafts (R1). */
function whyNotReviewed({ review }: RepositoryConfig, { intent }: StepContext, draft: boolean): Outcome | undefined {
  if (intent.pipeline !== "review-pr" || intent.trigger.kind !== "state") return undefined;
  const { event } = intent.trigger;
  if (event !== undefined && !review.on.includes(event))
    return { kind: "refused", reason: `\`review.on\` does not name \`${event}\`.` };
  return draft && review.drafts === "skip"
    ? { kind: "refused", reason: "Drafts are reviewed when they are ready, or with `/review`." }
    : undefined;
}

/** State events are acted on by the author policy and a daily cap of the configuration (security.md M4). */
async function whyNotActedOn(
  deps: Deps,
  ctx: StepContext,
  config: RepositoryConfig,
  author: { login: string; type: string },
): Promise<Outcome | undefined> {
  const { name, authors, bots, perDay } = sectionOf(config, ctx);
  const octokit = await ctx.github({ contents: "read", pull_requests: "read", metadata: "read" });
  const { slug } = await deps.app.identity();
  const isOwnApp = author.login === `${slug}[bot]`;
  const permission =
    author.type === "User" && authors === "members"
      ? await permissionOf(octokit, ctx.intent.work, author.login)
      : "none";
  const allowed = mayAct({ ...author, permission, isOwnApp }, { authors, bots });
  if (!allowed.allowed) return { kind: "refused", reason: `The author policy of \`${name}\`: ${allowed.reason}` };
  const used = await whyNotAdmitted(deps, ctx);
  if (used !== undefined) return { kind: "refused", reason: used };
  const key = `${ctx.intent.pipeline}:${ctx.intent.work.repositoryId}`;
  const counted = await deps.store.notes.get(ctx.runKey, "counted-today");
  if (counted === undefined && !(await deps.store.rateLimit(key, perDay, 86_400)))
    return { kind: "refused", reason: `The limit \`${name}.perDay\` of ${perDay} is used up.` };
  await deps.store.notes.set(ctx.runKey, "counted-today", "yes");
  return undefined;
}
