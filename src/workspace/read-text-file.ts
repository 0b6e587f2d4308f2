import { runGit } from "./git.ts";
import { openSourceTree } from "./source-tree.ts";

const maxBytes = 10_000_000;

/**
 * One file at a commit as UTF-8 text; undefined when there is none at the path, or something else than a regular file
 * (a directory, a link, a submodule). Throws when it is larger than 10 MB, or git's words when the commit is not here.
 */
export async function readTextFile(gitDir: string, sha: string, path: string): Promise<string | undefined> {
  // Most paths that are asked for are not there: the listing is kept, so these cost no process.
  const files = await openSourceTree(gitDir, sha).files({ withSizes: false });
  if (!files.some((file) => file.path === path)) return undefined;
  const output = await runGit(["ls-tree", "-l", "-z", "--full-tree", sha, "--", path], { gitDir });
  const [entry] = output.toString("utf8").split("\0");
  const match = /^100(?:644|755|664) blob ([0-9a-f]+) +(\d+)\t(.*)$/s.exec(entry ?? "");
  if (!match || match[3] !== path) return undefined;
  if (Number(match[2]) > maxBytes)
    throw new Error(`Cannot read ${path} at ${sha}: it has ${match[2]} bytes, at most ${maxBytes} are read`);
  return (await runGit(["cat-file", "blob", match[1]!], { gitDir })).toString("utf8");
}
