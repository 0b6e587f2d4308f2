import { git, initBare, writeBlob, writeCommit } from "../../support/local-github/git.ts";

/** What stands at a path: a file's text, where a symbolic link leads, or the commit of a submodule. */
export type CraftedEntry = string | { link: string } | { submodule: string };

type Branch = Map<string, Branch | CraftedEntry>;

/**
 * A bare repository whose one commit has exactly these paths. The trees are written one by one, since git's own index
 * refuses names such as `.git`; a `/` separates folders.
 */
export async function craftRepository(gitDir: string, entries: Record<string, CraftedEntry>): Promise<void> {
  await initBare(gitDir, "main");
  const root: Branch = new Map();
  for (const [path, entry] of Object.entries(entries)) {
    const parts = path.split("/");
    let at = root;
    for (const part of parts.slice(0, -1)) {
      const below = at.get(part);
      const next: Branch = below instanceof Map ? below : new Map();
      at.set(part, next);
      at = next;
    }
    at.set(parts.at(-1) ?? "", entry);
  }
  const identity = { name: "Somebody", email: "somebody@example.com", date: new Date(0) };
  const tree = await writeBranch(gitDir, root);
  const commit = { tree, parents: [], message: "Crafted\n", author: identity, committer: identity };
  await git(gitDir, ["update-ref", "refs/heads/main", await writeCommit(gitDir, commit)]);
}

async function writeBranch(gitDir: string, branch: Branch): Promise<string> {
  const lines: string[] = [];
  for (const [name, entry] of branch) {
    if (entry instanceof Map) lines.push(`040000 tree ${await writeBranch(gitDir, entry)}\t${name}\0`);
    else if (typeof entry === "string") lines.push(`100644 blob ${await writeBlob(gitDir, entry)}\t${name}\0`);
    else if ("link" in entry) lines.push(`120000 blob ${await writeBlob(gitDir, entry.link)}\t${name}\0`);
    else lines.push(`160000 commit ${entry.submodule}\t${name}\0`);
  }
  return git(gitDir, ["mktree", "-z", "--missing"], { input: lines.join("") });
}
