import { z } from "zod";
import { putComment } from "../../github/comments.ts";
import { codeOwners, codeOwnersPaths } from "../../policy/code-owners.ts";
import { fixMarker } from "../../policy/markers.ts";
import type { Deps } from "../deps.ts";
import { Outcome } from "../outcome.ts";
import { defineStep, type StepContext } from "../step.ts";
import { Base, FailedCheckRef, Plan, PullFacts, Task } from "./shapes.ts";
import { buttonsFor } from "./support/check-voice.ts";
import { readDocument } from "./support/documents.ts";
import { explanation } from "./support/explain-failure.ts";
import { checkNames } from "./support/fix-text.ts";
import { fileNotice } from "./support/notify.ts";
import { configOf, place, repositoryRef } from "./support/repository.ts";

const mostAsked = 10;

/**
 * An honest hand-over (F9): one comment for this head that asks the code's owners and the configured people, with cause,
 * evidence and what was tried; the configured channels are told once. A second run finds the comment.
 */
export const handOver = defineStep({
  name: "hand-over",
  input: z.object({
    base: Base,
    pull: PullFacts,
    checks: z.array(FailedCheckRef),
    reason: z.string(),
    /** What was made of the failure, where it was analysed. */
    plan: Plan.optional(),
    evidenceHolds: z.boolean().optional(),
    /** What was tried, in Markdown of ours. */
    tried: z.string().optional(),
  }),
  output: Outcome,
  async run({ base, pull, checks, reason, plan, evidenceHolds, tried }, deps, ctx) {
    const config = await configOf(deps, base);
    const failure = plan === undefined ? undefined : await failureOf(deps, plan);
    const cause = failure === undefined ? [] : ["", explanation(failure.analysis, evidenceHolds ?? false)];
    const asked = await people(deps, ctx, base, config.fix.reviewers, failure?.analysis.files ?? []);
    const names = checkNames(checks);
    const detail = [
      ...cause,
      ...(tried === undefined ? [] : ["", tried]),
      "",
      "Next: mend it by hand, run it again, or write `/fix` for another try.",
    ];
    const octokit = await ctx.github({ issues: "write", pull_requests: "write" });
    const text = [
      `🙋 **${names} ${checks.length === 1 ? "needs" : "need"} a person.** ${reason}`,
      ...detail,
      ...(asked.length === 0 ? [] : ["", `Asked: ${asked.join(" ")}`]),
    ].join("\n");
    await ctx.effect("hand-over", () =>
      putComment(octokit, deps.operator.app.id, place(ctx.intent), fixMarker(pull.headSha), text),
    );
    const { owner, repo } = ctx.intent.work;
    await fileNotice(deps, ctx, {
      about: `hand-over ${pull.headSha} ${names}`,
      channels: config.fix.channels,
      notice: {
        title: `#${pull.number}: ${names} ${checks.length === 1 ? "needs" : "need"} a person`,
        text: [reason, ...cause].join("\n"),
        url: `${deps.operator.github.gitUrl}/${owner}/${repo}/pull/${pull.number}`,
        repository: `${owner}/${repo}`,
        severity: "problem",
        facts: [
          { name: "Pull request", value: `#${pull.number} ${pull.title}` },
          { name: "Commit", value: pull.headSha.slice(0, 12) },
        ],
      },
    });
    return {
      kind: "escalated" as const,
      reason,
      detail: detail.join("\n").trim(),
      check: {
        conclusion: "neutral" as const,
        buttons: buttonsFor(pull, failure === undefined ? ["rerun"] : ["rerun", "explain"]),
      },
    };
  },
});

async function failureOf(deps: Deps, plan: Plan) {
  const task = await readDocument(deps, plan.taskBlob, Task);
  return task.kind === "fix-check" ? task.failure : undefined;
}

/** Who is mentioned: the configured people, and who owns the files, by the file on the default branch. */
async function people(
  deps: Deps,
  ctx: StepContext,
  base: Base,
  configured: readonly string[],
  paths: readonly string[],
): Promise<string[]> {
  const repository = repositoryRef(ctx.intent);
  const sha = base.instructionsSha ?? base.baseSha;
  for (const path of codeOwnersPaths) {
    const file = await deps.workspaces.readFile(repository, sha, path);
    if (file === undefined) continue;
    return [...new Set([...configured.map((name) => `@${name}`), ...codeOwners(file, paths)])].slice(0, mostAsked);
  }
  return configured.map((name) => `@${name}`).slice(0, mostAsked);
}
