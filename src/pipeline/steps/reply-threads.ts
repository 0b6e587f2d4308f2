import { z } from "zod";
import { replyMarker } from "../../policy/markers.ts";
import { defineStep } from "../step.ts";
import { Base, Change, Published, ReviewRequest } from "./shapes.ts";
import { readDocument } from "./support/documents.ts";
import { openJob, subjectNumber } from "./support/repository.ts";

/** Replies on each thread whose file was changed, once, and resolves nothing: that is the reviewer's. A second run finds its replies. */
export const replyThreads = defineStep({
  name: "reply-threads",
  input: z.object({ base: Base, requestBlob: z.string(), change: Change, published: Published, fromSha: z.string() }),
  output: z.object({ replies: z.number().int() }),
  async run({ base, requestBlob, change, published, fromSha }, deps, ctx) {
    const review = await readDocument(deps, requestBlob, ReviewRequest);
    if (review.threads.length === 0) return { replies: 0 };
    const job = await openJob(deps, ctx, base, change);
    const changed = new Set(
      (await job.changes(fromSha, change.sha)).flatMap((file) => [file.path, file.previousPath ?? file.path]),
    );
    const addressed = review.threads.filter((thread) => changed.has(thread.path));
    const { owner, repo } = ctx.intent.work;
    const pull_number = subjectNumber(ctx.intent);
    const octokit = await ctx.github({ pull_requests: "write" });
    const own = `${(await deps.app.identity()).slug}[bot]`;
    await ctx.effect("reply-threads", async () => {
      const present = await octokit.paginate(octokit.rest.pulls.listReviewComments, {
        owner,
        repo,
        pull_number,
        per_page: 100,
      });
      for (const thread of addressed) {
        const marker = replyMarker(ctx.runKey, String(thread.commentId));
        if (present.some((comment) => comment.body.includes(marker) && comment.user?.login === own)) continue;
        const body = `Addressed in ${published.sha.slice(0, 12)}. Please look whether it is what you meant.\n\n${marker}`;
        await octokit.rest.pulls.createReplyForReviewComment({
          owner,
          repo,
          pull_number,
          comment_id: thread.commentId,
          body,
        });
      }
    });
    return { replies: addressed.length };
  },
});
