import { findingMarker, reviewMarker } from "../policy/markers.ts";
import type { Severity } from "./finding.ts";
import { type Fingerprint, isFingerprint } from "./fingerprint.ts";

/** What an inline comment of ours says about itself, so that GitHub alone is enough to go on (R6). */
export interface ReadComment {
  fingerprint: Fingerprint;
  severity: Severity;
  title: string;
}

/**
 * Reads a comment that `renderComment` made; undefined for every other. The marker counts only as the last line, because a
 * suggestion's text may look like one. Whoever calls asks first whether our own App wrote the comment.
 */
export function readComment(body: string): ReadComment | undefined {
  const fingerprint = markedIn(body.trimEnd().split("\n").at(-1)!, findingMarker);
  if (fingerprint === undefined || !isFingerprint(fingerprint)) return undefined;
  const heading = /^\*\*(Critical|Major|Minor|Nit):\*\* (.*)$/m.exec(body.slice(0, 1_000));
  return {
    fingerprint,
    severity: (heading?.[1]?.toLowerCase() ?? "minor") as Severity,
    title: (heading?.[2] ?? "").replace(/\u200b/g, "").trim(),
  };
}

/** What a review's body says: which head was looked at, and which findings have no comment of their own. */
export interface ReadReview {
  headSha: string;
  /** A path that was too long to be kept is empty. */
  findings: { fingerprint: Fingerprint; path: string; line: number }[];
}

/** Reads a body that `renderReviewBody` made; undefined for every other. */
export function readReviewBody(body: string): ReadReview | undefined {
  const lines = body.trimEnd().split("\n");
  const headSha = markedIn(lines.pop()!, reviewMarker);
  if (headSha === undefined || !/^(?:[0-9a-f]{40}|[0-9a-f]{64})$/.test(headSha)) return undefined;
  const findings: ReadReview["findings"] = [];
  for (;;) {
    const [fingerprint = "", line = "", path = ""] = (markedIn(lines.pop() ?? "", findingMarker) ?? "").split(" ");
    const decoded = decode(path);
    if (!isFingerprint(fingerprint) || !/^\d{1,8}$/.test(line) || decoded === undefined)
      return { headSha, findings: findings.reverse() };
    findings.push({ fingerprint, line: Number(line), path: decoded });
  }
}

/** The head that a review of ours looked at, from its body. */
export function readReviewedHead(body: string): string | undefined {
  return readReviewBody(body)?.headSha;
}

function decode(path: string): string | undefined {
  try {
    return decodeURIComponent(path);
  } catch {
    return undefined;
  }
}

/** What stands in a line that is one marker and nothing else. */
function markedIn(line: string, marker: (value: string) => string): string | undefined {
  const [start, end] = marker("\0").split("\0") as [string, string];
  const text = line.trim();
  return text.startsWith(start) && text.endsWith(end) && text.length > start.length + end.length
    ? text.slice(start.length, -end.length)
    : undefined;
}
