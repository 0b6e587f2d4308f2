import { type RepositoryConfig, RepositoryConfig as RepositoryConfigSchema } from "../../../config/repository.ts";
import type { Credential, Job, RepositoryRef } from "../../../workspace/workspace.ts";
import type { Deps } from "../../deps.ts";
import type { FiledIntent } from "../../intent.ts";
import type { StepContext } from "../../step.ts";
import type { Base, Change } from "../shapes.ts";
import { readDocument } from "./documents.ts";

export function repositoryRef({ work }: FiledIntent): RepositoryRef {
  return {
    installationId: work.installationId,
    repositoryId: work.repositoryId,
    owner: work.owner,
    repo: work.repo,
    trust: "own",
  };
}

export function credential(ctx: StepContext, access: "read" | "write"): Credential {
  return () => ctx.gitToken(access);
}

export function configOf(deps: Deps, base: Base): Promise<RepositoryConfig> {
  return readDocument(deps, base.configBlob, RepositoryConfigSchema);
}

/** The job's tree at the change's commit; made again from the bundle where the disk lost it. */
export function openJob(
  deps: Deps,
  ctx: StepContext,
  base: Base,
  change: Pick<Change, "sha" | "bundleBlob">,
): Promise<Job> {
  const { bundleBlob } = change;
  const bundle = bundleBlob === undefined ? undefined : () => deps.store.blobs.get(bundleBlob);
  return deps.workspaces.open(
    repositoryRef(ctx.intent),
    ctx.runKey,
    { baseSha: base.baseSha, sha: change.sha, bundle, credential: credential(ctx, "read") },
    ctx.signal,
  );
}

/** The subject of the intent as an issue or pull request number. Throws for work on a whole repository. */
export function subjectNumber({ work }: FiledIntent): number {
  if (work.subject.number === undefined)
    throw new Error(`Work on ${work.owner}/${work.repo} has no issue or pull request`);
  return work.subject.number;
}

export function place(
  intent: FiledIntent,
  number = subjectNumber(intent),
): { owner: string; repo: string; number: number } {
  return { owner: intent.work.owner, repo: intent.work.repo, number };
}
