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
  "fixed",
  "offered",
  "escalated",
  "reviewed",
  "nothing-to-say",
]);
export type OutcomeKind = z.infer<typeof OutcomeKind>;

/** `reason` is one plain sentence for people; `detail` is Markdown: what was tried, the evidence, what to do next. */
export const Outcome = z.object({
  kind: OutcomeKind,
  reason: z.string(),
  detail: z.string().optional(),
  pullRequest: z.object({ number: z.number().int(), url: z.string() }).optional(),
  /** How the check run ends that is the voice of a run without a status comment; neutral unless said: nothing is green by accident. */
  check: z
    .object({
      conclusion: z.enum(["success", "neutral", "failure", "action_required"]),
      title: z.string().max(120).optional(),
      buttons: z.array(z.enum(["apply", "reject", "rerun", "explain"])).max(3),
    })
    .optional(),
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
  fixed: { title: "Fixed", emoji: "✅", label: undefined },
  offered: { title: "A fix is offered", emoji: "🩹", label: undefined },
  escalated: { title: "Handed over to a person", emoji: "🙋", label: undefined },
  reviewed: { title: "Reviewed", emoji: "🔎", label: undefined },
  "nothing-to-say": { title: "Nothing to say", emoji: "👌", label: undefined },
};
