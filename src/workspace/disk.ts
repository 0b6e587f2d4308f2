import { readdir, stat, statfs } from "node:fs/promises";
import { join } from "node:path";
import { UserFacingError } from "../pipeline/step.ts";

/** Refuses new work, in words for people, while the disk of `directory` has less than `minFreeBytes` free (B6). */
export async function requireFreeDisk(directory: string, minFreeBytes: number): Promise<void> {
  const free = await freeBytes(directory);
  if (free >= minFreeBytes) return;
  throw new UserFacingError(
    `This worker's disk is nearly full (${megabytes(free)} free, ${megabytes(minFreeBytes)} needed), so no new work is started.`,
    { transient: true, advice: "Try again later, or ask the operator to free disk space." },
  );
}

/** Bytes that are free on the disk of `directory`, which exists. */
export async function freeBytes(directory: string): Promise<number> {
  const { bavail, bsize } = await statfs(directory);
  return bavail * bsize;
}

export function tooLarge(name: string, maxBytes: number): UserFacingError {
  return new UserFacingError(`${name} is larger than the ${megabytes(maxBytes)} that this installation works on.`, {
    advice: "The operator can raise `MILLWRIGHT_MAX_REPOSITORY_BYTES`.",
  });
}

/** Bytes of all files below `directory`; 0 when there is none. Files that vanish meanwhile do not count. */
export async function sizeOf(directory: string): Promise<number> {
  const entries = await readdir(directory, { withFileTypes: true }).catch(() => []);
  const sizes = await Promise.all(
    entries.map((entry) => {
      const path = join(directory, entry.name);
      return entry.isDirectory()
        ? sizeOf(path)
        : stat(path)
            .then(({ size }) => size)
            .catch(() => 0);
    }),
  );
  return sizes.reduce((sum, size) => sum + size, 0);
}

function megabytes(bytes: number): string {
  return `${Math.round(bytes / 1_000_000).toLocaleString("en")} MB`;
}
