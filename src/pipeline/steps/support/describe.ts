import { z } from "zod";
import { neutralise } from "../../../policy/neutralise.ts";
import { findSecrets } from "../../../policy/secrets.ts";
import { dollars, duration } from "../../../status/render.ts";
import type { Deps } from "../../deps.ts";
import type { StepContext } from "../../step.ts";
import type { Base, Change, CommandSummary, Plan, Published, Verdict } from "../shapes.ts";
import { Task } from "../shapes.ts";
import { readDocument } from "./documents.ts";

/** The agent's own words about the change; empty when it gave none. */
export async function agentSummary(deps: Deps, change: Change): Promise<string> {
  if (change.summaryBlob === undefined) return "";
  return readDocument(deps, change.summaryBlob, summarySchema);
}

const summarySchema = z.string();

/** Why the pull request is a draft, one sentence each; empty when it is ready for review. */
export function draftReasons(change: Change, verdict: Verdict, withoutTestsIsDraft: boolean): string[] {
  const { checks } = change;
  return [
    ...(change.stopped === undefined ? [] : [change.stopped]),
    ...(checks?.failure === undefined
      ? []
      : [
          `The checks fail after ${change.attempts} ${change.attempts === 1 ? "attempt" : "attempts"}: ${checks.failure.summary}`,
        ]),
    ...(checks === undefined ? ["The checks were not run."] : []),
    ...(checks !== undefined && checks.testsRan === 0 && withoutTestsIsDraft
      ? [`No tests were run. ${checks.withoutTests ?? ""}`.trim()]
      : []),
    ...(verdict.decision === "draft"
      ? verdict.findings.filter((finding) => finding.severity === "draft").map((finding) => `${finding.message}`)
      : []),
  ];
}

/** The structured body of the pull request (B15): what, why, how it was verified, what was not done, risk, cost. */
export async function pullRequestBody(
  deps: Deps,
  ctx: StepContext,
  facts: {
    base: Base;
    plan: Plan;
    change: Change;
    verdict: Verdict;
    published: Published;
    drafts: string[];
    template: string | undefined;
    /** The pull request's body now, when it is continued. */
    shown: string | undefined;
  },
): Promise<string> {
  const { base, change, verdict } = facts;
  const usage = await deps.store.usage.ofRun(ctx.runKey);
  const task = await readDocument(deps, facts.plan.taskBlob, Task);
  const clean = (text: string) => neutralise(text, { allowHosts: [], maxBytes: 6_000 });
  const sections = [
    ...(facts.drafts.length === 0
      ? []
      : [
          "> [!WARNING]",
          "> **This is a draft, because:**",
          ...facts.drafts.slice(0, 12).map((reason) => `> - ${clean(reason).replaceAll("\n", " ")}`),
          "",
        ]),
    "## What and why",
    "",
    ...(task.kind === "implement" ? [clean(task.analysis.summary), ""] : keptPurpose(facts.shown, ctx.runKey)),
    `${task.kind === "implement" ? "" : askedBy(ctx)}${clean(await agentSummary(deps, change)) || "_The model gave no summary._"}`,
    "",
    "## How it was verified",
    "",
    ...verification(change),
    "",
    ...(await evidence(deps, change)),
    ...notes(verdict),
    "## What was not done",
    "",
    ...notDone(base, change).map(clean),
    "",
    "## Risk",
    "",
    `**${facts.plan.risk}**${task.kind === "implement" ? `: ${clean(task.analysis.riskReason)}` : ""}`,
    "",
    ...(facts.published.ciWaits ? [ciWaits, ""] : []),
    `Closes #${base.issueNumber}`,
    "",
    `<sub>Made by Millwright in run \`${ctx.runKey}\` for ${ctx.intent.actor.login} from \`${base.baseSha.slice(0, 12)}\` · ${usage.calls} requests to the model, ${dollars(usage.costUsd)} · comment \`/millwright code …\` or submit a review to have it changed</sub>`,
  ];
  return facts.template === undefined ? sections.join("\n") : `${fillTemplate(facts.template, sections.join("\n"))}`;
}

