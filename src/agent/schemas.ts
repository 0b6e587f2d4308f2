import { z } from "zod";
import { FailureCategory } from "../config/repository.ts";

const line = z.string().max(2_000);

/** The types of a conventional commit that a change can have. */
const CommitType = z.enum(["feat", "fix", "docs", "refactor", "perf", "test", "build", "ci", "chore", "style"]);

/** What the model makes of an issue before anything is written (B7). Limits of length are checked here, not by the provider. */
export const Analysis = z.object({
  summary: line.meta({ description: "What is asked and why, in two or three sentences." }),
  acceptanceCriteria: z
    .array(line)
    .max(20)
    .meta({ description: "What must hold when it is done; each can be checked." }),
  relevantFiles: z
    .array(z.object({ path: z.string().max(400), reason: line }))
    .max(40)
    .meta({ description: "Files to read or change, relative to the repository's root; most important first." }),
  plan: z.array(line).max(20).meta({ description: "Steps of the change, in order. The tests are one of them." }),
  commitType: CommitType,
  commitScope: z
    .string()
    .max(40)
    .optional()
    .meta({ description: "The part of the code, one word, where the repository's commits name one." }),
  title: z
    .string()
    .min(1)
    .max(120)
    .meta({ description: "Subject of the commit without type and scope: imperative, lower case, no full stop." }),
  size: z
    .enum(["small", "medium", "large"])
    .meta({ description: "small: up to about 50 changed lines; medium: up to 300; large: more." }),
  risk: z.enum(["low", "medium", "high"]),
  riskReason: line,
  openQuestions: z
    .array(line)
    .max(5)
    .meta({ description: "Only questions without whose answer the work cannot be done." }),
  doable: z.enum(["yes", "needs-answers", "already-done"]),
  alreadyDoneEvidence: line.optional().meta({ description: "With already-done: the file and the lines that show it." }),
});
export type Analysis = z.infer<typeof Analysis>;

/** What the model makes of a failed check (F4). */
export const FailureAnalysis = z.object({
  category: FailureCategory.meta({ description: "What kind of failure it is." }),
  rootCause: line.meta({ description: "Why it fails, in one to three sentences that name file and symbol." }),
  evidence: z
    .array(z.string().min(1).max(400))
    .min(1)
    .max(5)
    .meta({ description: "Quotes that show it, copied letter by letter from the log." }),
  confidence: z.number().int().min(0).max(100).meta({ description: "How sure you are of the root cause." }),
  fixable: z.boolean().meta({ description: "Whether a change of files in this repository can mend it." }),
  strategy: line.meta({ description: "What to change to mend it, or what a person has to do." }),
  complexity: z.enum(["trivial", "small", "large"]),
  files: z.array(z.string().max(400)).max(20).meta({ description: "Files to change, most important first." }),
  title: z
    .string()
    .min(1)
    .max(120)
    .meta({ description: "Subject of the commit without type and scope: imperative, lower case, no full stop." }),
});
export type FailureAnalysis = z.infer<typeof FailureAnalysis>;

/** What the verifier makes of findings (R3). */
export const VerifierAnswer = z.object({
  verdicts: z
    .array(
      z.object({
        id: z.string().max(10),
        verdict: z.enum(["holds", "refuted", "fixed", "still-there"]),
        reason: z
          .string()
          .max(1_000)
          .meta({ description: "One sentence that names the line or fact that decided it." }),
        scenario: z
          .string()
          .max(2_000)
          .optional()
          .meta({ description: "With holds: with which input or state it fails, and what then happens." }),
        severity: z
          .enum(["critical", "major", "minor", "nit"])
          .optional()
          .meta({ description: "Where it is lower than claimed." }),
        duplicateOf: z
          .string()
          .max(10)
          .optional()
          .meta({ description: "The id of the finding that says the same better." }),
      }),
    )
    .max(100)
    .meta({ description: "One for each finding, new and earlier." }),
});

/** What follows from a reply to one of our findings (R6). */
export const ReplyAnswer = z.object({
  decision: z.enum(["dismissed", "wrong", "fixed", "not-fixed", "answered", "nothing"]),
  text: z.string().max(3_000).optional().meta({ description: "What is posted; left out with nothing." }),
});
