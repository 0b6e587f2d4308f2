import { z } from "zod";
import { coderNames } from "../../../coder/coder.ts";
import type { Job } from "../../../workspace/workspace.ts";
import type { Deps } from "../../deps.ts";
import type { StepContext } from "../../step.ts";
import type { Base, Change } from "../shapes.ts";
import { openJob } from "./repository.ts";

/** How far the writing came: the tree's commit and the conversation that led to it, saved together after every turn. */
const Slice = z.object({
  sha: z.string(),
  transcriptBlob: z.string(),
  /** Whose conversation it is; of older rows the agent's. */
  coder: z.enum(coderNames).default("agent"),
  bundleBlob: z.string().optional(),
});
type Slice = z.infer<typeof Slice>;

/** Where an attempt at the writing stands, and how to say that it came further. */
export interface SavedSlice {
  saved: Slice | undefined;
  /** Why a smaller prompt is tried (B20), when it is. */
  lastResort: string | undefined;
  save(slice: Slice): Promise<void>;
}

export async function savedSlice(deps: Deps, ctx: StepContext, attempt: number): Promise<SavedSlice> {
  const lastResort = await deps.store.notes.get(ctx.runKey, "last-resort");
  const note = `writing:${attempt}${lastResort === undefined ? "" : ":last-resort"}`;
  const text = await deps.store.notes.get(ctx.runKey, note);
  return {
    saved: text === undefined ? undefined : Slice.parse(JSON.parse(text)),
    lastResort,
    async save(slice) {
      await deps.store.notes.set(ctx.runKey, note, JSON.stringify(slice));
      await deps.store.notes.set(ctx.runKey, lastWriting, JSON.stringify(slice));
    },
  };
}

/** Note of the newest slice of a run, whichever attempt it was of. */
const lastWriting = "last-writing";
/** Runs that are looked through for a conversation to go on from. */
const mostRuns = 20;

/**
 * The newest conversation of the same coder about this work: of an earlier attempt (B12), else of an earlier run that led to
 * the same pull request (B17). Undefined where there is none, or retention removed it.
 */
export async function earlierTranscript(deps: Deps, ctx: StepContext): Promise<unknown[] | undefined> {
  const runs = await deps.store.runs.ofWork(ctx.workKey);
  for (const runKey of [ctx.runKey, ...runs.slice(0, mostRuns).map((run) => run.runKey)]) {
    const text = await deps.store.notes.get(runKey, lastWriting);
    const slice = text === undefined ? undefined : Slice.parse(JSON.parse(text));
    if (slice === undefined || slice.coder !== deps.coder.name) continue;
    const transcript = await deps.store.blobs.text(slice.transcriptBlob);
    if (transcript !== undefined) return z.array(z.unknown()).parse(JSON.parse(transcript));
  }
  return undefined;
}

/** The change with what the turns of an attempt wrote since, when the step that asked for them came to no end. */
export async function withWritten(
  deps: Deps,
  ctx: StepContext,
  { base, attempt, change }: { base: Base; attempt: number; change: Change },
): Promise<Change> {
  const { saved } = await savedSlice(deps, ctx, attempt);
  if (saved === undefined || saved.sha === change.sha) return change;
  const job = await openJob(deps, ctx, base, saved);
  return { ...change, sha: saved.sha, bundleBlob: await fileBundle(deps, ctx, job, saved.sha), attempts: attempt };
}

export function fileBundle(deps: Deps, ctx: StepContext, job: Job, sha: string): Promise<string> {
  return job
    .bundle(sha)
    .then((bundle) =>
      deps.store.blobs.put(bundle, { repositoryId: ctx.intent.work.repositoryId, runKey: ctx.runKey, kind: "bundle" }),
    );
}
