import type { ProbotOctokit } from "probot";
import { permissionOf } from "../../../github/permission.ts";
import type { ReviewState, ReviewThread, ThreadComment } from "../../../github/review.ts";
import { backStart, fixedStart } from "../../../policy/markers.ts";
import { visibleText } from "../../../policy/visible-text.ts";
import { Severity } from "../../../review/finding.ts";
import { readComment, readReviewBody, readReviewedHead } from "../../../review/read-markers.ts";
import type { FindingRow } from "../../../store/store.ts";
import type { Deps } from "../../deps.ts";
import type { StepContext } from "../../step.ts";
import { place, subjectNumber } from "./repository.ts";
import type { Known } from "./review-shapes.ts";

/** Words by which people say that a finding is not going to be acted on. */
const declined =
  /\b(?:won'?t\s*-?fix|wontfix|not a bug|false positive|as (?:designed|intended)|by design|won'?t do)\b/i;

/** So many different people are asked about at GitHub; beyond that, a reaction counts for nothing. */
const mostLookUps = 8;

/**
 * Every finding that earlier reviews of this pull request showed, and how it stands (R6). What threads say and what the
 * store says are put together; either alone is enough. Only what our own App wrote counts as ours, and only people with
 * write access can dismiss.
 */
export async function knownFindings(
  deps: Deps,
  ctx: StepContext,
  octokit: ProbotOctokit,
  { threads, reviews }: Pick<ReviewState, "threads" | "reviews">,
): Promise<Known[]> {
  const { repositoryId } = ctx.intent.work;
  const rows = (await deps.store.reviews.findings(repositoryId, subjectNumber(ctx.intent))).filter(
    ({ state }) => state !== "suppressed",
  );
  const mayDismiss = writers(octokit, ctx);
  const known: Known[] = [];
  const matched = new Set<FindingRow>();
  for (const thread of threads) {
    const [first] = thread.comments;
    if (first === undefined) continue;
    const read = readComment(first.body);
    const row = rows.find(
      (one) =>
        one.commentId === first.id ||
        one.fingerprint === read?.fingerprint ||
        // Somebody took the mark out of the comment.
        (read === undefined &&
          one.commentId === undefined &&
          one.path === thread.path &&
          plain(first.body).includes(plain(one.title))),
    );
    if (row !== undefined) matched.add(row);
    const fingerprint = row?.fingerprint ?? read?.fingerprint;
    if (fingerprint === undefined) continue;
    const stance = stanceOf(thread, await dismissedBy(thread, mayDismiss));
    known.push({
      fingerprint,
      path: row?.path ?? thread.path,
      line: thread.line ?? row?.line,
      title: row?.title ?? read?.title ?? "",
      said: visibleText(first.body, { maxBytes: 3_000 }).text,
      severity: severityOf(row?.severity ?? read?.severity),
      category: row?.category ?? fingerprint.split(".")[0] ?? "",
      reviewers: row?.reviewers ?? reviewersOf(first.body),
      threadId: thread.id,
      commentId: first.id,
      accepted: stance.accepted ?? row?.accepted,
      state: together(stance.state, row, thread),
    });
  }
  const shown = new Set(threads.map(({ comments }) => comments[0]?.id));
  for (const row of rows) {
    if (matched.has(row)) continue;
    // A person deleted the comment: that is an answer too.
    const deleted = row.commentId !== undefined && !shown.has(row.commentId) && row.state === "open";
    known.push({
      fingerprint: row.fingerprint,
      path: row.path,
      line: row.line,
      title: row.title,
      said: row.title,
      severity: severityOf(row.severity),
      category: row.category,
      reviewers: row.reviewers,
      commentId: row.commentId,
      accepted: row.accepted,
      state: deleted ? "dismissed" : (row.state as Known["state"]),
    });
  }
  // Findings that had no line to stand on were said in a review's body, where nobody can answer them.
  const named = new Set(known.map(({ fingerprint }) => fingerprint));
  for (const { fingerprint, path, line } of reviews.flatMap(({ body }) => readReviewBody(body)?.findings ?? [])) {
    if (named.has(fingerprint)) continue;
    named.add(fingerprint);
    const category = fingerprint.split(".")[0] ?? "";
    const said = { title: "", said: "", severity: "minor" as const, category, reviewers: ["unknown"] };
    known.push({ fingerprint, path, line, ...said, state: "open" });
  }
  return known;
}

/** A dismissal that either knows of holds, but one by resolving ends when the thread is opened again. */
function together(state: Known["state"], row: FindingRow | undefined, thread: ReviewThread): Known["state"] {
  if (row?.state !== "dismissed" || state === "dismissed") return state;
  return row.accepted === "resolved" && !thread.isResolved ? state : "dismissed";
}

interface Stance {
  state: Known["state"];
  accepted?: Known["accepted"];
}

