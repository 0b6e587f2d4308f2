import { commentEdited } from "../../handlers/comment-edited.ts";
import type {
  Delivered,
  Known,
  PayloadRepository,
  SeenComment,
  SeenIssue,
  SeenUser,
  Verdict,
} from "../../handlers/handler.ts";
import { issueClosed } from "../../handlers/issue-closed.ts";
import { issueCommented } from "../../handlers/issue-commented.ts";
import { issueLabeled } from "../../handlers/issue-labeled.ts";
import { pullRequestClosed } from "../../handlers/pull-request-closed.ts";
import { instead } from "../../handlers/receive.ts";
import { reviewSubmitted, type SeenReview } from "../../handlers/review-submitted.ts";
import { foundDelivery, type Intent } from "../../pipeline/intent.ts";

// Pure decisions: what GitHub lists becomes the payload that the webhook would have had, and the same handler says what
// it means. Acts that a webhook told already have the same id, so that finding them again is harmless; nothing has to be
// old enough before it is looked at.

/** The repository that is looked at. */
export interface Place {
  installationId: number;
  repository: PayloadRepository;
}

/** One entry of `GET /repos/{owner}/{repo}/issues/events`. */
export interface ListedEvent {
  event: string;
  created_at: string;
  actor?: SeenUser | null;
  label?: { name?: string | null };
  issue?: (SeenIssue & { node_id: string; pull_request?: { merged_at?: string | null } | null }) | null;
}

/** One entry of `GET /repos/{owner}/{repo}/issues/comments`. */
export type ListedComment = SeenComment & { html_url: string; user?: SeenUser | null };

/** One entry of `GET /repos/{owner}/{repo}/pulls/{number}/reviews`. */
export type ListedReview = SeenReview & { user?: SeenUser | null };

/** What a list does not say about the issue or pull request below a comment or a review. */
export interface Subject {
  number: number;
  title: string;
  body: string;
  state: string;
  labels: { name: string }[];
  author: SeenUser | null;
  isPull: boolean;
  /** The last change of title or body; undefined when there was none. */
  editedAt: string | undefined;
}

/** What a label, an unlabelling or a closing means, whether or not a webhook told it. */
export function fromEvent(
  place: Place,
  event: ListedEvent,
  known: Known,
  ourBranchOf: (pullNumber: number) => string | undefined,
): Verdict {
  const { issue, actor, created_at: at } = event;
  if (issue == null || actor == null) return { ignore: "nobody's act" };
  const ours = known.operator.labels.trigger;
  const has = issue.labels?.some(({ name }) => name === ours) === true;
  switch (event.event) {
    case "labeled":
      if (!has) return { ignore: "the label is gone" };
      return found(place, actor, issueLabeled, known, {
        issue: { ...issue, updated_at: at },
        label: { name: event.label?.name ?? "" },
      });
    case "unlabeled":
      if (has) return { ignore: "the label is there again" };
      return found(place, actor, issueClosed, known, {
        action: "unlabeled" as const,
        issue: { ...issue, updated_at: at },
        label: { name: event.label?.name ?? "" },
      });
    case "closed":
      if (issue.state !== "closed") return { ignore: "open again" };
      if (issue.pull_request == null)
        return found(place, actor, issueClosed, known, { action: "closed" as const, issue });
      return found(place, actor, pullRequestClosed, known, {
        pull_request: {
          number: issue.number,
          title: issue.title,
          state: issue.state,
          merged: issue.pull_request.merged_at != null,
          updated_at: issue.updated_at,
          closed_at: issue.closed_at,
          head: { ref: ourBranchOf(issue.number) ?? "", repo: { id: place.repository.id } },
        },
      });
    default:
      return { ignore: "another event" };
  }
}

/** The labellings that no run stands for, each with the ids of runs that stand for others: one run, one labelling. */
export function labellingsWithoutRun(
  labellings: readonly Intent[],
  runs: readonly Pick<Intent, "id" | "at">[],
): Intent[] {
  const byTime = labellings.toSorted((a, b) => Date.parse(a.at) - Date.parse(b.at));
  const free = new Map(runs.map((run) => [run.id, run]));
  const claimed: string[] = [];
  const claim = (id: string | undefined): boolean => {
    if (id === undefined || !free.delete(id)) return false;
    claimed.push(id);
    return true;
  };
  const rest = byTime.filter((labelling) => !claim(labelling.id));
  const without = rest.filter((labelling) => {
    const distance = (run: Pick<Intent, "at">) => Math.abs(Date.parse(run.at) - Date.parse(labelling.at));
    const near = [...free.values()].filter((run) => distance(run) <= 5_000);
    return !claim(near.toSorted((a, b) => distance(a) - distance(b))[0]?.id);
  });
  return without.map((labelling) =>
    claimed.length === 0 || labelling.trigger.kind !== "label"
      ? labelling
      : { ...labelling, trigger: { ...labelling.trigger, besides: claimed } },
  );
}

/** What a comment means once its subject is known. */
export function fromComment(place: Place, comment: ListedComment, subject: Subject, known: Known): Verdict {
  if (comment.user == null) return { ignore: "nobody's comment" };
  return found(place, comment.user, issueCommented, known, { comment, issue: issueOf(subject) });
}

/** What an edit of our plan by a person means. */
export function fromPlanEdit(
  place: Place,
  comment: ListedComment,
  subject: Pick<Subject, "number" | "title">,
  editor: SeenUser,
  known: Known,
): Verdict {
  return found(place, editor, commentEdited, known, { comment, issue: subject });
}

/** What a submitted review means once its pull request is known. */
export function fromReview(
  place: Place,
  review: ListedReview,
  subject: Subject,
  branch: string,
  known: Known,
): Verdict {
  if (review.user == null) return { ignore: "nobody's review" };
  return found(place, review.user, reviewSubmitted, known, {
    // Webhooks have the state in lower case, lists do not.
    review: { ...review, state: review.state.toLowerCase() },
    pull_request: {
      number: subject.number,
      title: subject.title,
      body: subject.body,
      state: subject.state,
      updated_at: review.submitted_at ?? "",
      head: { ref: branch, repo: { id: place.repository.id } },
    },
  });
}

/**
 * The intent as it may be started: an intent from a webhook has its text from a signed payload, this one has the text as
 * it is now. Where that was changed after somebody had asked, it is answered with "please trigger again" (M4). Times have
 * whole seconds: a change within the second of the act counts as before it.
 */
export function unlessChanged(intent: Intent, changes: { actEditedAt?: string; subjectEditedAt?: string }): Intent {
  const after = (time: string | undefined) => time !== undefined && Date.parse(time) > Date.parse(intent.at);
  // A control word is carried out without reading the issue.
  const readsSubject = intent.pipeline !== "answer-command";
  const changed = after(changes.actEditedAt) || (readsSubject && after(changes.subjectEditedAt));
  return changed ? instead(intent, "changed") : intent;
}

function issueOf(subject: Subject): SeenIssue {
  const { number, title, body, state, labels, author, isPull } = subject;
  return { number, title, body, state, labels, user: author, updated_at: "", ...(isPull && { pull_request: {} }) };
}

function found<P>(
  place: Place,
  sender: SeenUser,
  handler: (event: Delivered<P>, known: Known) => Verdict,
  known: Known,
  payload: P,
): Verdict {
  const { installationId, repository } = place;
  const event = { ...payload, sender, repository, installation: { id: installationId } };
  const verdict = handler({ id: "", payload: event }, known);
  if ("ignore" in verdict) return verdict;
  return { start: { ...verdict.start, deliveryId: foundDelivery(verdict.start.id) } };
}
