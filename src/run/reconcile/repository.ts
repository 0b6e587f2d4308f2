import { parseCommand } from "../../handlers/command.ts";
import { type Known, whyNotHeard } from "../../handlers/handler.ts";
import { type Intent, runKeyOf, type Work, workKeyOf } from "../../pipeline/intent.ts";
import { readPlanEdit } from "../../pipeline/steps/support/plan.ts";
import { planMarker, planMarkerOf } from "../../policy/markers.ts";
import type { PullRequestRow, RunRow, Store, SweepList } from "../../store/store.ts";
import {
  fromComment,
  fromEvent,
  fromPlanEdit,
  fromReview,
  type ListedComment,
  type ListedEvent,
  type ListedReview,
  labellingsWithoutRun,
  type Place,
  unlessChanged,
} from "./found.ts";
import type { Lists } from "./lists.ts";
import { type Act, readActs } from "./subjects.ts";

/** An act that no run stands for, as far as the lists alone tell. */
export type Candidate = { at: string } & (
  | { kind: "state"; intent: Intent }
  /** `issueId`: the issue was changed after it had been labelled. */
  | { kind: "label"; intent: Intent; issueId: string | undefined }
  | { kind: "comment"; place: Place; comment: ListedComment }
  | { kind: "plan-edit"; place: Place; comment: ListedComment }
  | { kind: "review"; place: Place; review: ListedReview; branch: string }
);

/** What a repository's lists have that is new, and what to keep once it was taken care of. */
export interface Read {
  candidates: Candidate[];
  keep: SweepList[];
}

interface Where {
  lists: Lists;
  store: Store;
  place: Place;
  known: Known;
  /** What happened before is history. */
  bound: Date;
  /** Our pull requests that are open as far as we know. */
  pulls: readonly PullRequestRow[];
}

/** Reads the two lists of a repository, and the reviews of our open pull requests in it. */
export async function readRepository(where: Where): Promise<Read> {
  const { lists, bound, place, pulls } = where;
  const { id, name, owner } = place.repository;
  const base = `/repos/${owner.login}/${name}`;
  const events = await lists.newest<ListedEvent>(id, "events", `${base}/issues/events`, {
    bound,
    timeOf: (event) => event.created_at,
  });
  const comments = await lists.newest<ListedComment>(
    id,
    "comments",
    `${base}/issues/comments?sort=updated&direction=desc`,
    { bound, timeOf: (comment) => comment.updated_at, since: true },
  );
  const reviews = [];
  for (const pull of pulls) {
    const news = await lists.all<ListedReview>(id, `reviews:${pull.number}`, `${base}/pulls/${pull.number}/reviews`, {
      pick: (data) => data as ListedReview[],
      remember: false,
    });
    reviews.push({ pull, ...news });
  }
  const candidates = [
    ...(await fromEvents(where, events?.items ?? [])),
    ...(await fromComments(where, comments?.items ?? [])),
    ...(await fromReviews(where, reviews)),
  ];
  return {
    candidates: candidates.toSorted((a, b) => Date.parse(a.at) - Date.parse(b.at)),
    keep: [...(events?.keep ?? []), ...(comments?.keep ?? []), ...reviews.flatMap(({ keep }) => keep)],
  };
}