function stanceOf(thread: ReviewThread, dismissal: "thumbs-down" | "reply" | undefined): Stance {
  const own = thread.comments.slice(1).filter((comment) => comment.own);
  const last = own.map(({ body }) => decisionOf(body)).findLast((decision) => decision !== undefined);
  const thumbsUp = (thread.comments[0]?.thumbsUp.length ?? 0) > 0;
  const liked: Partial<Stance> = thumbsUp ? { accepted: "thumbs-up" } : {};
  if (last === "dismissed" || last === "wrong") return { state: "dismissed", accepted: "thumbs-down" };
  if (thread.isResolved)
    return last === "fixed" ? { state: "resolved", ...liked } : { state: "dismissed", accepted: "resolved" };
  if (dismissal !== undefined) return { state: "dismissed", accepted: "thumbs-down" };
  return { state: "open", ...liked };
}

/** What a comment of ours in a thread decided, by its mark. */
function decisionOf(body: string): string | undefined {
  if (body.includes(fixedStart)) return "fixed";
  if (body.includes(backStart)) return "open";
  const decision = /<!-- millwright:answer \d+ ([a-z-]+) -->\s*$/.exec(body)?.[1];
  return decision === undefined || decision === "answered" ? undefined : decision;
}

async function dismissedBy(
  thread: ReviewThread,
  mayDismiss: (login: string) => Promise<boolean>,
): Promise<"thumbs-down" | "reply" | undefined> {
  for (const login of thread.comments[0]?.thumbsDown ?? []) if (await mayDismiss(login)) return "thumbs-down";
  for (const comment of thread.comments.slice(1)) {
    if (comment.isBot || comment.edited || !declined.test(shownWords(comment))) continue;
    if (await mayDismiss(comment.author)) return "reply";
  }
  return undefined;
}

/** Without what is quoted of others. */
function shownWords({ body }: ThreadComment): string {
  return body
    .slice(0, 2_000)
    .split("\n")
    .filter((line) => !line.startsWith(">"))
    .join("\n");
}

/** Whether a person has write access, each asked once. */
function writers(octokit: ProbotOctokit, ctx: StepContext): (login: string) => Promise<boolean> {
  const known = new Map<string, Promise<boolean>>();
  return (login) => {
    const asked = known.get(login);
    if (asked !== undefined) return asked;
    if (known.size >= mostLookUps) return Promise.resolve(false);
    const answer = permissionOf(octokit, place(ctx.intent), login).then((permission) =>
      ["write", "maintain", "admin"].includes(permission),
    );
    known.set(login, answer);
    return answer;
  };
}

function severityOf(text: string | undefined): Severity {
  return Severity.safeParse(text).data ?? "minor";
}

function reviewersOf(body: string): string[] {
  const names = /<sub>([^<]{1,400})<\/sub>/.exec(body)?.[1] ?? "";
  const found = names
    .replace(/\u200b/g, "")
    .split(",")
    .map((name) => name.trim())
    .filter((name) => /^[a-z][a-z0-9-]{0,30}$/.test(name));
  return found.length === 0 ? ["unknown"] : found;
}

function plain(text: string): string {
  return text.replace(/[\s\u200b`]+/g, " ").toLowerCase();
}

/** The head up to which an earlier review has looked, from the store, else from what our App posted. */
export async function lastReviewedHead(
  deps: Deps,
  ctx: StepContext,
  { reviews }: Pick<ReviewState, "reviews">,
): Promise<{ headSha: string; whole: boolean } | undefined> {
  const row = await deps.store.reviews.last(ctx.intent.work.repositoryId, subjectNumber(ctx.intent));
  if (row !== undefined) return { headSha: row.headSha, whole: (row.content as { whole?: boolean }).whole === true };
  const posted = reviews.findLast(({ body }) => readReviewedHead(body) !== undefined);
  if (posted === undefined) return undefined;
  // Where it does not say, it is not taken for whole: nothing is green by accident.
  const whole = !/cut by its budget|not looked at|Nothing was reviewed/.test(posted.body);
  return { headSha: readReviewedHead(posted.body)!, whole };
}

/**
 * Why this run is about a head that is none any more: a later event named another one, which has a run of its own. Costs no
 * request. Deliveries may come in any order, so the events' own times are compared.
 */
export async function whySuperseded(deps: Deps, ctx: StepContext, headSha: string): Promise<string | undefined> {
  const { repositoryId } = ctx.intent.work;
  const runs = await deps.store.runs.ofSubject(repositoryId, "pull-request", subjectNumber(ctx.intent));
  const later = runs.some(
    ({ runKey, pipeline, intent }) =>
      runKey !== ctx.runKey &&
      pipeline === "review-pr" &&
      intent.trigger.kind === "state" &&
      intent.headSha !== undefined &&
      intent.headSha !== headSha &&
      Date.parse(intent.at) > Date.parse(ctx.intent.at),
  );
  return later ? "The pull request has a newer head." : undefined;
}
