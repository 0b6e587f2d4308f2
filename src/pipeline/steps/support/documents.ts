import type { ZodType } from "zod";
import type { Deps } from "../../deps.ts";
import type { StepContext } from "../../step.ts";

type Kind = "text" | "transcript" | "bundle" | "log" | "config";

/** Files a JSON document in the store and returns its reference: between steps only references travel. */
export function fileDocument(deps: Deps, ctx: StepContext, kind: Kind, value: unknown): Promise<string> {
  return deps.store.blobs.put(JSON.stringify(value), {
    repositoryId: ctx.intent.work.repositoryId,
    runKey: ctx.runKey,
    kind,
  });
}

/** Reads a document back. Throws when retention or P15 removed it. */
export async function readDocument<T>(deps: Deps, reference: string, schema: ZodType<T>): Promise<T> {
  const text = await deps.store.blobs.text(reference);
  if (text === undefined)
    throw new Error(`Stored document ${reference} is gone: it was deleted or its retention ended`);
  return schema.parse(JSON.parse(text));
}