async function fromEvents(where: Where, events: readonly ListedEvent[]): Promise<Candidate[]> {
  const { store, place, known, pulls } = where;
  const branchOfPull = (number: number) => pulls.find((pull) => pull.number === number)?.branch;
  const candidates: Candidate[] = [];
  const labellings: { intent: Intent; event: ListedEvent }[] = [];
  // Newest first: of several that cancel the same, the last one counts.
  const cancelled = new Set<string>();
  for (const event of events) {
    const verdict = fromEvent(place, event, known, branchOfPull);
    if ("ignore" in verdict) continue;
    const intent = verdict.start;
    if (intent.trigger.kind === "label") {
      labellings.push({ intent, event });
      continue;
    }
    const what = `${intent.command} ${intent.work.subject.number}`;
    if (cancelled.has(what)) continue;
    cancelled.add(what);
    if (await changesSomething(where, intent)) candidates.push({ kind: "state", at: intent.at, intent });
  }
  for (const [number, ofIssue] of Map.groupBy(labellings, ({ intent }) => intent.work.subject.number ?? 0)) {
    const runs = await store.runs.ofSubject(place.repository.id, "issue", number);
    const started = runs.filter((run) => run.intent.trigger.kind === "label").map((run) => run.intent);
    for (const intent of labellingsWithoutRun(
      ofIssue.map(({ intent }) => intent),
      started,
    )) {
      const issue = ofIssue.find((one) => one.intent.id === intent.id)?.event.issue;
      const touched = Date.parse(issue?.updated_at ?? "") > Date.parse(intent.at);
      candidates.push({ kind: "label", at: intent.at, intent, issueId: touched ? issue?.node_id : undefined });
    }
  }
  return candidates;
}

/** States are compared with states: one that cancels nothing, and that we know, is no news. */
async function changesSomething({ store, pulls }: Where, intent: Intent): Promise<boolean> {
  const { work, command, at } = intent;
  if (work.subject.kind === "pull-request") return pulls.some(({ number }) => number === work.subject.number);
  const active = (await store.runs.ofWork(workKeyOf(work))).filter(
    (run) => run.state !== "ended" && run.pipeline !== "answer-command" && Date.parse(run.intent.at) <= Date.parse(at),
  );
  return active.some((run) => command === "closed" || run.intent.trigger.kind === "label");
}

async function fromComments(where: Where, comments: readonly ListedComment[]): Promise<Candidate[]> {
  const { store, place, known, bound } = where;
  const candidates: Candidate[] = [];
  let questions: Set<number> | undefined;
  for (const comment of comments) {
    const { isPull, number } = subjectOf(comment);
    if (comment.performed_via_github_app?.id === known.app.id) {
      if (await isPlanEdit(store, comment))
        candidates.push({ kind: "plan-edit", at: comment.updated_at, place, comment });
      continue;
    }
    if (comment.user == null || whyNotHeard(comment.user, known) !== undefined) continue;
    if (Date.parse(comment.created_at) < bound.getTime()) continue;
    if (parseCommand(comment.body, known.operator.shortCommands) === undefined) {
      if (isPull) continue;
      questions ??= new Set(await store.runs.openQuestions(place.repository.id));
      if (!questions.has(number)) continue;
    }
    const kind = isPull ? "pull-request" : "issue";
    if (await isKnown(store, place, { kind, number }, `comment:${comment.id}`)) continue;
    candidates.push({ kind: "comment", at: comment.created_at, place, comment });
  }
  return candidates;
}

async function fromReviews(
  { store, place, bound }: Where,
  lists: readonly { pull: PullRequestRow; items: readonly ListedReview[] }[],
): Promise<Candidate[]> {
  const candidates: Candidate[] = [];
  for (const { pull, items } of lists) {
    for (const review of items) {
      if (review.submitted_at == null || Date.parse(review.submitted_at) < bound.getTime()) continue;
      const subject = { kind: "pull-request" as const, number: pull.number };
      if (!["COMMENTED", "CHANGES_REQUESTED"].includes(review.state)) continue;
      if (await isKnown(store, place, subject, `review:${review.id}`)) continue;
      candidates.push({ kind: "review", at: review.submitted_at, place, review, branch: pull.branch });
    }
  }
  return candidates;
}

async function isKnown(store: Store, place: Place, subject: Work["subject"], id: string): Promise<boolean> {
  const { id: repositoryId, name: repo, owner } = place.repository;
  const work = { installationId: place.installationId, repositoryId, owner: owner.login, repo, subject };
  return (await store.runs.get(runKeyOf({ work, id }))) !== undefined;
}

