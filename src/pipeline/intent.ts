import { z } from "zod";

export { maxIntentBytes, runKeyOf, workKeyOf } from "./run-key.ts";

/** Who did it, as the signed payload says. `type` is GitHub's: User, Bot, Organization, Mannequin. */
export const Actor = z.object({ id: z.number().int(), login: z.string(), type: z.string() });
export type Actor = z.infer<typeof Actor>;

/** What a run works on. */
export const Work = z.object({
  installationId: z.number().int(),
  repositoryId: z.number().int(),
  owner: z.string(),
  repo: z.string(),
  subject: z.object({ kind: z.enum(["issue", "pull-request", "repository"]), number: z.number().int().optional() }),
});
export type Work = z.infer<typeof Work>;

export const PipelineName = z.enum([
  "issue-to-pr",
  "iterate-pr",
  "fix-check",
  "apply-fix",
  "review-pr",
  "answer-command",
  "forget-data",
]);
export type PipelineName = z.infer<typeof PipelineName>;

/** Pipelines that speak through a check run of this name on the head that they work on, not through a status comment. */
export const checkRunNames: Partial<Record<PipelineName, string>> = {
  "fix-check": "Millwright fix",
  "apply-fix": "Millwright fix",
  "review-pr": "Millwright review",
};

/** The act that asked for the run; decides which object is acknowledged and what is re-read before an effect. */
const Trigger = z.discriminatedUnion("kind", [
  z.object({
    kind: z.literal("label"),
    label: z.string(),
    /** Ids of intents that the reconciler knows to come from other labellings of the same issue. */
    besides: z.array(z.string()).optional(),
  }),
  z.object({ kind: z.literal("comment"), commentId: z.number().int(), nodeId: z.string() }),
  z.object({ kind: z.literal("review"), reviewId: z.number().int(), nodeId: z.string() }),
  z.object({
    kind: z.literal("review-comment"),
    commentId: z.number().int(),
    nodeId: z.string(),
    /** The comment that the thread begins with. */
    inReplyTo: z.number().int().optional(),
  }),
  z.object({ kind: z.literal("button") }),
  z.object({
    kind: z.literal("state"),
    /** Of a pull request: what `review.on` calls it. */
    event: z.enum(["opened", "ready", "pushed"]).optional(),
  }),
]);

/**
 * What `answer-command` is asked to do. `unlabelled`, `closed`, `orphaned`, `check-failed` and `check-passed` are states, not
 * commands: nobody is asked for permission.
 */
export const CommandWord = z.enum([
  "stop",
  "retry",
  "status",
  "help",
  "approve",
  "reject",
  "reject-fix",
  "rerun",
  "explain",
  "plan-edited",
  "unknown",
  "unlabelled",
  "closed",
  "too-large",
  "changed",
  "orphaned",
  "check-failed",
  "check-passed",
]);
export type CommandWord = z.infer<typeof CommandWord>;

/**
 * One act of a person or of GitHub, frozen. Built by a handler from the signed payload alone, or by the same handler from
 * what the reconciler found in GitHub's lists.
 */
export const Intent = z.object({
  work: Work,
  id: z.string().min(1),
  pipeline: PipelineName,
  actor: Actor,
  at: z.iso.datetime(),
  trigger: Trigger,
  deliveryId: z.string(),
  command: CommandWord.optional(),
  /** What stood behind the command, or a comment that may answer a question of ours. */
  args: z.string().optional(),
  /** The comment is no command: it counts only if our last run of this issue ended as a question (B7). */
  answers: z.boolean().optional(),
  headSha: z.string().optional(),
  /** A short form such as `/stop`: silently left to others where no run of ours is concerned (B1). */
  short: z.boolean().optional(),
  text: z.object({ title: z.string(), body: z.string() }).optional(),
  /** Who opened the issue. */
  author: Actor.optional(),
});
export type Intent = z.infer<typeof Intent>;

const foundPrefix = "found:";

/** Stands for the delivery that never came. */
export function foundDelivery(intentId: string): string {
  return `${foundPrefix}${intentId}`;
}

/** A webhook says when the issue changed, the list of events when it was labelled: the two may differ a little. */
const sameLabellingSeconds = 5;

/**
 * Whether two label intents of one issue, with different ids, are the same labelling: one came by webhook, the other was
 * found by the reconciler, at about the same time. Two webhooks are two labellings, and so are two events of one list.
 */
export function sameLabelling(one: LabelIntent, other: LabelIntent): boolean {
  const [a, b] = [one.trigger, other.trigger];
  if (a.kind !== "label" || b.kind !== "label" || a.label !== b.label) return false;
  if (one.deliveryId.startsWith(foundPrefix) === other.deliveryId.startsWith(foundPrefix)) return false;
  if (a.besides?.includes(other.id) || b.besides?.includes(one.id)) return false;
  return Math.abs(Date.parse(one.at) - Date.parse(other.at)) <= sameLabellingSeconds * 1000;
}

type LabelIntent = Pick<Intent, "id" | "at" | "trigger" | "deliveryId">;

/** The intent without its text, which is filed in the store under `textBlob`; this is what pipelines get. */
export const FiledIntent = Intent.omit({ text: true }).extend({ textBlob: z.string().optional() });
export type FiledIntent = z.infer<typeof FiledIntent>;

/** `millwright/issue-<n>-<key>`: the only branch that a run may move. */
export function branchOf(issueNumber: number, workKey: string): string {
  return `millwright/issue-${issueNumber}-${workKey.slice(0, 8)}`;
}
