import { type RepositoryConfig, RepositoryConfig as RepositoryConfigSchema } from "../../../config/repository.ts";
import type { Credential, Facts, Job, RepositoryRef } from "../../../workspace/workspace.ts";
import type { Deps } from "../../deps.ts";
import type { FiledIntent } from "../../intent.ts";
import type { StepContext } from "../../step.ts";
import type { Base, Change } from "../shapes.ts";
import { readDocument } from "./documents.ts";

export function repositoryRef({ work }: FiledIntent, { trust = "own" }: Pick<Base, "trust"> = {}): RepositoryRef {
  return {
    installationId: work.installationId,
    repositoryId: work.repositoryId,
    owner: work.owner,
    repo: work.repo,
    trust,
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
    repositoryRef(ctx.intent, base),
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

/** What is not checked out, as people and models read it. */
export function opaquePaths({ submodules, lfs }: Pick<Facts, "submodules" | "lfs">): string[] {
  return [...submodules.map((path) => `${path} (submodule)`), ...lfs.map((path) => `${path} (LFS)`)].slice(0, 20);
}

/** Why nothing can be done in this repository, and what to do about it. */
export function whyUnfit(
  repository: { archived: boolean; disabled?: boolean; size: number },
  deps: Deps,
): { reason: string; detail: string } | undefined {
  if (repository.archived || repository.disabled === true) {
    return {
      reason: "This repository is archived, so nothing can be pushed to it.",
      detail: "Unarchive it and trigger the run again.",
    };
  }
  const bytes = repository.size * 1024;
  if (bytes > deps.operator.maxRepositoryBytes) {
    const megabytes = (value: number) => `${Math.round(value / 1_000_000)} MB`;
    return {
      reason: `This repository has ${megabytes(bytes)}; this installation works on at most ${megabytes(deps.operator.maxRepositoryBytes)}.`,
      detail: "The operator can raise `MILLWRIGHT_MAX_REPOSITORY_BYTES`.",
    };
  }
  return undefined;
}
