import { z } from "zod";
import { putComment } from "../../github/comments.ts";
import { fixMarker } from "../../policy/markers.ts";
import { neutralise } from "../../policy/neutralise.ts";
import { Outcome } from "../outcome.ts";
import { defineStep } from "../step.ts";
import { Offer, PullFacts } from "./shapes.ts";
import { buttonsFor } from "./support/check-voice.ts";
import { agentSummary } from "./support/describe.ts";
import { causeOf, checkNames, verificationOf, worthALook } from "./support/fix-text.ts";
import { fileNotice } from "./support/notify.ts";
import { configOf, openJob, place } from "./support/repository.ts";

/** Of a patch so much is shown; a larger one is named by its files. */
const maxPatchBytes = 20_000;

/**
 * Offers a fix that is not pushed (F8): in the check run with Apply and Reject, and as a patch in one comment; on a fork's
 * pull request as a patch alone. What would be pushed is kept. Safe to repeat.
 */
export const offerFix = defineStep({
  name: "offer-fix",
  input: Offer.extend({ pull: PullFacts, reason: z.string() }),
  output: Outcome,
  async run({ pull, reason, ...made }, deps, ctx) {
    const { base, checks, plan, change, verdict, reproduction, notes } = made;
    const { repositoryId, owner, repo } = ctx.intent.work;
    await deps.store.offers.put({
      runKey: ctx.runKey,
      repositoryId,
      pullNumber: pull.number,
      headSha: pull.headSha,
      content: made,
    });
    const job = await openJob(deps, ctx, base, change);
    const patch = await job.diff(pull.headSha, change.sha, maxPatchBytes);
    const summary = neutralise(await agentSummary(deps, change), { allowHosts: [], maxBytes: 3_000 });
    const fence = "`".repeat(Math.max(3, ...[...patch.text.matchAll(/`+/g)].map(([ticks]) => ticks.length + 1)));
    const detail = [
      await causeOf(deps, plan),
      "",
      ...(summary === "" ? [] : [summary, ""]),
      verificationOf(change, reproduction),
      ...worthALook(verdict, notes),
    ].join("\n");
    const shownPatch = [
      "<details><summary>The patch</summary>",
      "",
      `${fence}diff`,
      deps.redactor.redact(patch.text),
      fence,
      ...(patch.truncated ? ["", "It is longer than this; the button applies all of it."] : []),
      "</details>",
    ].join("\n");
    const how = pull.fork
      ? "Apply it with `git apply` on your branch."
      : "A person with write access decides by the buttons of the check run *Millwright fix*.";
    const octokit = await ctx.github({ issues: "write", pull_requests: "write" });
    await ctx.effect("offer-fix", () =>
      putComment(
        octokit,
        deps.operator.app.id,
        place(ctx.intent),
        fixMarker(pull.headSha),
        `🩹 **A fix for ${checkNames(checks)} is offered, not pushed.** ${[reason, detail, shownPatch, how].join("\n\n")}`,
      ),
    );
    await fileNotice(deps, ctx, {
      about: `offer ${pull.headSha}`,
      channels: (await configOf(deps, base)).fix.channels,
      notice: {
        title: `#${pull.number}: a fix waits for a decision`,
        text: `${reason}\n\n${summary}`,
        url: `${deps.operator.github.gitUrl}/${owner}/${repo}/pull/${pull.number}`,
        repository: `${owner}/${repo}`,
        severity: "warning",
        facts: [{ name: "Pull request", value: `#${pull.number} ${pull.title}` }],
      },
    });
    return {
      kind: "offered" as const,
      reason,
      detail: `${detail}\n\nThe patch is in a comment. ${how}`,
      check: {
        conclusion: pull.fork ? ("neutral" as const) : ("action_required" as const),
        buttons: buttonsFor(pull, ["apply", "reject", "explain"]),
      },
    };
  },
});
