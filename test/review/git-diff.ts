import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gitEnvironment } from "../../src/workspace/git-environment.ts";

/** A file of a tree: its text or bytes, where needed with a mode. */
export type TreeFile = string | Uint8Array | { content: string | Uint8Array; mode: string };
export type Tree = Readonly<Record<string, TreeFile>>;

/** What the real `git diff` prints between two trees, in two processes however many files there are. */
export function gitDiff(
  before: Tree,
  after: Tree,
  args: readonly string[] = ["--find-renames", "--find-copies"],
): string {
  const directory = mkdtempSync(join(tmpdir(), "git-diff-"));
  const git = (parameters: readonly string[], input?: Buffer) =>
    execFileSync("git", ["-C", directory, ...parameters], {
      env: gitEnvironment(),
      maxBuffer: 2 ** 30,
      ...(input && { input }),
    });
  try {
    git(["init", "--quiet", "--bare"]);
    git(["fast-import", "--quiet"], Buffer.concat([...commit("before", before), ...commit("after", after)]));
    return git(["diff", "--no-ext-diff", ...args, "before", "after"]).toString("utf8");
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

function commit(branch: string, tree: Tree): Buffer[] {
  const head = `commit refs/heads/${branch}\ncommitter a <a@example.com> 0 +0000\ndata 0\n\ndeleteall\n`;
  return [
    Buffer.from(head),
    ...Object.entries(tree).flatMap(([path, file]) => {
      const { content, mode } =
        typeof file === "string" || file instanceof Uint8Array ? { content: file, mode: "100644" } : file;
      const bytes = Buffer.from(content as string);
      const name = path.replace(/["\\]/g, "\\$&").replaceAll("\n", "\\n");
      return [Buffer.from(`M ${mode} inline "${name}"\ndata ${bytes.length}\n`), bytes, Buffer.from("\n")];
    }),
    Buffer.from("\n"),
  ];
}
