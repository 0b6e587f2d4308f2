import type { ProbotOctokit } from "probot";
import { z } from "zod";
import { statusOf } from "../../github/client.ts";
import { permissionOf } from "../../github/permission.ts";
import { visibleText } from "../../policy/visible-text.ts";
import { Intent } from "../intent.ts";
import { defineStep, type StepContext } from "../step.ts";
import { Base, Ended, ended, type IssueText } from "./shapes.ts";
import { fileDocument, readDocument } from "./support/documents.ts";
import { place } from "./support/repository.ts";
import { currentIssue, labelNames, whyUnwanted } from "./support/truth.ts";

const maxComments = 50;
const maxRelated = 8;
const FrozenText = Intent.shape.text.unwrap();

/**
 * Files what the issue says: title and body as they were in the signed payload, and the comments of people with write
 * access that existed, unedited since, at the trigger (M4). Everything passes `visibleText` (M5). Safe to repeat.
 */
export const readIssue = defineStep({
  name: "read-issue",
  input: z.object({ base: Base }),
  output: z.discriminatedUnion("kind", [z.object({ kind: z.literal("read"), issueBlob: z.string() }), Ended]),
  async run(_input, deps, ctx) {
    const { intent } = ctx;
    const frozen =
      intent.textBlob === undefined ? { title: "", body: "" } : await readDocument(deps, intent.textBlob, FrozenText);
    const octokit = await ctx.github({ issues: "read", metadata: "read", pull_requests: "read" });
    const current = await currentIssue(octokit, ctx);
    const gone = whyUnwanted(current, deps, ctx);
    if (gone !== undefined) return ended({ kind: "cancelled", reason: gone });
    const issue: IssueText = {
      title: seen(frozen.title),
      body: seen(frozen.body),
      labels: labelNames(current),
      comments: await trustedComments(octokit, ctx),
      related: await relatedIssues(octokit, ctx, frozen.body),
      ...(intent.args !== undefined &&
        intent.args !== "" &&
        (intent.answers === true ? { answer: seen(intent.args) } : { instructions: seen(intent.args) })),
    };
    const says = [issue.body, issue.answer, issue.instructions, ...issue.comments.map((comment) => comment.text)]
      .join("")
      .trim();
    if (says === "" && issue.title.trim().split(/\s+/).length < 3) {
      return ended({
        kind: "question",
        reason: "The issue does not say yet what should change.",
        detail:
          "What should be different when this is done, and how can one tell? Answer in a comment, and the work starts.",
      });
    }
    return { kind: "read" as const, issueBlob: await fileDocument(deps, ctx, "text", issue) };
  },
});

function seen(text: string): string {
  return visibleText(text, { maxBytes: 60_000 }).text;
}

async function trustedComments(octokit: ProbotOctokit, ctx: StepContext): Promise<IssueText["comments"]> {
  const { owner, repo, number } = place(ctx.intent);
  const { trigger, at } = ctx.intent;
  const comments = await octokit.paginate(octokit.rest.issues.listComments, {
    owner,
    repo,
    issue_number: number,
    per_page: 100,
  });
  const before = comments.filter(
    (comment) =>
      comment.user?.type === "User" &&
      comment.performed_via_github_app == null &&
      isOlder(comment, Date.parse(at)) &&
      !(trigger.kind === "comment" && trigger.commentId === comment.id),
  );
  const writers = new Map<string, boolean>();
  for (const login of new Set(before.map((comment) => comment.user!.login))) {
    writers.set(login, ["write", "maintain", "admin"].includes(await permissionOf(octokit, { owner, repo }, login)));
  }
  return before
    .filter((comment) => writers.get(comment.user!.login) === true)
    .slice(-maxComments)
    .map((comment) => ({ author: comment.user!.login, at: comment.created_at, text: seen(comment.body ?? "") }));
}

/** GitHub dates to the second, so that an edit in the second of the trigger may have come after it: that one does not count. */
function isOlder({ created_at, updated_at }: { created_at: string; updated_at: string }, at: number): boolean {
  return Date.parse(updated_at) < at || (updated_at === created_at && Date.parse(created_at) <= at);
}

/** Parent, sub-issues and issues that the body names: their titles and texts, as data. */
async function relatedIssues(octokit: ProbotOctokit, ctx: StepContext, body: string): Promise<IssueText["related"]> {
  const { owner, repo, number } = place(ctx.intent);
  const target = { owner, repo, issue_number: number };
  const named = [...body.matchAll(/(?:^|[\s(])#(\d{1,7})\b/g)]
    .map((match) => Number(match[1]))
    .filter((other) => other !== number);
  const [parent, children] = await Promise.all([
    absentIs(undefined, octokit.request("GET /repos/{owner}/{repo}/issues/{issue_number}/parent", target)),
    absentIs(undefined, octokit.request("GET /repos/{owner}/{repo}/issues/{issue_number}/sub_issues", target)),
  ]);
  const found = [
    ...(parent === undefined ? [] : [{ relation: "parent", issue: parent.data }]),
    ...(children?.data ?? []).map((issue) => ({ relation: "sub-issue", issue })),
  ];
  for (const other of new Set(named)) {
    if (found.length >= maxRelated) break;
    if (found.some(({ issue }) => issue.number === other)) continue;
    const issue = await absentIs(undefined, octokit.rest.issues.get({ owner, repo, issue_number: other }));
    if (issue !== undefined) found.push({ relation: "linked", issue: issue.data as (typeof found)[number]["issue"] });
  }
  return found.slice(0, maxRelated).map(({ relation, issue }) => ({
    relation,
    number: issue.number,
    title: seen(issue.title),
    text: seen(issue.body ?? "").slice(0, 4_000),
  }));
}

async function absentIs<T, D>(fallback: D, answer: Promise<T>): Promise<T | D> {
  try {
    return await answer;
  } catch (error) {
    if ([404, 410, 403].includes(statusOf(error) ?? 0)) return fallback;
    throw error;
  }
}
