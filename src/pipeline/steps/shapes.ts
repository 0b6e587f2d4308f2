import { z } from "zod";
import { Analysis, FailureAnalysis } from "../../agent/schemas.ts";
import { Outcome } from "../outcome.ts";

/** A step that found an expected ending says so as a value; the pipeline passes it on. */
export const Ended = z.object({ kind: z.literal("ended"), outcome: Outcome });
export type Ended = z.infer<typeof Ended>;

export function ended(outcome: Outcome): Ended {
  return { kind: "ended", outcome };
}

/** The repository at the pinned commit of its base branch, with the settings that shape the story. */
export const Base = z.object({
  kind: z.literal("read"),
  baseRef: z.string(),
  /** The commit that the work begins at; of a pull request the merge base. */
  baseSha: z.string(),
  /** Where instructions are read, where that is not the base: the default branch's commit (B5). */
  instructionsSha: z.string().optional(),
  /** Whose objects the work is on: a fork's lie in a store of their own (security.md M14). The repository's own unless said. */
  trust: z.enum(["own", "fork"]).optional(),
  private: z.boolean(),
  /** The repository's configuration as it was at the pinned default branch. */
  configBlob: z.string(),
  plan: z.enum(["auto", "ask"]),
  planTimeoutMinutes: z.number(),
  openAt: z.enum(["finish", "start"]),
  maxAttempts: z.number().int(),
  /** Limits of the repository's configuration, where it has some. */
  limits: z
    .object({
      costUsd: z.number().optional(),
      dayCostUsd: z.number().optional(),
      tokens: z.number().optional(),
      minutes: z.number().optional(),
    })
    .optional(),
  /** The issue that the work began with; its number is in the branch's name. */
  issueNumber: z.number().int(),
  branch: z.string(),
  /** Paths that are not checked out: submodules and LFS objects stay opaque. */
  opaque: z.array(z.string()).max(20),
});
export type Base = z.infer<typeof Base>;

/** A pull request as it was when the run began. */
export const PullFacts = z.object({
  number: z.number().int(),
  title: z.string(),
  headSha: z.string(),
  headRef: z.string(),
  author: z.string(),
  authorId: z.number().int(),
  /** Its head is in another repository: nothing is pushed to it, and nothing of it runs with more rights than a stranger has. */
  fork: z.boolean(),
  draft: z.boolean(),
  /** Its head is the default branch, to which nothing is pushed. */
  onDefaultBranch: z.boolean(),
  /** This App opened it. */
  ours: z.boolean(),
  /** Title and body, as `PullText`. */
  textBlob: z.string(),
});
export type PullFacts = z.infer<typeof PullFacts>;

export const PullText = z.object({ title: z.string(), body: z.string() });
export type PullText = z.infer<typeof PullText>;

/** What is going to be done, in the words of a commit; the whole task is in the blob. */
export const Plan = z.object({
  kind: z.literal("plan"),
  taskBlob: z.string(),
  title: z.string(),
  commitType: z.string(),
  commitScope: z.string().optional(),
  risk: z.enum(["low", "medium", "high"]),
});
export type Plan = z.infer<typeof Plan>;

export const CommandSummary = z.object({
  kind: z.enum(["setup", "format", "lint", "build", "test"]),
  run: z.string(),
  result: z.enum(["passed", "failed", "timed-out", "killed", "refused"]),
  durationSeconds: z.number(),
  tests: z.object({ passed: z.number(), failed: z.number(), skipped: z.number() }).optional(),
  /** Share of covered lines, where the command reported it. */
  coveragePercent: z.number().optional(),
  /** It fails on the base commit in the same way, so that this change is not blamed for it. */
  failsOnBase: z.boolean().optional(),
});
export type CommandSummary = z.infer<typeof CommandSummary>;

export const Checks = z.object({
  commands: z.array(CommandSummary).max(24),
  testsRan: z.number().int(),
  /** Why no test was run, in one sentence. */
  withoutTests: z.string().optional(),
  sandbox: z.string(),
  /** Set when a command failed; the blob is what the model is shown. */
  failure: z.object({ signature: z.string(), blob: z.string(), summary: z.string() }).optional(),
});
export type Checks = z.infer<typeof Checks>;

/** Work in progress: a commit that never left the machine, with a bundle to make it again elsewhere. */
export const Change = z.object({
  sha: z.string(),
  bundleBlob: z.string().optional(),
  attempts: z.number().int(),
  /** The agent's own summary: what, why, what was not done. */
  summaryBlob: z.string().optional(),
  checks: Checks.optional(),
  /** The writing ended early, for example because the budget was used up; the partial result is kept. */
  stopped: z.string().optional(),
});
export type Change = z.infer<typeof Change>;

