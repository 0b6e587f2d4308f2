import { readdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { trustedGit } from "./git.ts";
import { withLock } from "./lock.ts";

const leftoverMilliseconds = 24 * 3_600_000;
const unusedMirrorMilliseconds = 30 * 24 * 3_600_000;
/** Each fetch adds a pack; reading slows down with their number. */
const manyPacks = 20;
/** Each fetch adds the name of a commit; the server is told all of them. */
const keptPins = 200;

/** Removes what nobody used for long and tidies mirrors; returns how many directories went. */
export async function sweepDirectories(directories: {
  mirrors: string;
  jobs: string;
  environments: string;
}): Promise<number> {
  let removed = 0;
  for (const directory of await children(directories.jobs)) {
    // Its note's time is that of the last use; a half-made job has none.
    const usedAt = (await timeOf(join(directory, "job.json"))) ?? (await timeOf(directory));
    if (usedAt === undefined || Date.now() - usedAt < leftoverMilliseconds) continue;
    await rm(directory, { recursive: true, force: true });
    if (!directory.endsWith(".lock")) removed++;
  }
  for (const entry of await descendants(directories.environments, 4)) {
    // Under its final name an entry has no dot; others are copies that were cut off.
    if (!/\.[0-9a-f-]{36}$/.test(entry) || Date.now() - ((await timeOf(entry)) ?? Date.now()) < leftoverMilliseconds)
      continue;
    await rm(entry, { recursive: true, force: true });
    removed++;
  }
  for (const mirror of await descendants(directories.mirrors, 3)) {
    if (Date.now() - ((await timeOf(mirror)) ?? Date.now()) > unusedMirrorMilliseconds) {
      await rm(mirror, { recursive: true, force: true });
      removed++;
    } else {
      removed += await tidy(mirror);
    }
  }
  return removed;
}

async function tidy(mirror: string): Promise<number> {
  const waste = (await children(mirror)).filter((path) => /\/(?:waste|spare)-[0-9a-f-]{36}$/.test(path));
  if (waste.length > 0) {
    await withLock(join(mirror, "tree.lock"), AbortSignal.timeout(600_000), async () => {
      for (const path of waste) await rm(path, { recursive: true, force: true });
    });
  }
  for (const [name, lock] of [
    ["tree.git", "tree.lock"],
    ["history.git", "history.lock"],
  ] as const) {
    const gitDir = join(mirror, name);
    const packs = (await children(join(gitDir, "objects", "pack"))).filter((path) => path.endsWith(".pack"));
    const pins = await children(join(gitDir, "refs", "millwright", "pins"));
    if (packs.length <= manyPacks && pins.length <= keptPins) continue;
    const signal = AbortSignal.timeout(600_000);
    await withLock(join(mirror, lock), signal, async () => {
      const dated = await Promise.all(pins.map(async (path) => ({ path, at: (await timeOf(path)) ?? 0 })));
      for (const { path } of dated.toSorted((a, b) => b.at - a.at).slice(keptPins)) await rm(path, { force: true });
      // Nothing is dropped: trees of jobs borrow objects that no name here leads to.
      if (packs.length > manyPacks)
        await trustedGit(["repack", "-a", "-d", "-q", "--keep-unreachable"], { gitDir, signal });
    });
  }
  return waste.length;
}

async function descendants(directory: string, depth: number): Promise<string[]> {
  let level = [directory];
  for (let step = 0; step < depth; step++) level = (await Promise.all(level.map(children))).flat();
  return level;
}

async function children(directory: string): Promise<string[]> {
  return (await readdir(directory).catch(() => [])).map((name) => join(directory, name));
}

async function timeOf(path: string): Promise<number | undefined> {
  return stat(path).then(
    ({ mtimeMs }) => mtimeMs,
    () => undefined,
  );
}
