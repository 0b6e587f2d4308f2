import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import type { Limits, Tree } from "../../src/sandbox/sandbox.ts";

export const LIMITS: Limits = {
  timeoutSeconds: 30,
  maxOutputBytes: 100_000,
  maxMemoryBytes: 8 * 1024 ** 3,
  maxProcesses: 400,
  maxFileBytes: 100 * 1024 ** 2,
  maxCpuSeconds: 60,
};

/** A job's folders, in a folder that other users may enter. */
export async function makeTree(root: string, name = "job"): Promise<Tree & { environment: { directory: string } }> {
  const job = join(root, name);
  const at = {
    directory: join(job, "tree"),
    temporary: join(job, "tmp"),
    environment: { directory: join(job, "home") },
  };
  for (const directory of [at.directory, at.temporary, at.environment.directory])
    await mkdir(directory, { recursive: true });
  return at;
}
