import { putCheckRun } from "../../../github/check-run.ts";
import { putComment } from "../../../github/comments.ts";
import { checkActions, replyMarker } from "../../../policy/markers.ts";
import type { Deps } from "../../deps.ts";
import { checkRunNames } from "../../intent.ts";
import { endings, type Outcome } from "../../outcome.ts";
import type { StepContext } from "../../step.ts";
import { place } from "./repository.ts";

const headNote = "check-head";

/** Buttons of a check run, by what `answer-command` and `fix-check` are told. */
const checkButtons = {
  apply: { label: "Apply fix", description: "Push this fix to the pull request.", identifier: checkActions.apply },
  reject: { label: "Reject", description: "This fix is not wanted.", identifier: checkActions.reject },
  rerun: { label: "Run again", description: "Start the failed check again.", identifier: checkActions.rerun },
  explain: { label: "Explain", description: "Post the analysis as a comment.", identifier: checkActions.explain },
} as const;

/**
 * The buttons of a pull request's check run. A fork's has none: GitHub tells no pull request with what is pressed there.
 * https://docs.github.com/en/rest/guides/using-the-rest-api-to-interact-with-checks#about-check-suites
 */
export function buttonsFor({ fork }: { fork: boolean }, buttons: (keyof typeof checkButtons)[]) {
  return fork ? [] : buttons;
}

/** The check run that speaks for a run without a status comment; in progress from now on. */
export async function beginCheckRun(deps: Deps, ctx: StepContext, headSha: string): Promise<void> {
  const name = checkRunNames[ctx.intent.pipeline];
  if (name === undefined) return;
  const octokit = await ctx.github({ checks: "write" });
  const { owner, repo } = ctx.intent.work;
  await deps.store.notes.set(ctx.runKey, headNote, headSha);
  await ctx.effect("begin-check-run", () =>
    putCheckRun(
      octokit,
      deps.operator.app.id,
      { owner, repo, sha: headSha, name },
      {
        status: "in_progress",
        title: "At work",
        summary: `Run \`${ctx.runKey}\`.`,
        externalId: ctx.runKey,
      },
    ),
  );
}

/**
 * Says how such a run ended: in its check run where it has begun one, else, when a person asked, in one reply. Nothing is
 * said of a state that nobody asked about.
 */
export async function endCheckRun(deps: Deps, ctx: StepContext, outcome: Outcome): Promise<void> {
  const name = checkRunNames[ctx.intent.pipeline];
  const headSha = await deps.store.notes.get(ctx.runKey, headNote);
  // What is to be said of a reply was said in its thread.
  if (ctx.intent.trigger.kind === "review-comment") return;
  const { owner, repo } = ctx.intent.work;
  const { title, emoji } = endings[outcome.kind];
  if (name !== undefined && headSha !== undefined) {
    const octokit = await ctx.github({ checks: "write" });
    await ctx.effect("end-check-run", () =>
      putCheckRun(
        octokit,
        deps.operator.app.id,
        { owner, repo, sha: headSha, name },
        {
          conclusion: outcome.check?.conclusion ?? (outcome.kind === "cancelled" ? "cancelled" : "neutral"),
          title: outcome.check?.title ?? title,
          summary: [outcome.reason, outcome.detail].filter((text) => text !== undefined).join("\n\n"),
          externalId: ctx.runKey,
          actions: (outcome.check?.buttons ?? []).map((button) => checkButtons[button]),
        },
      ),
    );
    return;
  }
  const wasSilent =
    ctx.intent.trigger.kind === "state" || (outcome.kind === "refused" && (await refusedAlready(deps, ctx)));
  if (wasSilent || outcome.kind === "cancelled") return;
  const octokit = await ctx.github({ issues: "write", pull_requests: "write" });
  const text = [`${emoji} **${title}.** ${outcome.reason}`, outcome.detail].filter((part) => part !== undefined);
  await ctx.effect("answer", () =>
    putComment(octokit, deps.operator.app.id, place(ctx.intent), replyMarker(ctx.runKey, "outcome"), text.join("\n\n")),
  );
}

/** `authorise-trigger` has said why itself. */
async function refusedAlready(deps: Deps, ctx: StepContext): Promise<boolean> {
  const steps = await deps.store.runs.steps(ctx.runKey);
  return !steps.some(({ name }) => name === "read-pull-request");
}
