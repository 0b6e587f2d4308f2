import { createHash } from "node:crypto";
import { z } from "zod";
import { distilLog } from "../../checks/distil/distil-log.ts";
import { type CheckLog, readCheckLog } from "../../github/check-logs.ts";
import { type FailedCheck, failedChecks, readsChecks } from "../../github/failed-checks.ts";
import type { Deps } from "../deps.ts";
import { defineStep, type StepContext } from "../step.ts";
import { Base, Ended, ended, FailedCheckRef, PullFacts } from "./shapes.ts";
import { failedChecksNote, onHead, resultIdOf } from "./support/check-commands.ts";
import { beginCheckRun } from "./support/check-voice.ts";
import { fileDocument } from "./support/documents.ts";
import { fitting } from "./support/fitting.ts";
import { configOf } from "./support/repository.ts";

/** All logs of one run together; what a model is shown of them. */
const maxLogTokens = 4_000;
const maxChecks = 6;
const maxBytesOfRefs = 5_000;
/** A script is run whole or not at all: what is left of one that was cut may fail for that alone. */
const maxBytesOfScripts = 5_000;

/** What is left of the logs of the checks that fail, within the budget of tokens. */
export const FailureLog = z.object({ checks: z.array(z.string()), log: z.string() });

/**
 * Reads what fails on the pinned head now, distils its logs and counts the failures (F2, F3). A check that another run
 * looked into since it failed is left out, all are while a fix for this head waits for a decision, and so is, unless a person
 * asks, one that has not failed often enough. Only where something is left the check run begins, so that the buttons of an
 * earlier run at this head stay. Safe to repeat.
 */
export const readFailure = defineStep({
  name: "read-failure",
  input: z.object({ base: Base, pull: PullFacts }),
  output: z.discriminatedUnion("kind", [
    z.object({
      kind: z.literal("failed"),
      checks: z.array(FailedCheckRef).max(maxChecks),
      failureBlob: z.string(),
      /** For `select-context`: the failure as if it were an issue. */
      issueBlob: z.string(),
      /** Of what the logs say, whatever numbers and times are in them. */
      hash: z.string(),
      /** Scripts of the failed steps, where the logs name them. */
      commands: z.array(z.string().max(4_000)).max(maxChecks),
    }),
    Ended,
  ]),
  async run({ base, pull }, deps, ctx) {
    const octokit = await ctx.github(readsChecks);
    const { owner, repo } = ctx.intent.work;
    const failing = await failedChecks(octokit, { owner, repo, sha: pull.headSha, appId: deps.operator.app.id });
    // A workflow that could not start has no job that fails: nothing is green by accident.
    if (failing.length === 0)
      return ended({ kind: "no-change-needed", reason: "No check of this head fails now that could be looked into." });
    const isState = ctx.intent.trigger.kind === "state";
    // The comment and the check run of this head have its patch and its buttons. A fork's has no button.
    if (
      isState &&
      !pull.fork &&
      (await deps.store.offers.waits(ctx.intent.work.repositoryId, pull.number, pull.headSha))
    )
      return ended({ kind: "no-change-needed", reason: "A fix for this head waits for a decision." });
    const asked = await checksToLookInto(deps, ctx, base, pull, failing);
    if (asked.length === 0)
      return ended({
        kind: "no-change-needed",
        reason: "What fails was looked into already, or has not failed often enough.",
      });

    await beginCheckRun(deps, ctx, pull.headSha);

    const share = Math.max(500, Math.floor(maxLogTokens / asked.length));
    const parts: string[] = [];
    const hashes: string[] = [];
    const commands: string[] = [];
    for (const check of asked) {
      ctx.progress({ message: `log of ${check.name}` });
      const log = await readCheckLog(octokit, { owner, repo }, check, { signal: ctx.signal });
      const distilled = await distil(log, share);
      hashes.push(distilled.hash);
      if (distilled.failingCommand !== undefined) commands.push(distilled.failingCommand);
      const instead = log.kind === "log" && log.instead !== undefined ? `${log.instead}\n\n` : "";
      parts.push(`## ${check.name} (${check.conclusion})\n\n${instead}${distilled.excerpt}`);
    }
    const text = deps.redactor.redact(parts.join("\n\n"));
    const names = asked.map(({ name }) => name);
    const refs = fitting(
      asked.map(({ kind, id, name, appSlug, workflowRunId, url }) => ({
        ...{ kind, id, appSlug: appSlug.slice(0, 100), workflowRunId },
        name: name.slice(0, 400),
        url: url.slice(0, 500),
      })),
      maxBytesOfRefs,
    );
    await deps.store.notes.set(ctx.runKey, failedChecksNote, JSON.stringify(refs));
    return {
      kind: "failed" as const,
      checks: refs,
      failureBlob: await fileDocument(deps, ctx, "log", { checks: names, log: text }),
      issueBlob: await fileDocument(deps, ctx, "text", {
        title: `${names.join(", ")} fails`,
        body: text,
        labels: [],
        comments: [],
        related: [],
      }),
      hash: createHash("sha256").update(JSON.stringify(hashes.toSorted())).digest("hex"),
      commands: fitting(
        commands.filter(({ length }) => length <= 4_000),
        maxBytesOfScripts,
      ),
    };
  },
});

async function checksToLookInto(
  deps: Deps,
  ctx: StepContext,
  base: Base,
  pull: PullFacts,
  failing: readonly FailedCheck[],
): Promise<FailedCheck[]> {
  const { threshold } = (await configOf(deps, base)).fix;
  const wasAsked = ctx.intent.trigger.kind !== "state";
  const chosen: FailedCheck[] = [];
  for (const check of failing) {
    const on = onHead(ctx, pull, check);
    const at = new Date(check.completedAt ?? ctx.intent.at);
    await deps.store.checks.recordResults([{ ...on, resultId: resultIdOf(check), passed: false, at }]);
    const { lastAt } = await deps.store.checks.attempts(on, "fix", ctx.runKey);
    const isKnown = lastAt !== undefined && lastAt >= at;
    const isRare = (await deps.store.checks.failures(on)) < threshold;
    if (!wasAsked && (isKnown || isRare)) continue;
    chosen.push(check);
  }
  return chosen.slice(0, maxChecks);
}

/** Where no log is left, the reason why stands in its place. */
async function distil(log: CheckLog, maxTokens: number) {
  if (log.kind === "none") return distilLog(log.why, { maxTokens });
  return distilLog(log.stream, { maxTokens });
}
