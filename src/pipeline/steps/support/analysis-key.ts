import { createHash } from "node:crypto";

/**
 * Names what was made of a failure, by all that it depends on (F4). It begins with whose it is: nobody else's failure, and no
 * fork's, is ever given the answer (security.md M14).
 */
export function analysisKey(parts: {
  installationId: number;
  repositoryId: number;
  trust: "own" | "fork";
  baseSha: string;
  modelId: string;
  /** Of the prompt. */
  version: number | string;
  /** Of the distilled logs. */
  hash: string;
}): string {
  const owner = [parts.installationId, parts.repositoryId, parts.trust];
  const content = [parts.baseSha, parts.modelId, parts.version, parts.hash];
  return createHash("sha256")
    .update(JSON.stringify([...owner, ...content]))
    .digest("hex");
}
