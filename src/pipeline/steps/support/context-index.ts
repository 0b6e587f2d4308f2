import { rm } from "node:fs/promises";
import { join } from "node:path";

/** Where a repository's search index is kept; of one installation and repository alone (security.md M14). */
export function contextIndexDirectory(dataDirectory: string, installationId: number, repositoryId: number): string {
  return join(dataDirectory, "index", `${installationId}-${repositoryId}`);
}

/** Removes it (P15); harmless when there is none. */
export function forgetContextIndex(dataDirectory: string, installationId: number, repositoryId: number): Promise<void> {
  return rm(contextIndexDirectory(dataDirectory, installationId, repositoryId), { recursive: true, force: true });
}
