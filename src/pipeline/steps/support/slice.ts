import { z } from "zod";
import type { Job } from "../../../workspace/workspace.ts";
import type { Deps } from "../../deps.ts";
import type { StepContext } from "../../step.ts";
import type { Base, Change } from "../shapes.ts";
import { openJob } from "./repository.ts";

/** How far the writing came: the tree's commit and the conversation that led to it, saved together after every turn. */
const Slice = z.object({ sha: z.string(), transcriptBlob: z.string(), bundleBlob: z.string().optional() });
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
    save: (slice) => deps.store.notes.set(ctx.runKey, note, JSON.stringify(slice)),
  };
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
