import { byPlace, type Category, type Finding, type Severity, severities } from "./finding.ts";
import type { Fingerprint } from "./fingerprint.ts";
import type { MergedFinding } from "./merge.ts";

/** Why a finding is not shown. */
export const suppressions = ["refuted", "dismissed", "already-said", "below-floor", "over-limit", "duplicate"] as const;
export type Suppression = (typeof suppressions)[number];

/** What is known about a finding before some are chosen. */
export interface Candidate extends MergedFinding {
  fingerprint: Fingerprint;
  /** The verifier's reason, where it could show that the finding is wrong. */
  refuted?: string;
  /** How an earlier review's finding stands that this one was recognised as. */
  known?: "open" | "dismissed";
}

export interface Selection {
  /** The most important first; those without a place in the diff are told in the review's body. */
  inline: Candidate[];
  inBody: Candidate[];
  suppressed: { candidate: Candidate; reason: Exclude<Suppression, "duplicate"> }[];
  /** How many findings each reason kept back, the duplicates of all candidates included. */
  counts: Record<Suppression, number>;
}

const weights: Record<Severity, number> = { critical: 8, major: 4, minor: 2, nit: 1 };

/** A defect of equal weight that harms people goes before one that harms the code. */
const categoryWeights: Record<Category, number> = {
  security: 1.3,
  correctness: 1.2,
  performance: 1,
  architecture: 0.9,
  maintainability: 0.8,
  tests: 0.8,
  documentation: 0.7,
};

/** How much a finding matters: severity × confidence × category. */
export function importance({ severity, confidence, category }: Finding): number {
  return weights[severity] * (confidence / 100) * categoryWeights[category];
}

/**
 * Chooses at most `maxFindings` of severity `severityFloor` or worse, by importance, which were neither refuted nor said
 * before (R3, R6). Every other one is counted with the first reason that applies. Independent of the order given.
 */
export function selectFindings(
  candidates: readonly Candidate[],
  { severityFloor, maxFindings }: { severityFloor: Severity; maxFindings: number },
): Selection {
  const selection: Selection = {
    inline: [],
    inBody: [],
    suppressed: [],
    counts: { refuted: 0, dismissed: 0, "already-said": 0, "below-floor": 0, "over-limit": 0, duplicate: 0 },
  };
  const ordered = candidates.toSorted(
    (a, b) => importance(b.finding) - importance(a.finding) || byPlace(a.finding, b.finding),
  );
  let shown = 0;
  for (const candidate of ordered) {
    selection.counts.duplicate += candidate.duplicates.length;
    const reason = reasonAgainst(candidate, severityFloor) ?? (shown >= maxFindings ? "over-limit" : undefined);
    if (reason !== undefined) {
      selection.suppressed.push({ candidate, reason });
      selection.counts[reason] += 1;
      continue;
    }
    shown += 1;
    (candidate.anchor.kind === "anchored" ? selection.inline : selection.inBody).push(candidate);
  }
  return selection;
}

function reasonAgainst({ refuted, known, finding }: Candidate, floor: Severity) {
  if (refuted !== undefined) return "refuted";
  if (known === "dismissed") return "dismissed";
  if (known === "open") return "already-said";
  return severities.indexOf(finding.severity) > severities.indexOf(floor) ? "below-floor" : undefined;
}
