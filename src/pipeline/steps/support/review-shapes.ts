import { z } from "zod";
import { Finding, ReviewerAnswer, Severity, scoresOf } from "../../../review/finding.ts";
import { leftOutReasons } from "../../../review/group-files.ts";

/** A finding of an earlier review of this pull request, from its thread, the store, or both (R6). */
export const Known = z.object({
  fingerprint: z.string(),
  path: z.string(),
  line: z.number().int().optional(),
  title: z.string(),
  /** What it said, for the verifier. */
  said: z.string(),
  severity: Severity,
  category: z.string(),
  reviewers: z.array(z.string()),
  state: z.enum(["open", "resolved", "dismissed"]),
  threadId: z.string().optional(),
  commentId: z.number().int().optional(),
  accepted: z.enum(["thumbs-up", "thumbs-down", "resolved", "changed-line"]).optional(),
});
export type Known = z.infer<typeof Known>;

const LeftOut = z.object({ path: z.string(), reason: z.enum(leftOutReasons) });

/** What `read-changes` files: all that the later steps need besides the groups. */
export const ChangesText = z.object({
  known: z.array(Known),
  leftOut: z.array(LeftOut),
  filesLookedAt: z.number().int(),
  /** Up to here an earlier review has looked. */
  sinceSha: z.string().optional(),
  /** Whether that earlier review looked at everything. */
  wholeBefore: z.boolean(),
  changedInstructions: z.array(z.string()),
});
export type ChangesText = z.infer<typeof ChangesText>;

const Part = z.object({ from: z.number().int(), to: z.number().int(), lines: z.array(z.string()) });

/** One group of files as all reviewers see it. */
export const GroupText = z.object({
  files: z.array(
    z.object({ path: z.string(), previousPath: z.string().optional(), status: z.string(), parts: z.array(Part) }),
  ),
  related: z.array(z.object({ path: z.string(), why: z.string(), lines: z.array(z.string()) })),
});
export type GroupText = z.infer<typeof GroupText>;

/** What one reviewer said of one group. */
export const ReviewerText = z.object({ reviewer: z.string(), weight: z.number(), answer: ReviewerAnswer });

const Suggestion = z.object({ lines: z.array(z.string()), eol: z.enum(["\n", "\r\n"]) });

/** A finding that is to be shown, or that is kept back for a reason. */
export const Judged = z.object({
  finding: Finding,
  fingerprint: z.string(),
  reviewers: z.array(z.string()),
  duplicates: z.array(Finding),
  anchor: z.discriminatedUnion("kind", [
    z.object({
      kind: z.literal("anchored"),
      path: z.string(),
      startLine: z.number().int(),
      line: z.number().int(),
      moved: z.boolean(),
      cut: z.boolean(),
      text: z.array(z.string()),
    }),
    z.object({
      kind: z.literal("unanchored"),
      reason: z.enum(["not-in-diff", "no-lines", "quote-not-found", "removed-line"]),
    }),
  ]),
  suggestion: Suggestion.optional(),
});
export type Judged = z.infer<typeof Judged>;

const reasons = ["refuted", "dismissed", "already-said", "below-floor", "over-limit"] as const;

/** What `verify-findings` files: what is going to be posted. */
export const VerifiedText = z.object({
  inline: z.array(Judged),
  inBody: z.array(Judged),
  suppressed: z.array(z.object({ candidate: Judged, reason: z.enum(reasons) })),
  counts: z.record(z.enum([...reasons, "duplicate"]), z.number().int()),
  scores: scoresOf(z.union([z.number(), z.literal("not-scored")])),
  /** Why the review is not whole, in one sentence for each reason; each once. */
  cuts: z.array(z.string()),
  /** Earlier findings that the change repaired, by fingerprint. */
  fixed: z.array(z.string()),
  /** Earlier findings that were repaired and are back. */
  reopened: z.array(z.string()),
});
export type VerifiedText = z.infer<typeof VerifiedText>;
