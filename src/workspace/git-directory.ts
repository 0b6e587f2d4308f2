import { randomUUID } from "node:crypto";
import { mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";

export interface GitDirectory {
  /** Object directories of other git dirs that are read as if they were this one's. */
  alternates?: readonly string[];
  /** The commit that HEAD names, for a git dir with a tree; without it the git dir is bare. */
  head?: string;
  /** Lines for its configuration, for example `[remote "origin"]`. */
  config?: string;
}

/**
 * Makes a git dir by writing its few files: a process less than `git init`, and nothing is copied from a template.
 * Layout: https://git-scm.com/docs/gitrepository-layout
 */
export async function makeGitDirectory(
  path: string,
  { alternates = [], head, config = "" }: GitDirectory = {},
): Promise<void> {
  await Promise.all([
    mkdir(join(path, "objects", "info"), { recursive: true }),
    mkdir(join(path, "refs"), { recursive: true }),
    mkdir(join(path, "info"), { recursive: true }),
  ]);
  await Promise.all([
    writeFile(
      join(path, "config"),
      `[core]\n\trepositoryformatversion = ${config === "" ? 0 : 1}\n\tfilemode = true\n\tbare = ${head === undefined}\n${config}`,
    ),
    writeFile(join(path, "HEAD"), head === undefined ? "ref: refs/heads/main\n" : `${head}\n`),
    ...(alternates.length === 0
      ? []
      : [writeFile(join(path, "objects", "info", "alternates"), `${alternates.join("\n")}\n`)]),
  ]);
}

/** The commits whose parents this git dir does not have. https://git-scm.com/docs/gitrepository-layout#Documentation/gitrepository-layout.txt-shallow */
export async function readShallow(path: string): Promise<string[]> {
  try {
    return (await readFile(join(path, "shallow"), "utf8")).split("\n").filter((line) => line !== "");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
}

export async function writeShallow(path: string, commits: readonly string[]): Promise<void> {
  if (commits.length === 0) await rm(join(path, "shallow"), { force: true });
  else await replaceFile(join(path, "shallow"), `${[...new Set(commits)].toSorted().join("\n")}\n`);
}

/** Writes the file whole or not at all. */
export async function replaceFile(path: string, content: string): Promise<void> {
  const next = `${path}.${randomUUID()}`;
  await writeFile(next, content);
  await rename(next, path);
}