/** Whether a plan that waits for a decision does not say any more what we posted. */
async function isPlanEdit(store: Store, comment: ListedComment): Promise<boolean> {
  const runKey = new RegExp(`${planMarker}([0-9a-f]+) `).exec(comment.body)?.[1];
  const run: RunRow | undefined = runKey === undefined ? undefined : await store.runs.get(runKey);
  if (run?.state !== "waiting-decision") return false;
  const revision = await store.notes.get(run.runKey, "plan-revision");
  if (revision === undefined || !comment.body.includes(planMarkerOf(run.runKey, Number(revision)))) return false;
  const posted = await store.notes.get(run.runKey, `plan-text:${revision}`);
  const text = posted === undefined ? undefined : await store.blobs.text(posted);
  return text !== undefined && readPlanEdit(comment.body, text).kind !== "nothing";
}

/** What the candidates of many repositories mean, by one question about the subjects that lists do not show. */
export async function settle(options: {
  lists: Lists;
  candidates: readonly Candidate[];
  known: Known;
}): Promise<Map<Candidate, Intent>> {
  const { candidates, known } = options;
  const comments = candidates.filter((one) => one.kind === "comment" || one.kind === "plan-edit");
  const acts = await readActs(options.lists, {
    issues: candidates.flatMap((one) => (one.kind === "label" && one.issueId !== undefined ? [one.issueId] : [])),
    issueComments: comments.flatMap(({ comment }) => (subjectOf(comment).isPull ? [] : [comment.node_id])),
    pullComments: comments.flatMap(({ comment }) => (subjectOf(comment).isPull ? [comment.node_id] : [])),
    reviews: candidates.flatMap((one) => (one.kind === "review" ? [one.review.node_id] : [])),
  });
  const intents = new Map<Candidate, Intent>();
  for (const candidate of candidates) {
    const intent = intentOf(candidate, acts, known);
    if (intent !== undefined) intents.set(candidate, intent);
  }
  return intents;
}

function intentOf(candidate: Candidate, acts: ReadonlyMap<string, Act>, known: Known): Intent | undefined {
  switch (candidate.kind) {
    case "state":
      return candidate.intent;
    case "label": {
      if (candidate.issueId === undefined) return candidate.intent;
      const act = acts.get(candidate.issueId);
      return act && unlessChanged(candidate.intent, { subjectEditedAt: act.subject.editedAt });
    }
    case "comment": {
      const act = acts.get(candidate.comment.node_id);
      const verdict = act && fromComment(candidate.place, candidate.comment, act.subject, known);
      return act && verdict && "start" in verdict ? unlessChanged(verdict.start, timesOf(act)) : undefined;
    }
    case "plan-edit": {
      const act = acts.get(candidate.comment.node_id);
      if (act?.editor === undefined) return undefined;
      const verdict = fromPlanEdit(candidate.place, candidate.comment, act.subject, act.editor, known);
      return "start" in verdict ? verdict.start : undefined;
    }
    case "review": {
      const act = acts.get(candidate.review.node_id);
      const verdict = act && fromReview(candidate.place, candidate.review, act.subject, candidate.branch, known);
      return act && verdict && "start" in verdict ? unlessChanged(verdict.start, timesOf(act)) : undefined;
    }
  }
}

function timesOf(act: Act): { actEditedAt: string | undefined; subjectEditedAt: string | undefined } {
  return { actEditedAt: act.actEditedAt, subjectEditedAt: act.subject.editedAt };
}

/** Its page tells what a comment belongs to. */
function subjectOf({ html_url }: ListedComment): { isPull: boolean; number: number } {
  const [, kind, number] = /\/(issues|pull)\/(\d+)(?:#|$)/.exec(html_url) ?? [];
  return { isPull: kind === "pull", number: Number(number ?? 0) };
}