export const Environment = z.object({
  kind: z.enum(["ready", "none", "failed"]),
  key: z.string().optional(),
  message: z.string().optional(),
});
export type Environment = z.infer<typeof Environment>;

const GuardFinding = z.object({
  rule: z.string(),
  severity: z.enum(["block", "draft", "note"]),
  path: z.string().optional(),
  message: z.string(),
});
export const Verdict = z.object({
  kind: z.literal("judged"),
  decision: z.enum(["pass", "draft"]),
  findings: z.array(GuardFinding).max(60),
});
export type Verdict = z.infer<typeof Verdict>;

export const Published = z.object({ kind: z.literal("published"), sha: z.string(), ciWaits: z.boolean() });
export type Published = z.infer<typeof Published>;

/** What `read-issue` files for the later steps; every text of a stranger has passed `visibleText`. */
export const IssueText = z.object({
  title: z.string(),
  body: z.string(),
  labels: z.array(z.string()),
  comments: z.array(z.object({ author: z.string(), at: z.string(), text: z.string() })),
  related: z.array(z.object({ relation: z.string(), number: z.number(), title: z.string(), text: z.string() })),
  /** Instructions behind `/code`, by the person who may trigger. */
  instructions: z.string().optional(),
  /** The comment that answers our question. */
  answer: z.string().optional(),
});
export type IssueText = z.infer<typeof IssueText>;

/** What `select-context` files: the excerpts that go to the model, and the ranked paths with their reasons. */
export const ContextText = z.object({
  packed: z.string(),
  ranked: z.array(z.object({ path: z.string(), reasons: z.array(z.string()) })),
});
export type ContextText = z.infer<typeof ContextText>;

/** What a person asked for on a pull request of ours: a command's words, or a review with its threads (B17). */
export const ReviewRequest = z.object({
  request: z.string(),
  threads: z.array(
    z.object({
      commentId: z.number().int(),
      path: z.string(),
      line: z.number().int().optional(),
      author: z.string(),
      text: z.string(),
      diffHunk: z.string(),
    }),
  ),
  pullRequest: z.object({ number: z.number().int(), title: z.string(), body: z.string() }),
});
export type ReviewRequest = z.infer<typeof ReviewRequest>;

/** Which check failed, as steps tell one another; the name is a stranger's. */
export const FailedCheckRef = z.object({
  kind: z.enum(["job", "check", "status"]),
  id: z.number().int(),
  name: z.string().max(400),
  appSlug: z.string().max(100),
  workflowRunId: z.number().int().optional(),
  url: z.string().max(500),
});
export type FailedCheckRef = z.infer<typeof FailedCheckRef>;

/** What is red in the sandbox at the head, before a fix is written; those commands have to turn green. */
export const Reproduction = z.discriminatedUnion("kind", [
  z.object({
    kind: z.literal("reproduced"),
    /** The setup itself fails: nothing else could be run. */
    setup: z.boolean(),
    commands: z
      .array(
        z.object({
          name: z.string(),
          run: z.string().max(4_000),
          directory: z.string(),
          timeoutSeconds: z.number(),
        }),
      )
      .max(6),
    summary: z.string(),
  }),
  z.object({ kind: z.literal("not-reproduced"), reason: z.string() }),
]);
export type Reproduction = z.infer<typeof Reproduction>;

/** A failed check as the model and people see it. */
const Failure = z.object({
  /** Names of the checks that fail. */
  checks: z.array(z.string()).max(20),
  /** What the distilled logs say, within a token budget. */
  log: z.string(),
  analysis: FailureAnalysis,
  pullRequest: z.object({ number: z.number().int(), title: z.string(), body: z.string() }),
});

/** The writing agent's task, filed once and read by every slice. */
export const Task = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("implement"), analysis: Analysis, issue: IssueText }),
  z.object({ kind: z.literal("address-review"), review: ReviewRequest }),
  z.object({ kind: z.literal("fix-check"), failure: Failure }),
]);
export type Task = z.infer<typeof Task>;

/** A fix that was made: all that pushing it and telling of it need. */
export const Offer = z.object({
  base: Base,
  checks: z.array(FailedCheckRef),
  plan: Plan,
  change: Change,
  verdict: Verdict,
  reproduction: Reproduction,
  /** What else is worth a look. */
  notes: z.array(z.string()).max(10),
});
export type Offer = z.infer<typeof Offer>;
