import { z } from "zod";
import { putPullRequest } from "../../github/pull-request.ts";
import { defineStep, UserFacingError } from "../step.ts";
import { Base, Plan } from "./shapes.ts";
import { conventionalTitle } from "./support/commit-message.ts";
import { botPerson } from "./support/people.ts";
import { rememberPullRequest } from "./support/remember.ts";
import { credential, openJob } from "./support/repository.ts";

/** Under which note of the run `report-outcome` finds the empty commit, to take it back when nothing followed. */
export const emptyCommitNote = "empty-commit";

/**
 * Opens a draft at once on an empty first commit, so that people can watch it (B19). An open pull request of an earlier
 * run of the same work stays as it is until the new change replaces it. A second run finds branch and pull request.
 */
export const openDraft = defineStep({
  name: "open-draft",
  input: z.object({ base: Base, analysis: Plan }),
  output: z.object({ sha: z.string() }),
  async run({ base, analysis }, deps, ctx) {
    const earlier = await deps.store.pullRequests.ofWork(ctx.workKey);
    const begun = await deps.store.notes.get(ctx.runKey, emptyCommitNote);
    if (begun === undefined && earlier?.state === "open") return { sha: base.baseSha };
    const job = await openJob(deps, ctx, base, { sha: base.baseSha });
    const person = await botPerson(deps, ctx);
    const message = `chore: start on #${base.issueNumber}\n\n[skip ci]`;
    const sha = await job.squash(base.baseSha, message, person, person, [], new Date(ctx.intent.at));
    const push = (expected: string | undefined) =>
      ctx.effect("push", () => job.push(base.branch, sha, expected, credential(ctx, "write")));
    let result = await push(earlier?.headSha);
    // The branch was deleted with its closed pull request: then it is made anew.
    if (result.kind === "moved" && result.actualSha === undefined) result = await push(undefined);
    if (result.kind === "moved" || result.kind === "refused") {
      throw new UserFacingError(
        `The branch ${base.branch} could not be started: ${result.kind === "refused" ? result.message : "somebody else pushed to it"}.`,
      );
    }
    await deps.store.notes.set(ctx.runKey, "pushed-sha", sha);
    await deps.store.notes.set(ctx.runKey, emptyCommitNote, sha);
    const octokit = await ctx.github({ pull_requests: "write", contents: "read" });
    const { owner, repo } = ctx.intent.work;
    const body = `Work on #${base.issueNumber} is under way; its progress is in the comment there. The text comes when it is finished.`;
    const pull = await ctx.effect("open-pull-request", () =>
      putPullRequest(octokit, {
        owner,
        repo,
        branch: base.branch,
        baseRef: base.baseRef,
        title: conventionalTitle(analysis),
        body,
        draft: true,
      }),
    );
    await rememberPullRequest(deps, ctx, base, pull, sha, false);
    return { sha };
  },
});
