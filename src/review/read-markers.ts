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
  const fingerprint = endOf(body, findingMarker, /^\S{1,100}$/);
  if (fingerprint === undefined || !isFingerprint(fingerprint)) return undefined;
  const heading = /^\*\*(Critical|Major|Minor|Nit):\*\* (.*)$/m.exec(body.slice(0, 1_000));
  return {
    fingerprint,
    severity: (heading?.[1]?.toLowerCase() ?? "minor") as Severity,
    title: (heading?.[2] ?? "").replace(/\u200b/g, "").trim(),
  };
}

/** The head that a review of ours looked at, from its body. */
export function readReviewedHead(body: string): string | undefined {
  return endOf(body, reviewMarker, /^[0-9a-f]{40}(?:[0-9a-f]{24})?$/);
}

function endOf(body: string, marker: (value: string) => string, value: RegExp): string | undefined {
  const last = body.trimEnd().split("\n").at(-1)!;
  const [start, end] = marker("\0").split("\0") as [string, string];
  const found = last.startsWith(start) && last.endsWith(end) ? last.slice(start.length, -end.length) : "";
  return value.test(found) ? found : undefined;
}
