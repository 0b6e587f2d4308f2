import { createHash } from "node:crypto";

/** An asynchronous Lambda event may have 1 MB; what is larger is refused with one comment. */
export const maxIntentBytes = 900_000;

/** What of a piece of work names it. */
interface NamedWork {
  repositoryId: number;
  subject: { kind: string; number?: number };
}

/** Names the run, for ever, and its status comment: 20 hex digits. */
export function runKeyOf(intent: { work: NamedWork; id: string }): string {
  const { subject, repositoryId } = intent.work;
  return hash(repositoryId, subject.kind, subject.number ?? 0, intent.id);
}

/** Names the branch and the pull request of a piece of work: 20 hex digits, the same for retries and iterations. */
export function workKeyOf(work: NamedWork): string {
  return hash(work.repositoryId, work.subject.kind, work.subject.number ?? 0);
}

function hash(...parts: (string | number)[]): string {
  return createHash("sha256").update(JSON.stringify(parts)).digest("hex").slice(0, 20);
}
