import type { FileChange } from "../policy/change.ts";
import { runGit } from "./git.ts";
import { openSourceTree } from "./source-tree.ts";

/** Larger texts are not read: the guard judges such a file by its path and size. */
const maxTextBytes = 1_000_000;
/** All texts of one change together. */
const maxTotalBytes = 64_000_000;

/**
 * The difference between two commits, renames detected, without running what attributes name (no external diff, no
 * textconv). https://git-scm.com/docs/git-diff-tree#_raw_output_format
 */
export async function readChanges(
  gitDir: string,
  fromSha: string,
  toSha: string,
  signal?: AbortSignal,
): Promise<FileChange[]> {
  const args = [
    "diff-tree",
    "-r",
    "-z",
    "--raw",
    "-M",
    "--no-abbrev",
    "--no-ext-diff",
    "--no-textconv",
    "--ignore-submodules=none",
  ];
  const output = await runGit([...args, fromSha, toSha, "--"], { gitDir, signal });
  const entries = parseRaw(output.toString("utf8"));
  const blobs = new Set(
    entries
      .flatMap((entry) => [entry.oldSide, entry.newSide])
      .flatMap((side) => (side && side.mode !== submoduleMode ? [side.sha] : [])),
  );
  const sizes = await sizesOf(gitDir, blobs, signal);
  const contents = await contentsOf(gitDir, toSha, sizes, signal);
  return entries.map(({ path, previousPath, status, oldSide, newSide }) => {
    const side = newSide ?? oldSide!;
    const link = side.mode === linkMode ? contents.get(side.sha) : undefined;
    return {
      path,
      ...(previousPath === undefined ? {} : { previousPath }),
      status,
      kind: side.mode === linkMode ? "symlink" : side.mode === submoduleMode ? "submodule" : "file",
      ...(oldSide ? { oldMode: oldSide.mode } : {}),
      ...(newSide ? { newMode: newSide.mode } : {}),
      ...textOf("oldText", oldSide, contents),
      ...textOf("newText", newSide, contents),
      sizeBytes: sizes.get(side.sha) ?? 0,
      ...(link ? { symlinkTarget: link.toString("utf8") } : {}),
    } satisfies FileChange;
  });
}

/** A unified diff of at most `maxBytes`, cut at the end of a line. */
export async function readDiff(
  gitDir: string,
  fromSha: string,
  toSha: string,
  maxBytes: number,
  signal?: AbortSignal,
): Promise<{ text: string; truncated: boolean }> {
  const args = [
    "diff",
    "--no-color",
    "--no-ext-diff",
    "--no-textconv",
    "-M",
    "--ignore-submodules=none",
    fromSha,
    toSha,
    "--",
  ];
  const output = await runGit(args, { gitDir, signal, maxOutputBytes: maxBytes });
  if (output.length <= maxBytes) return { text: output.toString("utf8"), truncated: false };
  const lineEnd = output.lastIndexOf(10, maxBytes - 1);
  return { text: output.toString("utf8", 0, lineEnd + 1), truncated: true };
}

/** The paths of all files that differ, of a renamed one its new path. */
export async function readChangedPaths(
  gitDir: string,
  fromSha: string,
  toSha: string,
  signal?: AbortSignal,
): Promise<string[]> {
  const args = ["diff-tree", "-r", "-z", "--name-only", "-M", "--no-ext-diff", "--no-textconv", fromSha, toSha, "--"];
  const output = await runGit(args, { gitDir, signal });
  return output
    .toString("utf8")
    .split("\0")
    .filter((path) => path !== "");
}

const linkMode = "120000";
const submoduleMode = "160000";

interface Side {
  mode: string;
  sha: string;
}

interface Entry {
  path: string;
  previousPath: string | undefined;
  status: FileChange["status"];
  oldSide: Side | undefined;
  newSide: Side | undefined;
}

function parseRaw(text: string): Entry[] {
  const fields = text.split("\0");
  const entries: Entry[] = [];
  for (let at = 0; at < fields.length && fields[at]!.startsWith(":"); ) {
    const [oldMode, newMode, oldSha, newSha, letter] = fields[at]!.slice(1).split(" ");
    const isRename = letter!.startsWith("R");
    entries.push({
      path: fields[at + (isRename ? 2 : 1)]!,
      previousPath: isRename ? fields[at + 1] : undefined,
      status: isRename ? "renamed" : letter === "A" ? "added" : letter === "D" ? "deleted" : "modified",
      oldSide: oldMode === "000000" ? undefined : { mode: oldMode!, sha: oldSha! },
      newSide: newMode === "000000" ? undefined : { mode: newMode!, sha: newSha! },
    });
    at += isRename ? 3 : 2;
  }
  return entries;
}

async function sizesOf(gitDir: string, blobs: ReadonlySet<string>, signal?: AbortSignal): Promise<Map<string, number>> {
  if (blobs.size === 0) return new Map();
  const args = ["cat-file", "--batch-check=%(objectname) %(objectsize)"];
  const output = await runGit(args, { gitDir, signal, input: `${[...blobs].join("\n")}\n` });
  const lines = output
    .toString("utf8")
    .split("\n")
    .filter((line) => line !== "");
  return new Map(lines.map((line) => [line.split(" ")[0]!, Number(line.split(" ")[1]) || 0]));
}

async function contentsOf(
  gitDir: string,
  commit: string,
  sizes: ReadonlyMap<string, number>,
  signal?: AbortSignal,
): Promise<Map<string, Buffer>> {
  let total = 0;
  const wanted: string[] = [];
  for (const [sha, size] of sizes) {
    if (size > maxTextBytes || total + size > maxTotalBytes) continue;
    total += size;
    wanted.push(sha);
  }
  const contents = new Map<string, Buffer>();
  if (wanted.length === 0) return contents;
  for await (const { blobSha, content } of openSourceTree(gitDir, commit).readBlobs(wanted, signal))
    contents.set(blobSha, content);
  return contents;
}

function textOf<K extends "oldText" | "newText">(
  key: K,
  side: Side | undefined,
  contents: ReadonlyMap<string, Buffer>,
): Partial<Record<K, string>> {
  if (!side || side.mode === linkMode || side.mode === submoduleMode) return {};
  const content = contents.get(side.sha);
  // Git's own rule for binary content: a NUL among the first 8,000 bytes.
  if (!content || content.subarray(0, 8_000).includes(0)) return {};
  return { [key]: content.toString("utf8") } as Partial<Record<K, string>>;
}
