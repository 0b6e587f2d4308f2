import type { Anchor } from "../../src/review/anchor.ts";
import type { Finding } from "../../src/review/finding.ts";
import type { PlacedFinding } from "../../src/review/merge.ts";
import type { Candidate } from "../../src/review/select.ts";

/** A finding that says nothing special. */
export function finding(values: Partial<Finding> = {}): Finding {
  return {
    reviewer: "quality",
    category: "correctness",
    severity: "minor",
    confidence: 80,
    path: "src/a.ts",
    line: 10,
    quote: "call(x)",
    title: "The result is not awaited",
    scenario: "When `call` rejects, nobody handles it and the process ends.",
    ...values,
  };
}

/** Anchored where it says. */
export function placed(values: Partial<Finding> = {}, anchor?: Anchor): PlacedFinding {
  const one = finding(values);
  const line = one.endLine ?? one.line;
  return {
    finding: one,
    anchor: anchor ?? {
      kind: "anchored",
      path: one.path,
      startLine: one.line,
      line,
      moved: false,
      cut: false,
      text: [],
    },
  };
}

export function candidate(values: Partial<Finding> = {}, more: Partial<Candidate> = {}): Candidate {
  const one = placed(values, more.anchor);
  const fingerprint = `${one.finding.category}.0123456789ab.01234567.89abcdef`;
  return { ...one, reviewers: [one.finding.reviewer], duplicates: [], fingerprint, ...more };
}
