import { z } from "zod";

/** Every path ends in one of these. */
export const OutcomeKind = z.enum([
  "ready",
  "draft",
  "question",
  "no-change-needed",
  "failed",
  "cancelled",
  "superseded",
  "refused",
  "answered",
]);
export type OutcomeKind = z.infer<typeof OutcomeKind>;

/** `reason` is one plain sentence for people; `detail` is Markdown: what was tried, the evidence, what to do next. */
export const Outcome = z.object({
  kind: OutcomeKind,
  reason: z.string(),
  detail: z.string().optional(),
  pullRequest: z.object({ number: z.number().int(), url: z.string() }).optional(),
});
export type Outcome = z.infer<typeof Outcome>;

interface Ending {
  title: string;
  emoji: string;
  /** Which of the configured labels is added; the trigger label is always removed. */
  label: "done" | "needsReview" | "needsInfo" | "failed" | undefined;
}

/** The one table of endings (B16). */
export const endings: Record<OutcomeKind, Ending> = {
  ready: { title: "Pull request is ready for review", emoji: "✅", label: "done" },
  draft: { title: "Draft pull request: needs a person", emoji: "🟡", label: "needsReview" },
  question: { title: "A question first", emoji: "❓", label: "needsInfo" },
  "no-change-needed": { title: "No change is needed", emoji: "☑️", label: "done" },
  failed: { title: "Failed", emoji: "❌", label: "failed" },
  cancelled: { title: "Stopped", emoji: "⏹️", label: undefined },
  superseded: { title: "Superseded by a newer request", emoji: "⏭️", label: undefined },
  refused: { title: "Not started", emoji: "🚫", label: undefined },
  answered: { title: "Answered", emoji: "💬", label: undefined },
};
