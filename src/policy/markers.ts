/**
 * Hidden marks by which we find our own comments again. A marker can be forged by anyone, so only objects that our own
 * App created count (architecture.md rule 1).
 */
export function statusMarker(runKey: string): string {
  return `<!-- millwright:status ${runKey} -->`;
}

export const planMarker = "<!-- millwright:plan ";

export function planMarkerOf(runKey: string, revision: number): string {
  return `${planMarker}${runKey} ${revision} -->`;
}

export function replyMarker(runKey: string, subject: string): string {
  return `<!-- millwright:reply ${runKey} ${subject} -->`;
}

/** Ends an inline comment of a review; the fingerprint knows the finding again after the next push. */
export function findingMarker(fingerprint: string): string {
  return `<!-- millwright:finding ${fingerprint} -->`;
}

/** Ends a review's body: which head was reviewed, so that the next review begins there. */
export function reviewMarker(headSha: string): string {
  return `<!-- millwright:review ${headSha} -->`;
}

/** Whether a branch is in the name space that only Millwright writes to. */
export function ourBranch(ref: string): boolean {
  return ref.startsWith("millwright/");
}

/** The identifier of the button that lets a pull request's CI run (security.md M13). */
export const approveCiAction = "approve-ci";

/** The note of a run whose pushed branch is gone, belongs to somebody else or is being removed. */
export const branchSettled = "branch-settled";
