import { lstat, realpath } from "node:fs/promises";
import { basename, dirname, isAbsolute, join, relative, resolve, sep } from "node:path";

/** A path that a tool may not use. The message goes to the model, so it names the path as it was given and no other. */
export class PathRefused extends Error {
  override name = "PathRefused";
}

/**
 * The real place of `given` (relative to `root`, or absolute) with every symlink resolved, also where the last parts do not
 * exist yet. Throws `PathRefused` when it lies outside `root`, in a `.git`, or behind a link that leads nowhere (M6); its
 * message says `named`, what the model gave, where `given` was made from that.
 */
export async function confinedPath(root: string, given: string, named = given): Promise<string> {
  if (given.includes("\0")) throw new PathRefused(`${JSON.stringify(named)} is not a path`);
  const realRoot = await realpath(root);
  const real = await resolveLinks(resolve(realRoot, given), named);
  if (real !== realRoot && !real.startsWith(realRoot + sep)) {
    throw new PathRefused(`${JSON.stringify(named)} is outside of the repository; only files in it can be used`);
  }
  for (const path of [relative(realRoot, real), isAbsolute(given) ? "" : given]) refuseGitDirectory(path, named);
  return real;
}

/** Throws `PathRefused` when a part of the path is `.git`, in any spelling that a file system could take for it. */
export function refuseGitDirectory(path: string, given = path): void {
  for (const part of path.split(/[\\/]/)) {
    const plain = part
      .normalize("NFKC")
      .replace(/\p{Default_Ignorable_Code_Point}/gu, "")
      .replace(/[. ]+$/, "")
      .toLowerCase();
    if (plain === ".git" || plain === "git~1")
      throw new PathRefused(`${JSON.stringify(given)} is in a git directory, which is not yours to use`);
  }
}

async function resolveLinks(absolute: string, given: string): Promise<string> {
  const missing: string[] = [];
  for (let path = absolute; ; path = dirname(path)) {
    try {
      return join(await realpath(path), ...missing.reverse());
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code;
      if (code === "ENOTDIR")
        throw new PathRefused(`${JSON.stringify(given)} goes through a file as if it were a directory`);
      if (code !== "ENOENT") throw new PathRefused(`${JSON.stringify(given)} cannot be resolved (${code})`);
      if (await isLink(path))
        throw new PathRefused(`${JSON.stringify(given)} is behind a symbolic link that leads nowhere`);
      missing.push(basename(path));
    }
  }
}

async function isLink(path: string): Promise<boolean> {
  try {
    return (await lstat(path)).isSymbolicLink();
  } catch {
    return false;
  }
}
