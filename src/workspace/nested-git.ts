import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { UserFacingError } from "../pipeline/step.ts";
import { tryGit } from "./git.ts";

interface Place {
  gitDir: string;
  tree: string;
  /** Paths below which git never looks, because they are excluded: environments that setup installed. */
  excluded: readonly string[];
}

/**
 * Every `.git` (in any case of letters) in the tree that git would come across. Git reads a nested repository's
 * configuration as soon as it looks at its directory, and that configuration can name programs to run; so this is
 * asked before any git command that reads the tree (security.md M2).
 */
async function findNestedGit({ gitDir, tree, excluded }: Place): Promise<string[]> {
  const found = await search(tree, "", new Set(excluded));
  return found.length === 0 ? [] : withoutIgnored(gitDir, tree, found);
}

/** Throws, with the paths, when the tree has a nested repository. */
export async function refuseNestedGit(place: Place): Promise<void> {
  const found = await findNestedGit(place);
  if (found.length === 0) return;
  throw new UserFacingError(
    `The working tree has a git repository inside of it (${found
      .slice(0, 5)
      .map((path) => `\`${path}\``)
      .join(", ")}), which cannot be committed.`,
    { advice: "Remove it, or let `.gitignore` name the directory that tests write to." },
  );
}

/** Removes them: for a tree that is made equal to a commit anyway. */
export async function removeNestedGit(place: Place): Promise<void> {
  for (const path of await findNestedGit(place)) await rm(join(place.tree, path), { recursive: true, force: true });
}

async function search(tree: string, directory: string, excluded: ReadonlySet<string>): Promise<string[]> {
  const entries = await readdir(join(tree, directory), { withFileTypes: true });
  const found: string[] = [];
  const below: Promise<string[]>[] = [];
  for (const entry of entries) {
    const path = directory === "" ? entry.name : `${directory}/${entry.name}`;
    if (entry.name.toLowerCase() === ".git") found.push(path);
    else if (entry.isDirectory() && !excluded.has(path)) below.push(search(tree, path, excluded));
  }
  return [...found, ...(await Promise.all(below)).flat()];
}

/** Git does not enter what the repository's own `.gitignore` names; asking for it reads `.gitignore` files alone. */
async function withoutIgnored(gitDir: string, tree: string, paths: readonly string[]): Promise<string[]> {
  const parents = paths.map((path) => path.slice(0, Math.max(0, path.lastIndexOf("/"))));
  const asked = [...new Set(parents.filter((path) => path !== ""))];
  if (asked.length === 0) return [...paths];
  const result = await tryGit(["check-ignore", "-z", "--stdin"], {
    gitDir,
    tree,
    // This command knows no literal paths; with "./" in front none is taken for a pattern with magic.
    input: asked.map((path) => `./${path}\0`).join(""),
    environment: { GIT_LITERAL_PATHSPECS: "0" },
  });
  // It ends with 1 when nothing is ignored, with more when it cannot tell.
  if (result.code > 1) return [...paths];
  const answers = result.stdout.toString("utf8").split("\0");
  const ignored = new Set(answers.filter((path) => path !== "").map((path) => path.slice("./".length)));
  return paths.filter((_, index) => !ignored.has(parents[index]!));
}
