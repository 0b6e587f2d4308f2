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

/**
 * Ends an inline comment of a review, and a review's body once for each finding that has no comment of its own and so says
 * its place here. The fingerprint knows the finding again after the next push.
 */
export function findingMarker(fingerprint: string, place?: { path: string; line: number }): string {
  if (place === undefined) return `<!-- millwright:finding ${fingerprint} -->`;
  // A comment ends at the first `-->`; a path that would fill the body is not said.
  const path = encodeURIComponent(place.path.toWellFormed()).replaceAll("-", "%2D");
  return `<!-- millwright:finding ${fingerprint} ${place.line} ${path.length > 500 ? "" : path} -->`;
}

/** Ends a review's body: which head was reviewed, so that the next review begins there. */
export function reviewMarker(headSha: string): string {
  return `<!-- millwright:review ${headSha} -->`;
}

/** In our note on a thread whose finding was repaired, before the thread is resolved. */
export function fixedMarker(headSha: string): string {
  return `${fixedStart}${headSha} -->`;
}
export const fixedStart = "<!-- millwright:fixed ";

/** In our note on a thread that is open again because the finding is back. */
export function backMarker(headSha: string): string {
  return `${backStart}${headSha} -->`;
}
export const backStart = "<!-- millwright:back ";

/** Ends our answer to a reply: to which comment, and what was decided. */
export function answerMarker(commentId: number, decision: string): string {
  return `<!-- millwright:answer ${commentId} ${decision} -->`;
}

/** At most one comment about fixes for each head of a pull request. */
export function fixMarker(headSha: string): string {
  return `<!-- millwright:fix ${headSha} -->`;
}

/** Whether a branch is in the name space that only Millwright writes to. */
export function ourBranch(ref: string): boolean {
  return ref.startsWith("millwright/");
}

/** The identifier of the button that lets a pull request's CI run (security.md M13). */
export const approveCiAction = "approve-ci";

/** The identifiers of the buttons of a check run about a fix (F8). */
export const checkActions = {
  apply: "apply-fix",
  reject: "reject-fix",
  rerun: "rerun-check",
  explain: "explain-check",
} as const;

/** The note of a run whose pushed branch is gone, belongs to somebody else or is being removed. */
export const branchSettled = "branch-settled";