/** One line for each thing that a reader might take for done. */
function notDone({ opaque }: Base, { checks, stopped }: Change): string[] {
  const left = [
    ...(stopped === undefined ? [] : [stopped]),
    ...(checks === undefined ? ["The checks were not run."] : []),
    ...(checks?.testsRan === 0 ? [`No tests were run. ${checks.withoutTests ?? ""}`.trim()] : []),
    ...(opaque.length === 0
      ? []
      : [`Not checked out, so not looked at: ${opaque.map((path) => `\`${path}\``).join(", ")}.`]),
  ];
  if (left.length === 0)
    return ["Nothing is known to be missing. Where the plan was departed from, the summary says so."];
  return left.map((line) => `- ${line}`);
}

/** What stands under "What and why" now, without what an earlier try of this run wrote there. */
function keptPurpose(shown: string | undefined, runKey: string): string[] {
  const section = /^#{2,3} What and why\n([\s\S]*?)\n#{2,3} How it was verified$/m;
  const text = section.exec((shown ?? "").replaceAll("\r\n", "\n"))?.[1] ?? "";
  const kept = (text.split(changeMarker(runKey))[0] ?? "").trim();
  return kept === "" ? [] : [kept, ""];
}

function askedBy(ctx: StepContext): string {
  return `${changeMarker(ctx.runKey)}\n**Then, asked by ${ctx.intent.actor.login}:** `;
}

function changeMarker(runKey: string): string {
  return `<!-- millwright:changed ${runKey} -->`;
}

/** security.md M13, for whoever looks at a pull request without checks. */
const ciWaits =
  "**Its CI waits for you.** The commits carry `[skip ci]`, because what CI runs here was written by a model and CI may have secrets. A person with write access starts it with the button *Run CI* on Millwright's check, or with `/millwright approve`; then CI runs on the same tree.";

function verification({ checks }: Change): string[] {
  if (checks === undefined) return ["The checks were not run."];
  const lines = checks.commands.map(
    (command) =>
      `| ${command.kind} | \`${command.run.replaceAll("|", "\\|").replaceAll("`", "'")}\` | ${resultOf(command)} | ${command.durationSeconds < 1 ? "< 1 s" : duration(command.durationSeconds)} |`,
  );
  return [
    ...(lines.length === 0 ? [] : ["| | command | result | time |", "|---|---|---|---|", ...lines, ""]),
    checks.testsRan === 0
      ? `**No tests were run.** ${checks.withoutTests ?? ""}`.trim()
      : `${checks.testsRan} ${checks.testsRan === 1 ? "test" : "tests"} ran ${checks.sandbox === "none" ? "without a sandbox" : `in a sandbox (${checks.sandbox})`}.`,
  ];
}

function resultOf({ result, tests, coveragePercent, failsOnBase }: CommandSummary): string {
  const counts =
    tests === undefined
      ? []
      : [
          `${tests.passed} passed`,
          ...(tests.failed > 0 ? [`${tests.failed} failed`] : []),
          ...(tests.skipped > 0 ? [`${tests.skipped} skipped`] : []),
        ];
  // The counts say by themselves whether it passed, unless none failed and the command did.
  const saysItself = tests !== undefined && (result === "passed" || (result === "failed" && tests.failed > 0));
  return [
    `${result === "passed" ? "✅" : "❌"} ${[...(saysItself ? [] : [result.replace("-", " ")]), ...counts].join(", ")}`,
    ...(coveragePercent === undefined ? [] : [`${coveragePercent}% of lines covered`]),
    ...(failsOnBase === true ? ["fails without this change too"] : []),
  ].join(" · ");
}

const maxEvidenceBytes = 4_000;

/** What the failing commands printed, shortened: whoever takes over should not have to run them first (B16). */
async function evidence(deps: Deps, { checks }: Change): Promise<string[]> {
  const text = checks?.failure === undefined ? undefined : await deps.store.blobs.text(checks.failure.blob);
  // Known secrets are redacted; what only looks like one was not, and tests print what they like.
  if (text === undefined || findSecrets(text).length > 0) return [];
  const fence = "`".repeat(Math.max(3, ...(text.match(/`+/g) ?? []).map((run) => run.length + 1)));
  // The fence is closed where it is cut.
  const shown = neutralise(`${fence}text\n${text.trim()}\n${fence}`, { allowHosts: [], maxBytes: maxEvidenceBytes });
  return ["<details><summary>What failed</summary>", "", shown, "", "</details>", ""];
}

function notes(verdict: Verdict): string[] {
  if (verdict.findings.length === 0) return [];
  return [
    "**The guard noted:**",
    ...verdict.findings
      .slice(0, 20)
      .map(
        (finding) =>
          `- ${finding.rule}${finding.path === undefined ? "" : ` (\`${finding.path.replaceAll("`", "'")}\`)`}: ${finding.message}`,
      ),
    "",
  ];
}

/** The repository's own template comes first with its headings; ours is put where it asks for a description, else before it. */
function fillTemplate(template: string, body: string): string {
  const withoutComments = template.replaceAll(/<!--[\s\S]*?-->/g, "").trim();
  const heading = /^#{1,4}\s*(description|summary|what.*|changes?|proposed changes?)\b.*$/im.exec(withoutComments);
  if (heading === null) return `${body}\n\n---\n\n${withoutComments}`;
  const end = heading.index + heading[0].length;
  return `${withoutComments.slice(0, end)}\n\n${body.replaceAll(/^## /gm, "### ")}\n${withoutComments.slice(end)}`;
}
