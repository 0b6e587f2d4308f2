import { z } from "zod";
import type { Finding } from "../../policy/change.ts";
import { guardChange as judge } from "../../policy/guard.ts";
import type { Deps } from "../deps.ts";
import type { Outcome } from "../outcome.ts";
import { defineStep, type StepContext } from "../step.ts";
import { Base, Change, Ended, ended, Plan, Task, Verdict } from "./shapes.ts";
import { commitMessage } from "./support/commit-message.ts";
import { agentSummary } from "./support/describe.ts";
import { readDocument } from "./support/documents.ts";
import { fitting } from "./support/fitting.ts";
import { configOf, openJob, repositoryRef } from "./support/repository.ts";

const maxBytesOfFindings = 8_000;

/** Judges the whole change before anything leaves the machine (M7): pass, draft, or block with path and rule. Touches nothing. */
export const guardChange = defineStep({
  name: "guard-change",
  input: z.object({ base: Base, analysis: Plan, change: Change, fromSha: z.string() }),
  output: z.discriminatedUnion("kind", [Verdict, Ended]),
  async run({ base, analysis, change, fromSha }, deps, ctx) {
    const config = await configOf(deps, base);
    const job = await openJob(deps, ctx, base, change);
    const files = await job.changes(fromSha, change.sha);
    if (files.length === 0)
      return ended({ kind: "failed", reason: "After the checks nothing was left of the change." });
    const message = await commitMessage(deps, ctx, base, analysis, change);
    const verdict = judge(
      {
        baseSha: fromSha,
        headSha: change.sha,
        branch: base.branch,
        commits: [{ message }],
        files,
        texts: [
          { name: "title", text: analysis.title },
          { name: "summary", text: await agentSummary(deps, change) },
        ],
        basePaths: (await (await job.source(fromSha)).files()).map((file) => file.path),
        requestedPaths: await requestedPaths(deps, analysis),
      },
      {
        redactor: deps.redactor,
        protectedPaths: config.guard.protectedPaths,
        maxFiles: config.guard.maxFiles,
        maxLines: config.guard.maxLines,
        ownRepository: await isOwnRepository(deps, ctx, base),
      },
    );
    ctx.log.info({ decision: verdict.decision, rules: verdict.findings.map((finding) => finding.rule) }, "guard");
    if (verdict.decision === "block") return ended(blocked(verdict.findings));
    const findings = fitting(
      verdict.findings
        .slice(0, 60)
        .map(({ rule, severity, path, message: text }) => ({ rule, severity, path, message: text.slice(0, 300) })),
      maxBytesOfFindings,
    );
    return { kind: "judged" as const, decision: verdict.decision, findings };
  },
});

/** Whether Millwright works on itself: then its policy, prompts, workflows and configuration are protected too (B21). */
async function isOwnRepository(deps: Deps, ctx: StepContext, base: Base): Promise<boolean> {
  const manifest = await deps.workspaces.readFile(repositoryRef(ctx.intent), base.baseSha, "package.json");
  const story = await deps.workspaces.readFile(repositoryRef(ctx.intent), base.baseSha, "src/pipeline/issue-to-pr.ts");
  return story !== undefined && /"name"\s*:\s*"millwright"/.test(manifest ?? "");
}

/** Paths that the person who asked named: a mode change on one of them was asked for. */
async function requestedPaths(deps: Deps, plan: Plan): Promise<string[]> {
  const task = await readDocument(deps, plan.taskBlob, Task);
  const said = requestOf(task);
  return [...new Set(said.join(" ").match(/[\w.-]+(?:\/[\w.-]+)+|[\w-]+\.\w{1,8}/g) ?? [])].slice(0, 200);
}

/** What a person asked for; a failed check asks for nothing by name. */
function requestOf(task: Task): string[] {
  switch (task.kind) {
    case "implement":
      return [task.issue.title, task.issue.body, task.issue.instructions ?? ""];
    case "address-review":
      return [task.review.request, ...task.review.threads.map((thread) => thread.path)];
    case "fix-check":
      return [];
  }
}

function blocked(findings: Finding[]): Outcome {
  const reasons = findings.filter((finding) => finding.severity === "block");
  return {
    kind: "failed",
    reason: "The guard stopped this change, so nothing was pushed.",
    detail: [
      ...reasons
        .slice(0, 20)
        .map(
          (finding) =>
            `- **${finding.rule}**${finding.path === undefined ? "" : ` in \`${finding.path.replaceAll("`", "'")}\``}: ${finding.message}`,
        ),
      ...(reasons.length > 20 ? [`- and ${reasons.length - 20} more`] : []),
      "",
      "Next: if the issue really needs this, a person has to make that part of the change.",
    ].join("\n"),
  };
}
