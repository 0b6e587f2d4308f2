import { z } from "zod";

/** From worst to least: `nit` is a matter of taste. */
export const severities = ["critical", "major", "minor", "nit"] as const;
export const Severity = z.enum(severities);
export type Severity = z.infer<typeof Severity>;

/** What a finding is about, whoever found it. */
export const categories = [
  "correctness",
  "security",
  "performance",
  "architecture",
  "maintainability",
  "tests",
  "documentation",
] as const;
export const Category = z.enum(categories);
export type Category = z.infer<typeof Category>;

/** What a change is scored in, from 1 to 10 (R5). */
export const dimensions = [
  "correctness",
  "security",
  "performance",
  "maintainability",
  "tests",
  "documentation",
] as const;
export type Dimension = (typeof dimensions)[number];

const line = z.int().min(1).max(10_000_000);

/** One finding as a reviewer reports it: model output, so every size is limited. */
const ReportedFinding = z.object({
  category: Category,
  severity: Severity.meta({
    description:
      "critical: data loss, a security hole or an outage; major: wrong behaviour that users meet; minor: wrong in rare cases, or costly; nit: taste.",
  }),
  confidence: z.int().min(0).max(100).meta({ description: "How sure you are that the scenario really happens." }),
  path: z.string().min(1).max(1_000).meta({ description: "The file, as the diff names its new side." }),
  line: line.meta({ description: "The first line it is about, as numbered in the new file." }),
  endLine: line
    .optional()
    .meta({ description: "The last line, where it is about several or `suggestion` replaces several." }),
  quote: z
    .string()
    .max(2_000)
    .meta({ description: "The line or lines it is about, copied from the new file without the diff's signs." }),
  rule: z
    .string()
    .max(60)
    .optional()
    .meta({ description: "The kind of defect in two or three words joined by dashes: sql-injection, missing-await." }),
  title: z.string().min(1).max(200).meta({ description: "The defect in one short sentence, without a full stop." }),
  scenario: z.string().min(1).max(2_000).meta({
    description: "With which input or state it fails, and what then happens. Concrete, two to four sentences.",
  }),
  suggestion: z.string().max(6_000).optional().meta({
    description:
      "What replaces the lines from `line` to `endLine`, complete and indented as in the file; empty to delete them. Only where it is the whole repair.",
  }),
});
export type ReportedFinding = z.infer<typeof ReportedFinding>;

/** A finding with who reported it: `security`, `performance`, `quality`, `architecture` or a repository's own reviewer. */
export const Finding = ReportedFinding.extend({ reviewer: z.string().min(1).max(100) });
export type Finding = z.infer<typeof Finding>;

/** One score for each dimension, and one over all. */
export function scoresOf<S extends z.ZodType>(score: S) {
  return z.object({
    correctness: score,
    security: score,
    performance: score,
    maintainability: score,
    tests: score,
    documentation: score,
    overall: score,
  });
}

/** A reviewer's scores; null for what it did not look at. */
export const ReviewerScores = scoresOf(z.int().min(1).max(10).nullable());
export type ReviewerScores = z.infer<typeof ReviewerScores>;

/** What one reviewer answers for one group of files. */
export const ReviewerAnswer = z.object({
  findings: z
    .array(ReportedFinding)
    .max(20)
    .meta({ description: "The most important first; none where nothing is wrong." }),
  scores: ReviewerScores.meta({
    description: "1 (do not merge) to 10 (nothing to add) for what you looked at; null for everything else.",
  }),
});
export type ReviewerAnswer = z.infer<typeof ReviewerAnswer>;

/** An order that depends on nothing but the findings: by place, then by their words. */
export function byPlace(a: Finding, b: Finding): number {
  return (
    compare(a.path, b.path) ||
    a.line - b.line ||
    (a.endLine ?? a.line) - (b.endLine ?? b.line) ||
    compare(a.title, b.title) ||
    compare(a.reviewer, b.reviewer) ||
    compare(JSON.stringify(sorted(a)), JSON.stringify(sorted(b)))
  );
}

function sorted(finding: Finding): [string, unknown][] {
  return Object.entries(finding).sort(([a], [b]) => compare(a, b));
}

/** By code units, which is the same on every machine. */
export function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
