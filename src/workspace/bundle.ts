import { randomUUID } from "node:crypto";
import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { runGit, trustedGit } from "./git.ts";
import { readShallow, writeShallow } from "./git-directory.ts";

const head = "refs/millwright/head";
/** Commits of the bundle whose parents are not in it, because the mirror is shallow. */
const roots = "refs/millwright/shallow/";

/**
 * Everything from `baseSha` to `sha` as a git bundle (https://git-scm.com/docs/git-bundle). Empty when there is
 * nothing between them.
 */
export async function writeBundle(gitDir: string, baseSha: string, sha: string): Promise<Buffer> {
  const between = (await runGit(["rev-list", sha, `^${baseSha}`], { gitDir })).toString("utf8").split("\n");
  const shallow = new Set(await readShallow(gitDir));
  const named = [
    [head, sha] as const,
    ...between.filter((commit) => shallow.has(commit)).map((commit) => [`${roots}${commit}`, commit] as const),
  ];
  if (between.filter((commit) => commit !== "").length === 0) return Buffer.alloc(0);
  for (const [name, commit] of named) await trustedGit(["update-ref", name, commit], { gitDir });
  return runGit(["bundle", "create", "--quiet", "-", ...named.map(([name]) => name), `^${baseSha}`], {
    gitDir,
    timeoutSeconds: 600,
  });
}

/** Adds the objects of a bundle to a git dir that has its base. Throws git's words when the base is missing or it is damaged. */
export async function readBundle(gitDir: string, bundle: Buffer): Promise<void> {
  const file = join(gitDir, `bundle-${randomUUID()}`);
  await writeFile(file, bundle);
  try {
    // Prints one line for each name: its commit and itself.
    const names = (await runGit(["bundle", "unbundle", file], { gitDir, timeoutSeconds: 600 }))
      .toString("utf8")
      .split("\n");
    const shallow = names.map((line) => line.split(" ")).filter(([, name]) => name?.startsWith(roots));
    if (shallow.length > 0)
      await writeShallow(gitDir, [...(await readShallow(gitDir)), ...shallow.map(([commit]) => commit!)]);
  } finally {
    await rm(file, { force: true });
  }
}
