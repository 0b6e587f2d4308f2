import { putComment } from "../../github/comments.ts";
import { fixMarker } from "../../policy/markers.ts";
import { neutralise } from "../../policy/neutralise.ts";
import { Outcome } from "../outcome.ts";
import { defineStep } from "../step.ts";
import { type FailedCheckRef, Offer, Published, PullFacts, type Reproduction } from "./shapes.ts";
import { agentSummary } from "./support/describe.ts";
import { causeOf, checkNames, verificationOf, worthALook } from "./support/fix-text.ts";
import { place } from "./support/repository.ts";

/** Says on the pull request what was pushed and how it was verified; the attempts at this head count for the new one. Safe to repeat. */
export const reportFix = defineStep({
  name: "report-fix",
  input: Offer.extend({ pull: PullFacts, published: Published }),
  output: Outcome,
  async run({ pull, checks, plan, change, verdict, reproduction, notes, published }, deps, ctx) {
    await deps.store.checks.followPush(ctx.intent.work.repositoryId, pull.headSha, published.sha);
    // What continues a pull request of ours later on goes by where we left it.
    const own = await deps.store.pullRequests.byNumber(ctx.intent.work.repositoryId, pull.number);
    if (own !== undefined)
      await deps.store.pullRequests.put({ ...own, headSha: published.sha, ciWaits: published.ciWaits });
    const applied = ctx.intent.pipeline === "apply-fix";
    const by = `${published.sha.slice(0, 12)}${applied ? `, applied by ${ctx.intent.actor.login}` : ""}`;
    const reason = whatIsClaimed(checks, reproduction, by);
    const summary = neutralise(await agentSummary(deps, change), { allowHosts: [], maxBytes: 3_000 });
    const detail = [
      await causeOf(deps, plan),
      "",
      ...(summary === "" ? [] : [summary, ""]),
      "**How it was verified**",
      "",
      verificationOf(change, reproduction),
      ...worthALook(verdict, notes),
    ].join("\n");
    const octokit = await ctx.github({ issues: "write", pull_requests: "write" });
    const text = `✅ **${reason}**\n\n${detail}`;
    await ctx.effect("report-fix", () =>
      putComment(octokit, deps.operator.app.id, place(ctx.intent), fixMarker(pull.headSha), text),
    );
    return {
      kind: "fixed" as const,
      reason,
      detail,
      check: { conclusion: "success" as const, buttons: [] },
    };
  },
});

/** No more than was seen: what was not red here before cannot be said to be mended. */
function whatIsClaimed(checks: readonly FailedCheckRef[], reproduction: Reproduction, by: string): string {
  const names = checkNames(checks);
  const red =
    reproduction.kind === "reproduced" ? Math.max(reproduction.commands.length, reproduction.setup ? 1 : 0) : 0;
  if (red >= checks.length) return `${names} ${checks.length === 1 ? "is" : "are"} mended by ${by}.`;
  const seen = red === 0 ? "the failure could not be reproduced here" : "not every failure could be reproduced here";
  return `A fix for ${names} was pushed as ${by}; ${seen}.`;
}
