import type { Pipeline, Run, StepInput, StepOutput } from "./run.ts";

type Read = Extract<StepOutput<"read-pull-request">, { kind: "read" }>;
type Changes = Extract<StepOutput<"read-changes">, { kind: "changes" }>;
type Looked = Pick<StepInput<"verify-findings">, "answers" | "cuts">;

/** A pull request gets one short review that does not repeat itself; a reply to it gets an answer. */
export const reviewPr: Pipeline = async (run) => {
  const trigger = await run.step("authorise-trigger", {});
  if (trigger.kind === "ended") return trigger.outcome;
  const read = await run.step("read-pull-request", {});
  if (read.kind === "ended") return read.outcome;
  const { base, pull } = read;

  const plan = await run.step("plan-review", { base });
  if (plan.kind === "reply") return run.step("answer-reply", { base, pull });
  // One review for each head that stands still: nobody decides anything here, so the wait ends by its time.
  if (plan.waitMinutes > 0) await run.waitFor("decision", plan.waitMinutes);
  const changes = await run.step("read-changes", { base, pull });
  if (changes.kind === "ended") return changes.outcome;

  const looked = await lookAtAll(run, read, changes);
  const { changesBlob, groups } = changes;
  const verified = await run.step("verify-findings", { base, pull, changesBlob, groups, ...looked });
  if (verified.kind === "ended") return verified.outcome;
  const { verifiedBlob } = verified;
  const posted = await run.step("post-review", { base, pull, changesBlob, verifiedBlob });
  return posted.kind === "ended" ? posted.outcome : posted;
};

/**
 * All reviewers side by side, each over all groups. The first one goes ahead: what the others share with it is in the
 * provider's cache only once its answer has begun.
 */
async function lookAtAll(run: Run, read: Read, changes: Changes): Promise<Looked> {
  const [first, ...others] = changes.reviewers;
  if (first === undefined) return { answers: [], cuts: ["No reviewer is configured."] };
  const ahead = await lookSideBySide(run, read, changes, [first]);
  const beside = await lookSideBySide(run, read, changes, others);
  return { answers: [...ahead.answers, ...beside.answers], cuts: [...new Set([...ahead.cuts, ...beside.cuts])] };
}

async function lookSideBySide(
  run: Run,
  { base, pull }: Read,
  { groups }: Changes,
  reviewers: readonly string[],
): Promise<Looked> {
  const pairs = reviewers.flatMap((reviewer) => groups.map((group, at) => ({ reviewer, group, at })));
  if (pairs.length === 0) return { answers: [], cuts: [] };
  const branches = await run.parallel(
    Object.fromEntries(
      pairs.map(({ reviewer, group, at }, index) => [
        `${reviewer}-${at + 1}`,
        (branch: Run) =>
          branch.step("review-group", { base, pull, reviewer, group, place: { at: index, of: pairs.length } }),
      ]),
    ),
  );
  const all = Object.values(branches);
  return {
    answers: all.flatMap((one) => (one.kind === "reviewed" ? [one.blob] : [])),
    cuts: [...new Set(all.flatMap((one) => (one.kind === "cut" ? [one.reason] : [])))],
  };
}
